//! CI workflows: what is written into them, and which of the CI system's own secrets they ask for.

use std::collections::BTreeSet;

use claviger_core::{
    model::{Attributes, ConsumerHow},
    observation::{Bundle, Content, Observation},
    reference::Ref,
    workflow,
};
use serde_json::json;
use yaml_serde::Value;

use crate::{
    document::{entries, scalar},
    environment::{self, Pair},
    sighting::{Home, below, consumer, is_reference},
    words,
};

/// Mappings whose members are values: environments, inputs of actions, GitLab's and Bitbucket's variables.
const VALUES: &[&str] = &["env", "environment", "variables", "with", "secrets", "build-args"];
/// Scripts.
const SCRIPTS: &[&str] = &["run", "script", "before_script", "after_script", "command"];

/// What a workflow shows.
pub(crate) fn observe(home: &Home, repository: Option<&Ref>, document: &Value) -> Vec<Observation> {
    let workflow = workflow::of_document(document);
    let mut reader = Reader { home, found: Vec::new(), asked: BTreeSet::new() };
    reader.walk(document, &mut Vec::new());
    let mut found = reader.found;
    // One consumer for each job and secret; what it reads lies at the forge: where that is not said, it is named by its name only.
    for (job, secret) in reader.asked {
        let at = if job.is_empty() { home.at.clone() } else { below(&home.at, &["jobs", &job]) };
        let known = workflow
            .as_ref()
            .and_then(|workflow| Some((workflow, workflow.jobs.iter().find(|one| one.name == job)?)));
        let mut attributes = match known {
            Some((workflow, job)) => job.facts(workflow, &secret.to_ascii_uppercase()),
            None => Attributes::from([("ci_secret".to_owned(), json!(secret))]),
        };
        let reads = match repository {
            // Forges keep the names of secrets in upper case.
            Some(repository) => {
                let path = ["actions", "secrets", &secret.to_ascii_uppercase()].join("/");
                Ref::from_text(format!("{repository}/{path}"))
            }
            None => {
                attributes.insert("unresolved".to_owned(), json!(true));
                below(&home.at, &["secrets", &secret])
            }
        };
        found.push(consumer(&at, reads, ConsumerHow::Env, None, attributes));
    }
    found
}

struct Reader<'r> {
    home: &'r Home,
    found: Vec<Observation>,
    /// Job and secret.
    asked: BTreeSet<(String, String)>,
}

impl Reader<'_> {
    fn walk(&mut self, value: &Value, path: &mut Vec<String>) {
        match value {
            Value::Mapping(_) => {
                for (name, value) in entries(value) {
                    path.push(name.to_owned());
                    // A job may be called like one of the mappings.
                    let in_jobs = path.len() == 2 && path[0] == "jobs";
                    if !in_jobs && VALUES.contains(&name) && value.is_mapping() {
                        self.values(value, path);
                    } else if SCRIPTS.contains(&name) {
                        self.script(value, path);
                    } else {
                        self.walk(value, path);
                    }
                    path.pop();
                }
            }
            Value::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(index.to_string());
                    self.walk(item, path);
                    path.pop();
                }
            }
            Value::Tagged(tagged) => self.walk(&tagged.value, path),
            Value::String(text) => self.asked_for(text, path),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn values(&mut self, mapping: &Value, path: &[String]) {
        let mut pairs = Vec::new();
        for (name, value) in entries(mapping) {
            // GitLab describes variables: `{ value: …, description: … }`.
            let value = value.get("value").unwrap_or(value);
            if let Some(text) = value.as_str() {
                self.asked_for(text, path);
            }
            if let Some(value) = scalar(value) {
                pairs.push(Pair { name: name.to_owned(), value });
            }
        }
        let bundles: Vec<Bundle> = pairs.iter().map(|pair| environment::bundle(&pair.name, &pairs)).collect();
        for (pair, bundle) in pairs.into_iter().zip(bundles) {
            let name = pair.name.clone();
            self.literal(path, &name, pair, bundle);
        }
    }

    fn script(&mut self, value: &Value, path: &mut Vec<String>) {
        match value {
            Value::String(text) => {
                self.asked_for(text, path);
                for (number, word) in words::of_script(text).into_iter().enumerate() {
                    let leaf = format!("{number}-{}", word.name);
                    self.literal(path, &leaf, Pair { name: word.name, value: word.value }, Bundle::default());
                }
            }
            Value::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(index.to_string());
                    self.script(item, path);
                    path.pop();
                }
            }
            other => self.walk(other, path),
        }
    }

    fn literal(&mut self, path: &[String], leaf: &str, pair: Pair, bundle: Bundle) {
        if pair.value.expose_text().is_some_and(is_reference) {
            return;
        }
        let mut segments: Vec<&str> = path.iter().map(String::as_str).collect();
        segments.push(leaf);
        let copy = self.home.copy(&segments, &pair.name, Content::Value(pair.value), bundle);
        let job = if path.len() > 1 && path[0] == "jobs" { Some(path[1].as_str()) } else { None };
        let at = job.map_or_else(|| self.home.at.clone(), |job| below(&self.home.at, &["jobs", job]));
        self.found.push(consumer(&at, copy.at.clone(), ConsumerHow::Literal, None, Attributes::new()));
        self.found.push(Observation::Copy(copy));
    }

    /// `${{ secrets.NAME }}`, also within a longer text.
    fn asked_for(&mut self, text: &str, path: &[String]) {
        let job = if path.len() > 1 && path[0] == "jobs" { path[1].clone() } else { String::new() };
        for expression in text.split("${{").skip(1) {
            let expression = expression.split("}}").next().unwrap_or_default();
            for after in expression.split("secrets.").skip(1) {
                let name: String = after
                    .chars()
                    .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
                    .collect();
                if !name.is_empty() {
                    self.asked.insert((job.clone(), name));
                }
            }
        }
    }
}
