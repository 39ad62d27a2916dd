//! Pipelines of GitLab and Jenkins: which variables and credentials their jobs ask for by name.
//!
//! What a name stands for lies at the forge. Where the folder is said to be a repository of a GitLab, a variable is taken for that project's; its environment
//! scope is not known here, nor whether a group above has it. Everything else is `unresolved`, and what cannot be decided at all is read as `*`.

use claviger_core::{
    model::{Attributes, ConsumerHow},
    observation::Observation,
    reference::Ref,
    workflow::{gitlab, jenkins},
};
use serde_json::json;
use yaml_serde::Value;

use crate::sighting::{Home, below, consumer};

/// What every shell has, and nobody keeps in a forge.
const OF_SHELLS: &[&str] = &[
    "BASH",
    "DISPLAY",
    "EUID",
    "HOME",
    "HOSTNAME",
    "IFS",
    "LANG",
    "LC_ALL",
    "LINENO",
    "OLDPWD",
    "OSTYPE",
    "PATH",
    "PIPESTATUS",
    "PPID",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELL",
    "TERM",
    "TMPDIR",
    "UID",
    "USER",
];

/// Jobs of a GitLab pipeline.
pub(crate) fn gitlab(home: &Home, repository: Option<&Ref>, documents: &[Value]) -> Vec<Observation> {
    let Some(pipeline) = gitlab::of_documents(documents) else { return Vec::new() };
    let mut found = Vec::new();
    for job in &pipeline.workflow.jobs {
        let at = below(&home.at, &[&job.name]);
        let asked = job.secrets.iter().filter(|name| {
            name.len() > 1
                && !name.starts_with('_')
                && !pipeline.defined.contains(*name)
                && !OF_SHELLS.contains(&name.as_str())
        });
        for name in asked {
            let mut facts = job.facts(&pipeline.workflow, name);
            facts.insert("elsewhere".to_owned(), json!(pipeline.elsewhere));
            let reads = match repository {
                Some(repository) => Ref::from_text(format!("{repository}/variables/{name}@*")),
                None => {
                    facts.insert("unresolved".to_owned(), json!(true));
                    below(&home.at, &["variables", name])
                }
            };
            found.push(consumer(&at, reads, ConsumerHow::Env, None, facts));
        }
        for secret in pipeline.vault.get(&job.name).into_iter().flatten() {
            let facts = Attributes::from([
                ("ci_secret".to_owned(), json!(secret.variable)),
                ("vault".to_owned(), json!(format!("{}/{}#{}", secret.mount, secret.path, secret.field))),
                // Which of our backends that Vault is, the file does not say.
                ("unresolved".to_owned(), json!(true)),
            ]);
            let reads = below(&home.at, &["vault", &secret.mount, &secret.path, &secret.field]);
            found.push(consumer(&at, reads, ConsumerHow::Env, None, facts));
        }
    }
    found
}

/// Stages of a Jenkinsfile.
pub(crate) fn jenkins(home: &Home, text: &str) -> Vec<Observation> {
    let Some(file) = jenkins::read(text) else { return Vec::new() };
    let mut found = Vec::new();
    for stage in &file.workflow.jobs {
        let at =
            if stage.name.is_empty() { home.at.clone() } else { below(&home.at, &["stages", &stage.name]) };
        // One whose id is computed may be any.
        let any = stage.takes_all.then_some("*");
        for id in stage.secrets.iter().map(String::as_str).chain(any) {
            let mut facts = stage.facts(&file.workflow, id);
            facts.insert("unresolved".to_owned(), json!(true));
            facts.insert("unknown".to_owned(), json!(file.unknown));
            found.push(consumer(&at, below(&home.at, &["credentials", id]), ConsumerHow::Env, None, facts));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use claviger_core::model::Place;

    use super::*;
    use crate::document;

    fn home(file: &str) -> Home {
        Home::file(&Ref::from_text(format!("repo/{file}")), Place::Literal, "workflow")
    }

    fn reads(found: &[Observation]) -> Vec<(String, String, bool)> {
        let consumers = found.iter().filter_map(|one| match one {
            Observation::Consumer(one) => {
                let unresolved = one.attributes.get("unresolved") == Some(&json!(true));
                Some((one.at.to_string(), one.reads.to_string(), unresolved))
            }
            _ => None,
        });
        consumers.collect()
    }

    const PIPELINE: &str = "variables: { REGION: eu }\ndeploy:\n  secrets: { OPS: { vault: production/db/password@ops } }\n  script: ['TAG=1', 'deploy $DB_PASSWORD $TAG $REGION $HOME $CI_JOB_ID']\n";

    #[test]
    fn a_variable_is_the_projects_where_the_folder_is_said_to_be_one() {
        let documents = document::parse(PIPELINE).unwrap_or_else(|_| panic!("YAML"));
        let repository = Ref::from_text("forge/acme/shop");
        let found = gitlab(&home(".gitlab-ci.yml"), Some(&repository), &documents);
        let at = "repo/.gitlab-ci.yml#deploy".to_owned();
        assert_eq!(
            reads(&found),
            [
                (at.clone(), "forge/acme/shop/variables/DB_PASSWORD@*".to_owned(), false),
                (at.clone(), "repo/.gitlab-ci.yml#vault/ops/production~1db/password".to_owned(), true),
            ]
        );
        let found = gitlab(&home(".gitlab-ci.yml"), None, &documents);
        assert_eq!(reads(&found)[0], (at, "repo/.gitlab-ci.yml#variables/DB_PASSWORD".to_owned(), true));
    }

    #[test]
    fn a_stage_reads_what_it_asks_for_and_what_is_not_known_is_said_so() {
        let text = "pipeline { stages {\n stage('a') { environment { X = credentials('db') } }\n stage('b') { steps { x(credentialsId: NAME) } } } }";
        let found = jenkins(&home("Jenkinsfile"), text);
        assert_eq!(
            reads(&found),
            [
                ("repo/Jenkinsfile#stages/a".to_owned(), "repo/Jenkinsfile#credentials/db".to_owned(), true),
                ("repo/Jenkinsfile#stages/b".to_owned(), "repo/Jenkinsfile#credentials/*".to_owned(), true),
            ]
        );
    }
}
