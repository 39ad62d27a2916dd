//! GitLab's pipeline files: which variables each job names, what of others runs in it, and what it reads of a secret store by itself.
//!
//! Format: GitLab's "CI/CD YAML syntax reference". Nothing is evaluated and no other file is read: `include` and child pipelines are told as what lies
//! elsewhere. GitLab gives **each** job **all** variables that its environment admits, so that a program may read one that nobody names: that a job names a
//! variable is known here, that it does not read one never is.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use yaml_serde::Value;

use super::{Job, Workflow};
use crate::format::yaml_text;

/// A pipeline file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pipeline {
    /// Its jobs. Names of variables are as they stand: GitLab compares them so.
    pub workflow: Workflow,
    /// What jobs read of Vault by `secrets`, by job.
    pub vault: BTreeMap<String, Vec<VaultSecret>>,
    /// Names to which the file itself gives a value: in `variables`, or in a script. A variable of the project of that name beats the former.
    pub defined: BTreeSet<String>,
    /// What lies in other files, so that jobs there are not known: `local /ci/deploy.yml`, `template Jobs/Build.gitlab-ci.yml`, …
    pub elsewhere: BTreeSet<String>,
}

/// A field of Vault's key-value engine that GitLab reads for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultSecret {
    /// The variable that the job is given.
    pub variable: String,
    /// The engine's mount.
    pub mount: String,
    /// The secret's path.
    pub path: String,
    /// The field.
    pub field: String,
}

/// Keys that are no jobs.
const GLOBAL: &[&str] = &[
    "after_script",
    "before_script",
    "cache",
    "default",
    "image",
    "include",
    "services",
    "spec",
    "stages",
    "types",
    "variables",
    "workflow",
];
/// Keys of the whole file whose words are those of each job.
const OF_ALL: &[&str] =
    &["after_script", "before_script", "default", "image", "services", "variables", "workflow"];
/// Keys of a job with scripts.
const SCRIPTS: &[&str] = &["after_script", "before_script", "script"];
/// Deepest way through nodes, templates and references.
const MOST_DEPTH: usize = 64;
/// Most nodes that are looked at, so that references to references end.
const MOST_NODES: usize = 200_000;

/// Reads a file. `None` if it is no pipeline.
pub fn read(text: &str) -> Option<Pipeline> {
    of_documents(&yaml_text::parse(text)?)
}

/// The same of documents that are parsed already: a header with inputs may stand before the pipeline.
pub fn of_documents(documents: &[Value]) -> Option<Pipeline> {
    let root = documents.iter().rev().find(|document| document.is_mapping())?;
    let reader = Reader { root };
    let mut pipeline = Pipeline::default();
    let included = reader.included(&mut pipeline.elsewhere);
    let mut budget = MOST_NODES;
    let mut around = BTreeSet::new();
    for key in OF_ALL {
        if let Some(node) = root.get(*key) {
            reader.names(node, &mut around, 0, &mut budget);
            reader.defined(key, node, &mut pipeline.defined, 0, &mut budget);
        }
    }
    for (key, node) in root.as_mapping()? {
        let Some(name) = key.as_str().filter(|name| !GLOBAL.contains(name) && !name.starts_with('.')) else {
            continue;
        };
        if !node.is_mapping() {
            continue;
        }
        let lineage = reader.lineage(node);
        let mut job = Job { name: name.to_owned(), secrets: around.clone(), ..Job::default() };
        for node in &lineage {
            reader.names(node, &mut job.secrets, 0, &mut budget);
            for key in SCRIPTS.iter().chain(&["variables"]) {
                if let Some(node) = member(node, key) {
                    reader.defined(key, node, &mut pipeline.defined, 0, &mut budget);
                }
            }
        }
        let first = |key: &str| lineage.iter().find_map(|node| member(node, key));
        job.environment = first("environment").and_then(environment);
        if first("id_tokens").is_some() {
            // The job is given a token that proves who it is.
            job.permissions.insert("id-token".to_owned(), "write".to_owned());
        }
        if let Some(started) = first("trigger") {
            reader.started(started, first("variables"), &mut job, &mut pipeline.elsewhere);
        }
        for label in &included {
            // What is included can change every job, and runs with all that it is given.
            job.uses.entry(label.clone()).or_default().extend(job.secrets.iter().cloned());
        }
        let secrets = first("secrets").and_then(Value::as_mapping).into_iter().flatten();
        let vault: Vec<VaultSecret> =
            secrets.filter_map(|(name, secret)| of_vault(name.as_str()?, secret.get("vault")?)).collect();
        if !vault.is_empty() {
            pipeline.vault.insert(name.to_owned(), vault);
        }
        pipeline.workflow.jobs.push(job);
    }
    let known = !pipeline.workflow.jobs.is_empty() || !pipeline.elsewhere.is_empty() || !included.is_empty();
    known.then_some(pipeline)
}

/// A member, also one that a merge key (`<<`) brings in.
fn member<'v>(node: &'v Value, key: &str) -> Option<&'v Value> {
    if let Some(found) = node.get(key) {
        return Some(found);
    }
    match node.get("<<")? {
        Value::Sequence(several) => several.iter().find_map(|one| one.get(key)),
        one => one.get(key),
    }
}

fn environment(node: &Value) -> Option<String> {
    node.as_str().or_else(|| node.get("name")?.as_str()).map(str::to_owned)
}

/// One text or several.
fn texts(node: &Value) -> Vec<&str> {
    match node {
        Value::String(one) => vec![one],
        Value::Sequence(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// `path/of/secret/field@mount`, or the same as a mapping.
fn of_vault(variable: &str, node: &Value) -> Option<VaultSecret> {
    let secret = |mount: &str, path: &str, field: &str| VaultSecret {
        variable: variable.to_owned(),
        mount: mount.trim_matches('/').to_owned(),
        path: path.trim_matches('/').to_owned(),
        field: field.to_owned(),
    };
    if let Some(text) = node.as_str() {
        let (whole, mount) = text.rsplit_once('@').unwrap_or((text, "kv-v2"));
        let (path, field) = whole.rsplit_once('/')?;
        return Some(secret(mount, path, field));
    }
    let text = |node: &Value, key: &str| Some(node.get(key)?.as_str()?.to_owned());
    let mount = node.get("engine").and_then(|engine| text(engine, "path"))?;
    Some(secret(&mount, &text(node, "path")?, &text(node, "field")?))
}

struct Reader<'d> {
    root: &'d Value,
}

impl<'d> Reader<'d> {
    /// A job and the templates that it extends, itself first.
    fn lineage(&self, job: &'d Value) -> Vec<&'d Value> {
        let mut all = vec![job];
        let mut known = BTreeSet::new();
        let mut next = 0;
        while let Some(node) = all.get(next).copied() {
            next += 1;
            for name in member(node, "extends").map(texts).unwrap_or_default() {
                // One that names itself, or that lies in another file.
                let Some(template) = self.root.get(name).filter(|_| known.insert(name)) else { continue };
                all.push(template);
            }
        }
        all
    }

    /// What `!reference [.template, script]` stands for.
    fn referred(&self, node: &Value) -> Option<&'d Value> {
        let mut found = self.root;
        for step in node.as_sequence()? {
            found = member(found, step.as_str()?)?;
        }
        Some(found)
    }

    /// Names of variables in all texts below a node.
    fn names(&self, node: &Value, into: &mut BTreeSet<String>, depth: usize, budget: &mut usize) {
        if depth > MOST_DEPTH || *budget == 0 {
            return;
        }
        *budget -= 1;
        match node {
            Value::String(text) => in_text(text, into),
            Value::Sequence(items) => {
                items.iter().for_each(|item| self.names(item, into, depth + 1, budget));
            }
            Value::Mapping(members) => {
                for (key, value) in members {
                    // What the name says is looked at where the job's own words are.
                    if key.as_str() != Some("extends") {
                        self.names(value, into, depth + 1, budget);
                    }
                }
            }
            Value::Tagged(tagged) => match self.referred(&tagged.value) {
                Some(found) => self.names(found, into, depth + 1, budget),
                None => self.names(&tagged.value, into, depth + 1, budget),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Names that get a value in a script or in `variables`.
    fn defined(
        &self,
        key: &str,
        node: &Value,
        into: &mut BTreeSet<String>,
        depth: usize,
        budget: &mut usize,
    ) {
        if depth > MOST_DEPTH || *budget == 0 {
            return;
        }
        *budget -= 1;
        match node {
            Value::String(text) if key != "variables" => assigned(text, into),
            Value::Sequence(items) => {
                items.iter().for_each(|item| self.defined(key, item, into, depth + 1, budget));
            }
            Value::Mapping(members) if key == "variables" => {
                into.extend(members.iter().filter_map(|(name, _)| name.as_str().map(str::to_owned)));
            }
            Value::Mapping(members) => {
                for (name, value) in members {
                    let name = name.as_str().unwrap_or_default();
                    if SCRIPTS.contains(&name) {
                        self.defined(name, value, into, depth + 1, budget);
                    }
                }
            }
            Value::Tagged(tagged) => {
                if let Some(found) = self.referred(&tagged.value) {
                    self.defined(key, found, into, depth + 1, budget);
                }
            }
            _ => {}
        }
    }

    /// What others wrote and `include` brings in, named so that a whole commit hash or digest shows; the rest goes to `elsewhere`.
    fn included(&self, elsewhere: &mut BTreeSet<String>) -> BTreeSet<String> {
        let mut others = BTreeSet::new();
        let include = match self.root.get("include") {
            Some(Value::Sequence(several)) => several.iter().collect(),
            Some(one) => vec![one],
            None => Vec::new(),
        };
        for one in include {
            if let Some(text) = one.as_str() {
                if text.contains("://") {
                    others.insert(text.to_owned());
                } else {
                    elsewhere.insert(format!("local {text}"));
                }
                continue;
            }
            let text = |key: &str| one.get(key).and_then(Value::as_str);
            if let Some(url) = text("remote") {
                let digest = text("integrity").and_then(digest).map(|hex| format!("@sha256:{hex}"));
                others.insert(format!("{url}{}", digest.unwrap_or_default()));
            } else if let Some(project) = text("project") {
                let files = one.get("file").map(texts).unwrap_or_default().join(", ");
                let at = text("ref").map(|at| format!("@{at}")).unwrap_or_default();
                others.insert(format!("{project}:{files}{at}"));
            } else if let Some(component) = text("component") {
                others.insert(component.to_owned());
            } else {
                for kind in ["local", "template", "artifact"] {
                    elsewhere.extend(text(kind).map(|name| format!("{kind} {name}")));
                }
            }
        }
        others
    }

    /// A pipeline that the job starts: of another project, or of a file.
    fn started(
        &self,
        started: &Value,
        variables: Option<&Value>,
        job: &mut Job,
        elsewhere: &mut BTreeSet<String>,
    ) {
        let project = started.as_str().or_else(|| started.get("project")?.as_str());
        match project {
            Some(project) => {
                // It is handed what the job's own variables name, nothing else.
                let (mut handed, mut budget) = (BTreeSet::new(), MOST_NODES);
                if let Some(variables) = variables {
                    self.names(variables, &mut handed, 0, &mut budget);
                }
                job.uses.entry(format!("pipeline of {project}")).or_default().extend(handed);
            }
            None => {
                elsewhere.insert(format!("child pipeline of {}", job.name));
            }
        }
    }
}

/// `sha256-<base64>` as hex.
fn digest(integrity: &str) -> Option<String> {
    let bytes = STANDARD.decode(integrity.strip_prefix("sha256-")?).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// The name at the beginning of a text.
fn leading(text: &str) -> &str {
    let end = text.find(|letter| !is_letter(letter)).unwrap_or(text.len());
    let name = &text[..end];
    if name.starts_with(|first: char| first.is_ascii_digit()) { "" } else { name }
}

/// `$NAME`, `${NAME…}`, `$env:NAME`, `%NAME%`. What GitLab itself gives each job is none of ours.
fn in_text(text: &str, into: &mut BTreeSet<String>) {
    let mut add = |name: &str| {
        let predefined =
            name == "CI" || ["CI_", "GITLAB_", "CHAT_"].iter().any(|given| name.starts_with(given));
        if !name.is_empty() && !predefined {
            into.insert(name.to_owned());
        }
    };
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(escaped) = after.strip_prefix('$') {
            rest = escaped;
            continue;
        }
        let inner = after.strip_prefix('{').unwrap_or(after);
        match inner.get(..4).filter(|start| start.eq_ignore_ascii_case("env:")) {
            Some(_) => add(leading(&inner[4..])),
            // `${#NAME}` and `${!NAME}` name it too.
            None => add(leading(inner.trim_start_matches(['#', '!']))),
        }
        rest = after;
    }
    // In capitals only: `%Y%m%d` is a date.
    for (index, part) in text.split('%').enumerate().skip(1) {
        let is_name = part.len() > 2
            && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit());
        // The last part has no sign behind it.
        if is_name && text.split('%').nth(index + 1).is_some() {
            add(leading(part));
        }
    }
}

/// `NAME=…`, `export NAME=…`, `for NAME in`, `read NAME` at the beginning of commands.
fn assigned(script: &str, into: &mut BTreeSet<String>) {
    for command in script.split(['\n', ';', '&', '|', '(']) {
        let words = command.trim_start();
        let after =
            ["export ", "local ", "readonly ", "declare "].iter().find_map(|word| words.strip_prefix(word));
        let words = after.unwrap_or(words).trim_start();
        let name = leading(words);
        if !name.is_empty() && words[name.len()..].starts_with('=') {
            into.insert(name.to_owned());
        }
        for word in ["for ", "read "] {
            if let Some(name) = words.strip_prefix(word).map(|rest| leading(rest.trim_start())) {
                into.extend((!name.is_empty()).then(|| name.to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
