//! Workflow files on the default branch: which job reads which secret.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::{
    model::ConsumerHow,
    observation::{Observation, ObservedConsumer},
    reference::Ref,
    workflow::{self, Job, Workflow},
};

use super::{
    super::{
        names::Owner,
        wire::{Content, Organisation, Repository},
    },
    Survey,
};
use crate::client::Request;

/// Where the forge looks for workflows.
const FOLDERS: [[&str; 2]; 2] = [[".gitea", "workflows"], [".github", "workflows"]];

impl Survey<'_> {
    /// `names` are the repository's own secrets; what it does not have it reads of its owner.
    pub(super) async fn workflows(
        &self,
        repository: &Repository,
        names: &BTreeSet<String>,
        organisations: &[Organisation],
    ) -> Result<Vec<Observation>> {
        let (owner, name) = (repository.owner.login.as_str(), repository.name.as_str());
        if repository.empty {
            return Ok(Vec::new());
        }
        let own = Owner::Repository { owner: owner.to_owned(), name: name.to_owned() };
        let above = if organisations.iter().any(|one| one.name.eq_ignore_ascii_case(owner)) {
            Owner::Organisation(owner.to_owned())
        } else {
            Owner::User(owner.to_owned())
        };
        let mut seen = Vec::new();
        for folder in FOLDERS {
            let path = ["repos", owner, name, "contents", folder[0], folder[1]];
            let found: Option<Vec<Content>> =
                self.backend.api.maybe("inventory", Request::get(&path)).await?;
            for file in found.unwrap_or_default() {
                let is_workflow =
                    file.kind == "file" && (file.name.ends_with(".yml") || file.name.ends_with(".yaml"));
                if !is_workflow {
                    continue;
                }
                let Some(workflow) = self.workflow(repository, &file).await? else { continue };
                let at = self.backend.names.object(&format!("{owner}/{name}/workflows/{}", file.path));
                for job in &workflow.jobs {
                    let at = at.field(&format!("jobs/{}", job.name));
                    seen.extend(self.reads(&at, &workflow, job, names, [&own, &above]));
                }
            }
        }
        Ok(seen)
    }

    async fn workflow(&self, repository: &Repository, file: &Content) -> Result<Option<Workflow>> {
        let (owner, name) = (repository.owner.login.as_str(), repository.name.as_str());
        let mut path = vec!["repos", owner, name, "contents"];
        path.extend(file.path.split('/'));
        let whole: Option<Content> = self.backend.api.maybe("inventory", Request::get(&path)).await?;
        let unread =
            || Error::new(ErrorKind::Unexpected, "inventory", format!("{} could not be read", file.path));
        let text: String = whole.and_then(|whole| whole.content).ok_or_else(unread)?;
        let text: String = text.split_whitespace().collect();
        let bytes = STANDARD.decode(text).map_err(|_| unread())?;
        // A file that is no workflow asks for nothing: the forge does not run it either.
        Ok(std::str::from_utf8(&bytes).ok().and_then(workflow::read))
    }

    fn reads(
        &self,
        at: &Ref,
        workflow: &Workflow,
        job: &Job,
        names: &BTreeSet<String>,
        [own, above]: [&Owner; 2],
    ) -> Vec<Observation> {
        let mut wanted = job.secrets.clone();
        if job.takes_all {
            wanted.extend(names.iter().cloned());
        }
        let consumers = wanted.into_iter().map(|secret| {
            // Of two of one name the nearer one is read.
            let from = if names.contains(&secret) { own } else { above };
            Observation::Consumer(ObservedConsumer {
                at: at.clone(),
                reads: self.backend.names.secret(from, &secret),
                how: ConsumerHow::Env,
                container: None,
                attributes: job.facts(workflow, &secret),
            })
        });
        consumers.collect()
    }
}
