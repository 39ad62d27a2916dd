//! As whom a job of GitHub Actions is known to whoever trusts the forge's tokens: `sub`, whole, where it can be told from the file.
//!
//! Sources: GitHub's "OpenID Connect reference" (an environment beats what started the run; else a run for a pull request has no branch; `:` in a value
//! is written `%3A`; the form may be a repository's or an organisation's own) and "Immutable subject claims"; "Events that trigger workflows" for the
//! branch that an event runs for.

use std::collections::BTreeSet;

use yaml_serde::Value;

use super::{Job, on};
use crate::format::yaml_text;

/// A repository, by its names and numbers, which may both stand in `sub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its owner's name.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// Its owner's number.
    pub owner_id: u64,
    /// Its number.
    pub id: u64,
    /// The branch whose files are read.
    pub default_branch: String,
}

/// The form of `sub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Its parts, in their order: `repo` and `context` in the forge's own form.
    pub keys: Vec<String>,
    /// Owner and repository stand in it with their numbers.
    pub immutable: bool,
}

impl Form {
    /// The forge's own.
    pub fn own(immutable: bool) -> Self {
        Self { keys: vec!["repo".to_owned(), "context".to_owned()], immutable }
    }
}

/// Why `sub` cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotTold(String);

fn not_told<T>(why: impl Into<String>) -> Result<T, NotTold> {
    Err(NotTold(why.into()))
}

/// Events that run for the default branch, whatever they are about.
const OF_DEFAULT: [&str; 5] = ["schedule", "repository_dispatch", "workflow_run", "issues", "issue_comment"];
/// Parts that say which repository it is.
const WHICH: [&str; 4] = ["repo", "repository", "repository_id", "job_workflow_ref"];
/// Parts that say for what it runs.
const WHAT: [&str; 4] = ["context", "ref", "environment", "job_workflow_ref"];

/// What to do where it cannot be told.
const INSTEAD: &str = "give the job an `environment`, whose name then is what `sub` says, or limit the workflow to pushes to the default branch";

/// `sub` of every token of this job in the file at this path, if there is one.
///
/// # Errors
/// It depends on what the file does not say, or has a form that is not known here.
pub fn subject(path: &str, text: &str, job: &Job, of: &Repository, form: &Form) -> Result<String, NotTold> {
    let environment = match job.environment.as_deref() {
        Some(computed) if computed.contains("${{") => {
            return not_told(format!("the environment of the job `{}` is computed: {INSTEAD}", job.name));
        }
        environment => environment.map(|name| format!("environment:{}", escaped(name))),
    };
    if let Some(lacking) = [("repository", WHICH), ("branch or environment", WHAT)]
        .into_iter()
        .find(|(_, parts)| !form.keys.iter().any(|key| parts.contains(&key.as_str())))
    {
        return not_told(format!(
            "the repository's own form of `sub` ({}) does not say which {}: others would be let in too",
            form.keys.join(", "),
            lacking.0
        ));
    }
    let branch = || branch(text, job, &of.default_branch);
    let repo = match form.immutable {
        true => format!("repo:{}@{}/{}@{}", of.owner, of.owner_id, of.name, of.id),
        false => format!("repo:{}/{}", of.owner, of.name),
    };
    let mut parts = Vec::new();
    for key in &form.keys {
        parts.push(match key.as_str() {
            "repo" => repo.clone(),
            "context" => match &environment {
                Some(environment) => environment.clone(),
                None => format!("ref:{}", branch()?),
            },
            "environment" => match &environment {
                Some(environment) => environment.clone(),
                None => {
                    return not_told(format!(
                        "its form of `sub` asks for an environment, and the job `{}` has none",
                        job.name
                    ));
                }
            },
            "ref" => format!("ref:{}", branch()?),
            "repository" => format!("repository:{}/{}", of.owner, of.name),
            "repository_id" => format!("repository_id:{}", of.id),
            "repository_owner" => format!("repository_owner:{}", of.owner),
            "repository_owner_id" => format!("repository_owner_id:{}", of.owner_id),
            "job_workflow_ref" => format!("job_workflow_ref:{}/{}/{path}@{}", of.owner, of.name, branch()?),
            other => {
                return not_told(format!(
                    "its form of `sub` has the part `{other}`, whose value cannot be told from here"
                ));
            }
        });
    }
    Ok(parts.join(":"))
}

fn escaped(value: &str) -> String {
    value.replace(':', "%3A")
}

/// The one branch that the job runs for, as `refs/heads/…`: the one whose file was read.
fn branch(text: &str, job: &Job, default: &str) -> Result<String, NotTold> {
    let documents = yaml_text::parse(text).unwrap_or_default();
    let mut branches = BTreeSet::new();
    let unlimited = |event: &str| {
        not_told(format!(
            "`{event}` starts the job `{}` for more than one branch, tag or pull request: {INSTEAD}",
            job.name
        ))
    };
    for (event, limits) in events(documents.first()) {
        match event {
            "push" => match pushed(limits) {
                Some(named) => branches.extend(named),
                None => return unlimited(event),
            },
            event if OF_DEFAULT.contains(&event) => {
                branches.insert(default.to_owned());
            }
            event => return unlimited(event),
        }
    }
    match branches.into_iter().collect::<Vec<_>>().as_slice() {
        [one] if one == default => Ok(format!("refs/heads/{one}")),
        [one] => not_told(format!(
            "the job `{}` runs for `{one}`, and files are read on `{default}` alone: {INSTEAD}",
            job.name
        )),
        [] => not_told(format!("what starts the job `{}` is not said", job.name)),
        several => not_told(format!("the job `{}` runs for {}: {INSTEAD}", job.name, several.join(", "))),
    }
}

fn events(document: Option<&Value>) -> Vec<(&str, Option<&Value>)> {
    match document.and_then(on) {
        Some(Value::String(one)) => vec![(one, None)],
        Some(Value::Sequence(several)) => {
            several.iter().map(|one| (one.as_str().unwrap_or("?"), None)).collect()
        }
        Some(Value::Mapping(several)) => {
            several.iter().map(|(key, limits)| (key.as_str().unwrap_or("?"), Some(limits))).collect()
        }
        _ => Vec::new(),
    }
}

/// The branches whose pushes start it, by name; `None` where tags do too, or a pattern says which.
fn pushed(limits: Option<&Value>) -> Option<Vec<String>> {
    let limits = limits?.as_mapping()?;
    if limits.keys().any(|key| !matches!(key.as_str(), Some("branches" | "paths" | "paths-ignore"))) {
        return None;
    }
    let named: Vec<&str> = match limits.get("branches")? {
        Value::String(one) => vec![one],
        Value::Sequence(several) => several.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    let is_pattern = |name: &&str| name.contains(['*', '?', '+', '[', ']', '!', '{', '}', '\\']);
    (!named.iter().any(is_pattern)).then(|| named.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = ".github/workflows/deploy.yml";

    fn of(on: &str, environment: &str, form: &Form) -> Result<String, NotTold> {
        let text =
            format!("on: {on}\njobs:\n  deploy:\n{environment}    runs-on: x\n    steps: [{{ run: x }}]\n");
        let workflow = super::super::read(&text).expect("a workflow");
        let repository = Repository {
            owner: "acme".into(),
            name: "shop".into(),
            owner_id: 7,
            id: 42,
            default_branch: "main".into(),
        };
        subject(PATH, &text, &workflow.jobs[0], &repository, form)
    }

    fn form(keys: &[&str]) -> Form {
        Form { keys: keys.iter().map(ToString::to_string).collect(), immutable: false }
    }

    #[test]
    fn an_exact_subject_is_told() {
        let own = Form::own(false);
        for (on, environment, form, expected) in [
            ("{ push: { branches: [main] } }", "", &own, "repo:acme/shop:ref:refs/heads/main"),
            (
                "{ push: { branches: main }, schedule: [{ cron: x }] }",
                "",
                &own,
                "repo:acme/shop:ref:refs/heads/main",
            ),
            ("push", "    environment: live\n", &own, "repo:acme/shop:environment:live"),
            (
                "pull_request",
                "    environment: { name: 'live:eu' }\n",
                &own,
                "repo:acme/shop:environment:live%3Aeu",
            ),
            (
                "{ push: { branches: [main] } }",
                "",
                &Form::own(true),
                "repo:acme@7/shop@42:ref:refs/heads/main",
            ),
            (
                "{ push: { branches: [main] } }",
                "",
                &form(&["repository_owner", "repository_id", "ref"]),
                "repository_owner:acme:repository_id:42:ref:refs/heads/main",
            ),
            (
                "{ push: { branches: [main] } }",
                "",
                &form(&["job_workflow_ref"]),
                "job_workflow_ref:acme/shop/.github/workflows/deploy.yml@refs/heads/main",
            ),
        ] {
            assert_eq!(of(on, environment, form).as_deref(), Ok(expected), "{on} {environment}");
        }
    }

    #[test]
    fn what_runs_for_several_has_none() {
        let own = Form::own(false);
        for (on, environment, form, word) in [
            ("push", "", &own, "`push` starts"),
            ("[push]", "", &own, "`push` starts"),
            ("{ push: { branches: ['release/**'] } }", "", &own, "`push` starts"),
            ("{ push: { branches: ['*'] } }", "", &own, "`push` starts"),
            ("{ push: { branches: [main], tags: [v1] } }", "", &own, "`push` starts"),
            ("{ push: { branches-ignore: [x] } }", "", &own, "`push` starts"),
            ("{ push: { branches: [main, next] } }", "", &own, "runs for main, next"),
            ("{ push: { branches: [next] } }", "", &own, "read on `main` alone"),
            ("{ push: { branches: [main] }, pull_request: }", "", &own, "`pull_request` starts"),
            ("pull_request_target", "", &own, "`pull_request_target`"),
            ("workflow_dispatch", "", &own, "`workflow_dispatch`"),
            ("workflow_call", "", &own, "`workflow_call`"),
            ("release", "", &own, "`release`"),
            ("{}", "", &own, "is not said"),
            ("push", "    environment: ${{ inputs.where }}\n", &own, "computed"),
            ("push", "    environment: live\n", &form(&["repo"]), "which branch or environment"),
            ("push", "    environment: live\n", &form(&["context"]), "which repository"),
            ("push", "    environment: live\n", &form(&["repo", "context", "actor"]), "`actor`"),
            ("{ push: { branches: [main] } }", "", &form(&["repo", "environment"]), "has none"),
        ] {
            let why = of(on, environment, form).expect_err(on).to_string();
            assert!(why.contains(word), "{on}: {why}");
        }
    }
}
