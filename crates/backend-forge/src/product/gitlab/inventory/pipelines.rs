//! The pipeline file on a project's default branch: which job names which variable.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::{
    model::{Attributes, ConsumerHow},
    observation::{Observation, ObservedConsumer},
    reference::Ref,
    workflow::gitlab::{self, Pipeline},
};
use serde_json::json;

use super::{
    super::wire::{File, Project},
    Survey,
    variables::Standing,
};
use crate::client::Request;

/// Where GitLab looks for it.
const FILE: &str = ".gitlab-ci.yml";

impl Survey<'_> {
    pub(super) async fn pipelines(&self, project: &Project, standing: &Standing) -> Result<Vec<Observation>> {
        let Some(branch) = project.default_branch.as_deref() else { return Ok(Vec::new()) };
        let path = project.ci_config_path.as_deref().filter(|path| !path.is_empty()).unwrap_or(FILE);
        if path.contains("://") || path.contains('@') {
            let text = format!("{path} lies in another project or on another server, and is not read");
            return Err(Error::new(ErrorKind::Unsupported, "inventory", text));
        }
        let number = project.id.to_string();
        let below = ["projects", number.as_str(), "repository", "files", path];
        let query = [("ref", branch)];
        let request = Request { query: &query, ..Request::get(&below) };
        let found: Option<File> = self.backend.api.maybe("inventory", request).await?;
        let Some(file) = found else { return Ok(Vec::new()) };
        let unread = || Error::new(ErrorKind::Unexpected, "inventory", format!("{path} could not be read"));
        let text: String = file.content.split_whitespace().collect();
        let bytes = STANDARD.decode(text).map_err(|_| unread())?;
        // GitLab runs no pipeline of a file that is none.
        let Some(pipeline) = std::str::from_utf8(&bytes).ok().and_then(gitlab::read) else {
            return Ok(Vec::new());
        };
        let area = &project.path_with_namespace;
        let at = self.backend.names.object(&format!("{area}/pipelines/{path}"));
        Ok(given(&at, &pipeline, area, standing))
    }
}

/// Which variable which job is given. All are given all; a job that names one is told of that one, and what no job names is told of the file as a whole:
/// some program in it may read it.
fn given(at: &Ref, pipeline: &Pipeline, project: &str, standing: &Standing) -> Vec<Observation> {
    let mut consumers = Vec::new();
    let mut named = BTreeSet::new();
    let consumer = |at: Ref, reads: &Ref, attributes: Attributes| {
        Observation::Consumer(ObservedConsumer {
            at,
            reads: reads.clone(),
            how: ConsumerHow::Env,
            container: None,
            attributes,
        })
    };
    for job in &pipeline.workflow.jobs {
        for key in &job.secrets {
            for reads in standing.given(project, key, job.environment.as_deref()) {
                named.insert(key.as_str());
                let mut facts = job.facts(&pipeline.workflow, key);
                facts.insert("elsewhere".to_owned(), json!(pipeline.elsewhere));
                consumers.push(consumer(at.field(&format!("jobs/{}", job.name)), reads, facts));
            }
        }
    }
    let unnamed: BTreeSet<&str> = standing.keys(project).filter(|key| !named.contains(key)).collect();
    let environments: BTreeSet<Option<&str>> =
        pipeline.workflow.jobs.iter().map(|job| job.environment.as_deref()).collect();
    for key in unnamed {
        let reads: BTreeSet<&Ref> =
            environments.iter().flat_map(|environment| standing.given(project, key, *environment)).collect();
        for reads in reads {
            let facts = Attributes::from([
                ("ci_secret".to_owned(), json!(key)),
                ("takes_all".to_owned(), json!(true)),
                ("elsewhere".to_owned(), json!(pipeline.elsewhere)),
            ]);
            consumers.push(consumer(at.clone(), reads, facts));
        }
    }
    consumers
}
