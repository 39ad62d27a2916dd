//! Workflow files on the default branch: which job reads which secret, and as whom a job is known to the outside.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::{
    model::ConsumerHow,
    observation::{Observation, ObservedConsumer},
    reference::Ref,
    workflow::{self, Job, Workflow},
};
use serde_json::json;

use super::{
    super::{
        names::{Family, Owner},
        wire::{Content, Repository, Secret, Secrets, SubjectClaim},
    },
    Survey,
    environments::Guarded,
    identity::identity,
};
use crate::client::Request;

/// Where secrets of a name come from: the nearest one that has it.
struct Sources<'s> {
    repository: &'s Repository,
    own: &'s BTreeSet<String>,
    guarded: &'s Guarded,
    /// Names that the organisation gives this repository. `None`: we may not list them.
    above: Option<BTreeSet<String>>,
}

impl Sources<'_> {
    fn owner(&self, job: &Job, secret: &str) -> Owner {
        let (owner, name) = (self.repository.owner.login.as_str(), self.repository.name.as_str());
        let environment = job.environment.as_deref().and_then(|one| self.guarded.get_key_value(one));
        if let Some((environment, names)) = environment
            && names.contains(secret)
        {
            return Owner::Environment {
                owner: owner.to_owned(),
                name: name.to_owned(),
                environment: environment.clone(),
            };
        }
        let above = match &self.above {
            Some(above) => above.contains(secret),
            None => self.repository.owner.is_organisation(),
        };
        // What nobody has is asked of the repository: there it would have to be made.
        if above && !self.own.contains(secret) {
            Owner::Organisation(owner.to_owned())
        } else {
            Owner::repository(owner, name)
        }
    }

    /// Everything that a job with this environment could be given.
    fn all(&self, job: &Job) -> BTreeSet<String> {
        let guarded = job.environment.as_deref().and_then(|one| self.guarded.get(one));
        let above = self.above.iter().flatten();
        self.own.iter().chain(guarded.into_iter().flatten()).chain(above).cloned().collect()
    }
}

impl Survey<'_> {
    /// `own` are the repository's own secrets, `guarded` those of its environments.
    pub(super) async fn workflows(
        &self,
        repository: &Repository,
        own: &BTreeSet<String>,
        guarded: &Guarded,
    ) -> Result<Vec<Observation>> {
        let (owner, name) = (repository.owner.login.as_str(), repository.name.as_str());
        let path = ["repos", owner, name, "contents", ".github", "workflows"];
        let found: Option<Vec<Content>> = self.backend.access.maybe("inventory", Request::get(&path)).await?;
        let above = self.given_from_above(repository).await?;
        let sources = Sources { repository, own, guarded, above };
        let (mut seen, mut asks) = (Vec::new(), false);
        for file in found.unwrap_or_default() {
            let is_workflow =
                file.kind == "file" && (file.name.ends_with(".yml") || file.name.ends_with(".yaml"));
            if !is_workflow {
                continue;
            }
            let Some(workflow) = self.workflow(repository, &file).await? else { continue };
            let at = self.backend.names.object(&format!("{owner}/{name}/workflows/{}", file.path));
            for job in &workflow.jobs {
                asks |= job.asks_for_identity();
                seen.extend(self.reads(&at.field(&format!("jobs/{}", job.name)), &workflow, job, &sources));
            }
        }
        if asks {
            seen.push(self.subject_claim(owner, name).await?);
        }
        Ok(seen)
    }

    /// Names of the organisation's secrets that this repository is given.
    async fn given_from_above(&self, repository: &Repository) -> Result<Option<BTreeSet<String>>> {
        if !repository.owner.is_organisation() {
            return Ok(Some(BTreeSet::new()));
        }
        let path = ["repos", &repository.owner.login, &repository.name, "actions", "organization-secrets"];
        match self.backend.access.all::<Secret, Secrets>("inventory", Request::get(&path)).await {
            Ok(all) => Ok(Some(all.into_iter().map(|one| one.name).collect())),
            Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As whom jobs of the repository are known to whoever trusts the forge's tokens: the form of `sub`. The repository's own, else the organisation's.
    async fn subject_claim(&self, owner: &str, name: &str) -> Result<Observation> {
        let mut jobs = identity(self.backend.names.object(&format!("{owner}/{name}/actions")));
        jobs.attributes.insert("federated".to_owned(), json!(true));
        let path = ["repos", owner, name, "actions", "oidc", "customization", "sub"];
        let own: Result<Option<SubjectClaim>> =
            self.backend.access.maybe("inventory", Request::get(&path)).await;
        let claim = match own {
            Ok(Some(own)) if !own.use_default => Some(own),
            Ok(_) => None,
            Err(error) if error.kind() == ErrorKind::Denied => {
                jobs.attributes.insert("oidc_subject".to_owned(), json!("unknown"));
                return Ok(Observation::Identity(jobs));
            }
            Err(error) => return Err(error),
        };
        let keys = match claim {
            // A repository with a form of its own and no keys takes the organisation's.
            Some(own) if own.include_claim_keys.is_empty() => {
                let path = ["orgs", owner, "actions", "oidc", "customization", "sub"];
                let above: Result<Option<SubjectClaim>> =
                    self.backend.access.maybe("inventory", Request::get(&path)).await;
                above.ok().flatten().map(|above| above.include_claim_keys)
            }
            Some(own) => Some(own.include_claim_keys),
            None => Some(vec!["repo".to_owned(), "context".to_owned()]),
        };
        let subject = keys.map_or_else(|| json!("unknown"), |keys| json!(keys));
        jobs.attributes.insert("oidc_subject".to_owned(), subject);
        Ok(Observation::Identity(jobs))
    }

    async fn workflow(&self, repository: &Repository, file: &Content) -> Result<Option<Workflow>> {
        let (owner, name) = (repository.owner.login.as_str(), repository.name.as_str());
        let mut path = vec!["repos", owner, name, "contents"];
        path.extend(file.path.split('/'));
        let whole: Option<Content> = self.backend.access.maybe("inventory", Request::get(&path)).await?;
        let unread =
            || Error::new(ErrorKind::Unexpected, "inventory", format!("{} could not be read", file.path));
        let text: String = whole.and_then(|whole| whole.content).ok_or_else(unread)?;
        let text: String = text.split_whitespace().collect();
        let bytes = STANDARD.decode(text).map_err(|_| unread())?;
        // A file that is no workflow asks for nothing: the forge does not run it either.
        Ok(std::str::from_utf8(&bytes).ok().and_then(workflow::read))
    }

    fn reads(&self, at: &Ref, workflow: &Workflow, job: &Job, sources: &Sources<'_>) -> Vec<Observation> {
        let mut wanted = job.secrets.clone();
        if job.takes_all {
            wanted.extend(sources.all(job));
        }
        let consumers = wanted.into_iter().map(|secret| {
            let from = sources.owner(job, &secret);
            Observation::Consumer(ObservedConsumer {
                at: at.clone(),
                reads: self.backend.names.secret(&from, Family::Actions, &secret),
                how: ConsumerHow::Env,
                container: None,
                attributes: job.facts(workflow, &secret),
            })
        });
        consumers.collect()
    }
}
