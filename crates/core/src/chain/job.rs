use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Known, Source};
use crate::{reference::Ref, view::ConsumerView};

/// A job of a CI system that is given a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The job.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// The file that describes it.
    pub file: Ref,
    /// Its name in that file, where it has one.
    pub job: Option<String>,
    /// What starts it, as far as the file says.
    pub triggers: Vec<String>,
    /// Whether a pull request from a fork comes to the secret by it.
    pub forks: Forks,
    /// What its own token may do at the forge, by scope. `None`: the file does not say, and the forge's default holds.
    pub permissions: Option<BTreeMap<String, String>>,
    /// Code of others that sees the secret there.
    pub foreign: Vec<Foreign>,
    /// The environment that it deploys to.
    pub environment: Option<String>,
    /// It takes all secrets that there are, not this one by its name.
    pub takes_all: bool,
    /// Where that is known from.
    pub known: Known,
}

/// An action or workflow that lies elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// As the job names it.
    pub uses: String,
    /// By a whole hash, so that nobody changes it under the job.
    pub pinned: bool,
}

/// Whether a pull request from a fork comes to the secrets of a job.
///
/// Sources: GitHub, "Events that trigger workflows": runs of `pull_request_target` and `workflow_run` have the base repository's secrets, those of `pull_request`
/// from a fork have none unless a private repository is set to send them. Gitea gives none to a fork's `pull_request` either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forks {
    /// They start it, and it has the secret.
    Reach,
    /// They start it only after somebody approved its environment, if that environment asks for it.
    ByEnvironment,
    /// They start it, and the forge gives it no secret then, unless it is set to.
    Withheld,
    /// They do not start it.
    No,
    /// What starts it is not known.
    Unknown,
}

/// Triggers whose runs have secrets although a fork's pull request may be what starts them.
const WITH_SECRETS: [&str; 2] = ["pull_request_target", "workflow_run"];

impl Forks {
    fn of(triggers: &[String], guarded: bool) -> Self {
        let has = |wanted: &str| triggers.iter().any(|trigger| trigger == wanted);
        if WITH_SECRETS.into_iter().any(has) {
            return if guarded { Self::ByEnvironment } else { Self::Reach };
        }
        // What calls it is started by something, too.
        if triggers.is_empty() || has("workflow_call") {
            return Self::Unknown;
        }
        if has("pull_request") { Self::Withheld } else { Self::No }
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Reach => "pull requests from forks come to it",
            Self::ByEnvironment => "pull requests from forks come to it, if its environment lets them",
            Self::Withheld => {
                "pull requests from forks start it, and get no secret unless the forge is set to send them"
            }
            Self::No => "pull requests from forks do not start it",
            Self::Unknown => "whether pull requests from forks come to it is not known",
        }
    }
}

impl Job {
    /// `None` for a consumer that is no job.
    pub(super) fn of(consumer: &ConsumerView) -> Option<Self> {
        let facts = &consumer.attributes;
        facts.get("ci_secret")?;
        let texts = |key: &str| -> Vec<String> {
            let all = facts.get(key).and_then(Value::as_array).into_iter().flatten();
            all.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let triggers = texts("triggers");
        let unpinned = texts("third_party_unpinned");
        let foreign = texts("third_party").into_iter();
        let foreign = foreign.map(|uses| Foreign { pinned: !unpinned.contains(&uses), uses }).collect();
        let environment = facts.get("environment").and_then(Value::as_str).map(str::to_owned);
        let permissions = facts.get("permissions").and_then(Value::as_object).map(|scopes| {
            let levels =
                scopes.iter().filter_map(|(scope, level)| Some((scope.clone(), level.as_str()?.to_owned())));
            levels.collect()
        });
        let file = consumer.at.object();
        Some(Self {
            at: consumer.at.clone(),
            job: consumer
                .at
                .field_name()
                .map(|field| field.strip_prefix("jobs/").unwrap_or(field).to_owned()),
            forks: Forks::of(&triggers, environment.is_some()),
            triggers,
            permissions,
            foreign,
            environment,
            takes_all: facts.get("takes_all").and_then(Value::as_bool).unwrap_or(false),
            known: Known::new(Source::Workflow, &file),
            file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_come_to_secrets_by_what_starts_the_job() {
        let of = |triggers: &[&str], guarded| {
            Forks::of(&triggers.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>(), guarded)
        };
        assert_eq!(of(&["push", "pull_request_target"], false), Forks::Reach);
        assert_eq!(of(&["pull_request_target"], true), Forks::ByEnvironment);
        assert_eq!(of(&["workflow_run", "pull_request"], false), Forks::Reach);
        assert_eq!(of(&["push", "pull_request"], false), Forks::Withheld);
        assert_eq!(of(&["push", "workflow_dispatch"], false), Forks::No);
        assert_eq!(of(&["push", "workflow_call"], false), Forks::Unknown);
        assert_eq!(of(&[], false), Forks::Unknown);
    }
}
