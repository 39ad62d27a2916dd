//! A workflow file of GitHub Actions whose jobs take a short-lived identity at AWS instead of an access key: changed as text, so that comments and order
//! stay, and read again afterwards.
//!
//! Sources: GitHub's "Workflow syntax for GitHub Actions" and "Configuring OpenID Connect in Amazon Web Services"; the inputs of
//! `aws-actions/configure-aws-credentials` (its `action.yml`). What is not understood is refused: a file that was half changed would be worse than none.

mod edit;
mod text;

use std::collections::BTreeSet;

use yaml_serde::Value;

use self::{
    edit::Edits,
    text::{Block, Lines},
};
use super::{Job, Workflow};
use crate::{format::yaml_text, patch};

/// The action that logs a job in.
const ACTION: &str = "aws-actions/configure-aws-credentials";
/// Its version that is written where there is none yet.
const VERSION: &str = "v4";
/// Its inputs that hold an access key.
const KEY_INPUTS: [&str; 3] = ["aws-access-key-id", "aws-secret-access-key", "aws-session-token"];
/// Its inputs by which it logs in otherwise already: what the key is for there is another question.
const OTHER_INPUTS: [&str; 5] =
    ["role-to-assume", "web-identity-token-file", "role-chaining", "role-external-id", "aws-profile"];
/// Variables of the SDKs that hold an access key.
const KEY_VARIABLES: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
/// Variables that say where.
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// The permission to ask for a token.
const TOKEN: &str = "id-token";

/// What takes the key's place.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The secret that the jobs name, in upper case.
    pub secret: &'a str,
    /// ARN of the role.
    pub role: &'a str,
    /// The region, where the file says none.
    pub region: &'a str,
}

/// A file that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged {
    /// Its text.
    pub text: String,
    /// The patch, by the path that was given.
    pub patch: String,
    /// The jobs that were changed.
    pub jobs: Vec<String>,
    /// What their owner should know.
    pub notes: Vec<String>,
}

/// Why a file is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotUnderstood(String);

fn not_understood<T>(why: impl Into<String>) -> Result<T, NotUnderstood> {
    Err(NotUnderstood(why.into()))
}

/// The jobs that read this secret.
pub fn readers<'w>(workflow: &'w Workflow, secret: &'w str) -> impl Iterator<Item = &'w Job> {
    workflow.jobs.iter().filter(move |job| job.takes_all || job.secrets.contains(secret))
}

/// Changes all jobs of a file that read the secret.
///
/// # Errors
/// The file, or a way in which a job reads the secret, is not understood. Nothing is guessed.
pub fn exchange(path: &str, text: &str, wanted: Exchange<'_>) -> Result<Exchanged, NotUnderstood> {
    if text.contains('\r') || text.contains('\t') {
        return not_understood("it has tabulators or line ends of another system");
    }
    let documents = yaml_text::parse(text).unwrap_or_default();
    let [document] = documents.as_slice() else { return not_understood("it is no single YAML document") };
    let Some(workflow) = super::of_document(document) else { return not_understood("it is no workflow") };
    let jobs: Vec<&Job> = readers(&workflow, wanted.secret).collect();
    if jobs.is_empty() {
        return not_understood(format!("no job of it reads {}", wanted.secret));
    }
    let lines = Lines::of(text);
    let mut change =
        Change { lines: &lines, document, wanted, edits: Edits::default(), notes: BTreeSet::new() };
    change.file(&jobs)?;
    let (edits, mut notes) = (change.edits.lines(&lines), change.notes);
    let after: String = edits
        .iter()
        .filter_map(|line| match line {
            patch::Line::Kept(text) => Some(*text),
            patch::Line::Added(text) => Some(text.as_str()),
            patch::Line::Removed(_) => None,
        })
        .collect();
    verify(document, &after, &jobs, wanted)?;
    notes.insert(format!(
        "`{ACTION}` gives every step after it the role's session: steps that were not given the key are given that too"
    ));
    Ok(Exchanged {
        patch: patch::unified(path, &edits),
        text: after,
        jobs: jobs.iter().map(|job| job.name.clone()).collect(),
        notes: notes.into_iter().collect(),
    })
}

struct Change<'c, 't> {
    lines: &'c Lines<'t>,
    document: &'c Value,
    wanted: Exchange<'c>,
    edits: Edits,
    notes: BTreeSet<String>,
}

impl<'t> Change<'_, 't> {
    fn file(&mut self, jobs: &[&Job]) -> Result<(), NotUnderstood> {
        let whole = self.lines.whole();
        let all =
            self.lines.key(&whole, "jobs").map(|block| self.lines.keys(&block.body)).unwrap_or_default();
        let above = match self.lines.key(&whole, "env") {
            Some(block) => self.variables(&block, false)?,
            None => None,
        };
        for job in jobs {
            if job.takes_all {
                return not_understood(format!(
                    "the job `{}` takes all secrets, or one whose name is computed",
                    job.name
                ));
            }
            let Some((_, block)) = all.iter().find(|(name, _)| *name == job.name) else {
                return not_understood(format!("the job `{}` is not written as others are", job.name));
            };
            self.job(job, block, above.clone())?;
        }
        Ok(())
    }

    /// `above` is the region that the file's own variables say, where the key is among them.
    fn job(&mut self, job: &Job, block: &Block<'t>, above: Option<Region>) -> Result<(), NotUnderstood> {
        let keys = self.lines.keys(&block.body);
        let of = |name: &str| keys.iter().find(|(key, _)| *key == name).map(|(_, block)| block);
        let Some(steps) = of("steps") else {
            return not_understood(format!(
                "the job `{}` has no steps: it is a workflow that lies elsewhere",
                job.name
            ));
        };
        let items = self.lines.items(&steps.body);
        let Some(first) = items.first() else {
            return not_understood(format!(
                "the steps of the job `{}` are not written one below the other",
                job.name
            ));
        };
        let own = match of("env") {
            Some(block) => self.variables(block, false)?,
            None => None,
        };
        let mut before = own.or(above).map(|region| (first.start, region));
        for item in &items {
            let keys = self.lines.keys_of_item(item);
            let of = |name: &str| keys.iter().find(|(key, _)| *key == name).map(|(_, block)| block);
            let is_login = of("uses")
                .is_some_and(|uses| uses.value.trim_matches(['"', '\'']).split('@').next() == Some(ACTION));
            if let (true, Some(with)) = (is_login, of("with")) {
                self.inputs(job, with)?;
            }
            if let Some(block) = of("env")
                && let Some(region) = self.variables(block, block.line == item.start)?
            {
                before.get_or_insert((item.start, region));
            }
        }
        if let Some((line, region)) = before {
            self.login(line, &region);
        }
        let Some(depth) = self.lines.depth(&block.body) else {
            return not_understood(format!("the job `{}` is empty", job.name));
        };
        self.permissions(job, of("permissions"), (block.line, depth))
    }

    /// Inputs of the action: those with the key give way to the role.
    fn inputs(&mut self, job: &Job, with: &Block<'t>) -> Result<(), NotUnderstood> {
        let keys = self.lines.keys(&with.body);
        let held: Vec<&Block<'t>> =
            keys.iter().filter(|(key, _)| KEY_INPUTS.contains(key)).map(|(_, block)| block).collect();
        let Some(first) = held.first().filter(|_| held.iter().any(|block| self.names(block))) else {
            return Ok(());
        };
        if let Some((other, _)) = keys.iter().find(|(key, _)| OTHER_INPUTS.contains(key)) {
            return not_understood(format!(
                "the job `{}` logs in by `{other}` with its key: another role is meant there",
                job.name
            ));
        }
        let depth = self.lines.depth(&with.body).unwrap_or_default();
        let mut added = vec![format!("role-to-assume: {}", self.wanted.role)];
        if !keys.iter().any(|(key, _)| *key == "aws-region") {
            added.push(format!("aws-region: {}", self.wanted.region));
        }
        self.edits.add(first.line, depth, added);
        for block in held {
            self.take(block)?;
        }
        Ok(())
    }

    /// Takes the key out of variables. The region that stands beside it, if the key was there.
    fn variables(&mut self, env: &Block<'t>, behind_dash: bool) -> Result<Option<Region>, NotUnderstood> {
        let keys = self.lines.keys(&env.body);
        let held: Vec<&Block<'t>> =
            keys.iter().filter(|(key, _)| KEY_VARIABLES.contains(key)).map(|(_, block)| block).collect();
        if !held.iter().any(|block| self.names(block)) {
            return Ok(None);
        }
        if held.len() == keys.len() {
            if behind_dash {
                return not_understood("a step begins with `env`, of which nothing would be left");
            }
            self.edits.remove(env.line);
        }
        for block in held {
            self.take(block)?;
        }
        let region = REGION_VARIABLES.iter().find_map(|name| {
            let value = keys.iter().find(|(key, _)| key == name)?.1.value;
            (!value.is_empty()).then(|| value.to_owned())
        });
        Ok(Some(Region(region)))
    }

    /// A key that is none of the secret's is somebody else's.
    fn names(&self, block: &Block<'_>) -> bool {
        super::asked(Some(&Value::String(block.value.to_owned()))).names.contains(self.wanted.secret)
    }

    /// A value that goes on over several lines is not looked into.
    fn take(&mut self, block: &Block<'t>) -> Result<(), NotUnderstood> {
        let goes_on = self.lines.depth(&block.body).is_some();
        if goes_on || block.value.is_empty() || block.value.starts_with(['|', '>', '&', '*']) {
            return not_understood("a value of the key is not written in one line");
        }
        self.edits.remove(block.line);
        Ok(())
    }

    /// A step that logs in, before this one.
    fn login(&mut self, item: usize, region: &Region) {
        let depth = self.lines.0[item].len() - self.lines.0[item].trim_start().len();
        let region = region.0.as_deref().unwrap_or(self.wanted.region);
        let at = self.lines.before(item);
        self.edits.add(
            at,
            depth,
            vec![
                format!("- uses: {ACTION}@{VERSION}"),
                "  with:".to_owned(),
                format!("    role-to-assume: {}", self.wanted.role),
                format!("    aws-region: {region}"),
            ],
        );
        self.notes.insert(format!(
            "`{ACTION}@{VERSION}` is new there: pin it to a commit, as your other actions are"
        ));
    }

    /// The job may ask for a token, and may do what it could. `header` is its line, with the depth of its keys.
    fn permissions(
        &mut self,
        job: &Job,
        own: Option<&Block<'t>>,
        header: (usize, usize),
    ) -> Result<(), NotUnderstood> {
        if job.asks_for_identity() {
            return Ok(());
        }
        let all = |level: &str| {
            not_understood(format!(
                "the job `{}` has the permissions `{level}`, which `{TOKEN}` cannot be added to: name them one by one first",
                job.name
            ))
        };
        if let Some(level) = job.permissions.get("*") {
            return all(&format!("{level}-all"));
        }
        if let Some(level) = job.permissions.get(TOKEN) {
            return not_understood(format!(
                "the job `{}` says `{TOKEN}: {level}`: its owner wants no token there",
                job.name
            ));
        }
        let added = format!("{TOKEN}: write");
        let Some(own) = own else {
            let above = self.document.get("permissions");
            let mut lines = vec!["permissions:".to_owned()];
            if above.is_some() {
                lines.extend(job.permissions.iter().map(|(scope, level)| format!("  {scope}: {level}")));
            } else {
                lines.push("  contents: read".to_owned());
                self.notes.insert(format!(
                    "the job `{}` states no `permissions` and had its repository's default ones, which cannot be named together with `{TOKEN}`: it is given `contents: read`; add what else its steps use the job's own token for",
                    job.name
                ));
            }
            lines.push(format!("  {added}"));
            self.edits.add(header.0 + 1, header.1, lines);
            return Ok(());
        };
        match (own.value, self.lines.depth(&own.body)) {
            ("", Some(depth)) => self.edits.add(own.line + 1, depth, vec![added]),
            (value, None) if value.starts_with('{') && value.ends_with('}') => {
                let inner = value[1..value.len() - 1].trim().trim_end_matches(',');
                let scopes = if inner.is_empty() { added } else { format!("{inner}, {added}") };
                // A comment behind it stays.
                let line = self.lines.0[own.line].trim().replacen(value, &format!("{{ {scopes} }}"), 1);
                self.edits.remove(own.line);
                self.edits.add(own.line, header.1, vec![line]);
            }
            _ => {
                return not_understood(format!(
                    "the permissions of the job `{}` are not written as others are",
                    job.name
                ));
            }
        }
        Ok(())
    }
}

/// What a file says of where: nothing, or in its own words.
#[derive(Debug, Clone)]
struct Region(Option<String>);

/// The changed file says what it said, but for what was to be changed.
fn verify(before: &Value, after: &str, jobs: &[&Job], wanted: Exchange<'_>) -> Result<(), NotUnderstood> {
    let parsed = yaml_text::parse(after).unwrap_or_default();
    let ([document], Some(workflow)) = (parsed.as_slice(), parsed.first().and_then(super::of_document))
    else {
        return not_understood("it would be no workflow any more");
    };
    for job in jobs {
        let Some(changed) = workflow.jobs.iter().find(|it| it.name == job.name) else {
            return not_understood(format!("the job `{}` would be lost", job.name));
        };
        if changed.takes_all || changed.secrets.contains(wanted.secret) {
            return not_understood(format!(
                "the job `{}` reads {} elsewhere than in the inputs of `{ACTION}` and the variables of the SDKs",
                job.name, wanted.secret
            ));
        }
        if !changed.asks_for_identity() {
            return not_understood(format!("the job `{}` would not be allowed to ask for a token", job.name));
        }
        let kept = |(scope, level): (&String, &String)| changed.permissions.get(scope) == Some(level);
        if !job.permissions.iter().all(kept) {
            return not_understood(format!("the job `{}` would lose a permission", job.name));
        }
        let steps = document.get("jobs").and_then(|all| all.get(&job.name)).and_then(|job| job.get("steps"));
        let mut steps = steps.and_then(Value::as_sequence).into_iter().flatten();
        let role = |step: &Value| {
            step.get("with").and_then(|with| with.get("role-to-assume")).and_then(Value::as_str)
                == Some(wanted.role)
        };
        if !steps.any(role) {
            return not_understood(format!("the job `{}` would not log in", job.name));
        }
    }
    let names: BTreeSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    if rest(before, &names) != rest(document, &names) {
        return not_understood("something else of it would change");
    }
    Ok(())
}

/// A file without what may change: of these jobs the permissions and the logins, everywhere the variables with a key.
fn rest(document: &Value, jobs: &BTreeSet<&str>) -> Value {
    let mut rest = document.clone();
    without_variables(&mut rest);
    let Some(all) = rest.get_mut("jobs").and_then(Value::as_mapping_mut) else { return rest };
    for (name, job) in all.iter_mut() {
        if !name.as_str().is_some_and(|name| jobs.contains(name)) {
            continue;
        }
        without_variables(job);
        let Some(job) = job.as_mapping_mut() else { continue };
        job.remove("permissions");
        let Some(steps) = job.get_mut("steps").and_then(Value::as_sequence_mut) else { continue };
        steps.iter_mut().for_each(without_login);
        steps.retain(|step| step.as_mapping().is_none_or(|step| !step.is_empty()));
        steps.iter_mut().for_each(without_variables);
    }
    rest
}

/// A step that logs in, without how: nothing where it says nothing else.
fn without_login(step: &mut Value) {
    let is_login =
        step.get("uses").and_then(Value::as_str).and_then(|uses| uses.split('@').next()) == Some(ACTION);
    let Some(step) = step.as_mapping_mut().filter(|_| is_login) else { return };
    if let Some(with) = step.get_mut("with").and_then(Value::as_mapping_mut) {
        for name in KEY_INPUTS.into_iter().chain(["role-to-assume", "aws-region"]) {
            with.remove(name);
        }
        if with.is_empty() {
            step.remove("with");
        }
    }
    if step.len() == 1 {
        step.clear();
    }
}

fn without_variables(node: &mut Value) {
    let Some(node) = node.as_mapping_mut() else { return };
    let Some(env) = node.get_mut("env").and_then(Value::as_mapping_mut) else { return };
    for name in KEY_VARIABLES {
        env.remove(name);
    }
    if env.is_empty() {
        node.remove("env");
    }
}

#[cfg(test)]
mod tests;
