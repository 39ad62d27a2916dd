//! Workflow files of GitHub and Gitea Actions: which secrets each job reads by name, what it runs that others wrote, and what it may do. Pipelines of
//! GitLab are read in [`gitlab`], Jenkinsfiles in [`jenkins`]; what is found there is told in the same words.
//!
//! Format: GitHub's "Workflow syntax for GitHub Actions"; Gitea reads the same. Nothing is evaluated: a name that an expression computes
//! (`secrets[format(…)]`) is not known, and the job is said to read all.

pub mod exchange;
pub mod gitlab;
pub mod jenkins;
pub mod subject;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use yaml_serde::Value;

use crate::{format::yaml_text, model::Attributes};

/// A workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workflow {
    /// What starts it: `push`, `pull_request_target`, …
    pub triggers: BTreeSet<String>,
    /// Its jobs, as they stand.
    pub jobs: Vec<Job>,
}

/// A job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// Its key.
    pub name: String,
    /// Secrets that it names, in upper case, as forges compare them; the token that each run gets by itself is none of them.
    pub secrets: BTreeSet<String>,
    /// It takes all of them (`secrets: inherit`, `toJSON(secrets)`) or a name that is computed.
    pub takes_all: bool,
    /// Actions and workflows that lie elsewhere, as `uses` has them, each with the secrets that it is given: by its inputs, or by an environment in
    /// which it runs.
    pub uses: BTreeMap<String, BTreeSet<String>>,
    /// `permissions`, by scope; `*` for `read-all` and `write-all`. Empty: the forge's default.
    pub permissions: BTreeMap<String, String>,
    /// The environment that it deploys to.
    pub environment: Option<String>,
}

impl Job {
    /// What is worth knowing of one of its secrets: who else sees it there, and what starts and limits the job. For findings.
    pub fn facts(&self, workflow: &Workflow, secret: &str) -> Attributes {
        let seeing =
            self.uses.iter().filter(|(_, seen)| seen.contains(secret)).map(|(uses, _)| uses.as_str());
        let seeing: Vec<&str> = seeing.collect();
        let unpinned: Vec<&str> = seeing.iter().copied().filter(|uses| !is_pinned(uses)).collect();
        let mut facts = Attributes::from([
            ("ci_secret".to_owned(), json!(secret)),
            ("triggers".to_owned(), json!(workflow.triggers)),
            ("takes_all".to_owned(), json!(self.takes_all)),
            ("third_party".to_owned(), json!(seeing)),
            ("third_party_unpinned".to_owned(), json!(unpinned)),
            ("asks_for_identity".to_owned(), json!(self.asks_for_identity())),
        ]);
        if !self.permissions.is_empty() {
            facts.insert("permissions".to_owned(), json!(self.permissions));
        }
        if let Some(environment) = &self.environment {
            facts.insert("environment".to_owned(), json!(environment));
        }
        facts
    }

    /// May it ask the forge for a token that proves who it is (OIDC)?
    pub fn asks_for_identity(&self) -> bool {
        ["id-token", "*"]
            .iter()
            .any(|scope| self.permissions.get(*scope).is_some_and(|level| level == "write"))
    }
}

/// Reads a file. `None` if it is no workflow.
pub fn read(text: &str) -> Option<Workflow> {
    of_document(&yaml_text::parse(text)?.into_iter().next()?)
}

/// The same of a document that is parsed already.
pub fn of_document(document: &Value) -> Option<Workflow> {
    let jobs = document.get("jobs").filter(|jobs| jobs.is_mapping())?;
    let above = asked(document.get("env"));
    let permissions = permissions(document.get("permissions"));
    let jobs = jobs.as_mapping()?.iter().filter_map(|(name, job)| {
        let mut read = of_job(name.as_str()?, job, &above);
        if job.get("permissions").is_none() {
            read.permissions.clone_from(&permissions);
        }
        Some(read)
    });
    Some(Workflow { triggers: triggers(document), jobs: jobs.collect() })
}

/// Names of secrets, and whether all of them are meant.
#[derive(Default, Clone)]
struct Asked {
    names: BTreeSet<String>,
    all: bool,
}

impl Asked {
    fn add(&mut self, other: &Self) {
        self.names.extend(other.names.iter().cloned());
        self.all |= other.all;
    }
}

fn of_job(name: &str, job: &Value, above: &Asked) -> Job {
    let mut read = Job {
        name: name.to_owned(),
        permissions: permissions(job.get("permissions")),
        environment: environment(job.get("environment")),
        ..Job::default()
    };
    // Everything in the job counts, conditions and names too; the workflow's environment is the job's.
    let mut whole = above.clone();
    whole.add(&asked(Some(job)));
    if job.get("secrets").and_then(Value::as_str) == Some("inherit") {
        whole.all = true;
    }
    let mut around = above.clone();
    around.add(&asked(job.get("env")));
    for step in job.get("steps").and_then(Value::as_sequence).into_iter().flatten() {
        uses(&mut read.uses, step, &around);
    }
    // A job that is another workflow is given secrets by their names.
    uses(&mut read.uses, job, &Asked::default());
    (read.secrets, read.takes_all) = (whole.names, whole.all);
    read
}

/// What lies elsewhere and runs in a step, with what it sees there.
fn uses(into: &mut BTreeMap<String, BTreeSet<String>>, step: &Value, around: &Asked) {
    let Some(action) = step.get("uses").and_then(Value::as_str).filter(|action| !action.starts_with("./"))
    else {
        return;
    };
    let mut seen = around.clone();
    for part in ["with", "env", "secrets"] {
        seen.add(&asked(step.get(part)));
    }
    into.entry(action.to_owned()).or_default().extend(seen.names);
}

/// Named by a whole commit hash, so that nobody can change it under the job.
fn is_pinned(uses: &str) -> bool {
    let version = uses.rsplit_once('@').map_or("", |(_, version)| version);
    let hash = version.strip_prefix("sha256:").unwrap_or(version);
    matches!(hash.len(), 40 | 64) && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What stands under `on`. YAML 1.1 reads that word as true, and some parsers do.
fn on(document: &Value) -> Option<&Value> {
    document.get("on").or_else(|| {
        let mapping = document.as_mapping()?;
        mapping.iter().find(|(key, _)| key.as_bool() == Some(true)).map(|(_, value)| value)
    })
}

fn triggers(document: &Value) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match on(document) {
        Some(Value::String(one)) => BTreeSet::from([one.clone()]),
        Some(Value::Sequence(several)) => several.iter().filter_map(text).collect(),
        Some(Value::Mapping(several)) => several.iter().filter_map(|(key, _)| text(key)).collect(),
        _ => BTreeSet::new(),
    }
}

fn permissions(value: Option<&Value>) -> BTreeMap<String, String> {
    match value {
        Some(Value::String(all)) => {
            let level = all.strip_suffix("-all").unwrap_or(all);
            BTreeMap::from([("*".to_owned(), level.to_owned())])
        }
        Some(Value::Mapping(scopes)) => {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            scopes.iter().filter_map(|(scope, level)| Some((text(scope)?, text(level)?))).collect()
        }
        _ => BTreeMap::new(),
    }
}

fn environment(value: Option<&Value>) -> Option<String> {
    let value = value?;
    value.as_str().or_else(|| value.get("name")?.as_str()).map(str::to_owned)
}

/// Secrets that the expressions within a node name.
fn asked(node: Option<&Value>) -> Asked {
    let mut asked = Asked::default();
    if let Some(node) = node {
        walk(node, false, &mut asked);
    }
    asked
}

fn walk(node: &Value, condition: bool, asked: &mut Asked) {
    match node {
        Value::String(text) => {
            let mut rest = text.as_str();
            let mut found = false;
            while let Some((_, after)) = rest.split_once("${{") {
                let (expression, after) = after.split_once("}}").unwrap_or((after, ""));
                in_expression(expression, asked);
                (rest, found) = (after, true);
            }
            // A condition is an expression as it stands.
            if condition && !found {
                in_expression(text, asked);
            }
        }
        Value::Sequence(items) => items.iter().for_each(|item| walk(item, false, asked)),
        Value::Mapping(members) => {
            members.iter().for_each(|(key, value)| walk(value, key.as_str() == Some("if"), asked));
        }
        Value::Tagged(tagged) => walk(&tagged.value, condition, asked),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `secrets.NAME`, `secrets['NAME']`, and `secrets` by itself. Words are compared whatever their case.
fn in_expression(expression: &str, asked: &mut Asked) {
    let lower = expression.to_ascii_lowercase();
    for (start, word) in lower.match_indices("secrets") {
        let before = expression[..start].chars().next_back();
        if before
            .is_some_and(|before| before.is_ascii_alphanumeric() || matches!(before, '_' | '-' | '.' | '\''))
        {
            continue;
        }
        let after = expression[start + word.len()..].trim_start();
        if after.starts_with(|next: char| next.is_ascii_alphanumeric() || matches!(next, '_' | '-')) {
            continue;
        }
        let is_name = |letter: &char| letter.is_ascii_alphanumeric() || matches!(*letter, '_' | '-');
        let name: Option<String> = if let Some(member) = after.strip_prefix('.') {
            Some(member.trim_start().chars().take_while(is_name).collect())
        } else if let Some(index) = after.strip_prefix('[') {
            let quoted = index.trim_start().strip_prefix('\'').and_then(|text| text.split_once('\''));
            quoted.filter(|(_, rest)| rest.trim_start().starts_with(']')).map(|(name, _)| name.to_owned())
        } else {
            None
        };
        match name.map(|name| name.to_ascii_uppercase()) {
            Some(name) if !name.is_empty() => {
                // Every run has one of its own, which ends with it.
                if !matches!(name.as_str(), "GITHUB_TOKEN" | "GITEA_TOKEN") {
                    asked.names.insert(name);
                }
            }
            _ => asked.all = true,
        }
    }
}

#[cfg(test)]
mod tests;
