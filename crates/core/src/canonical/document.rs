//! Values that are documents with values inside.
//!
//! To add a format: its reader in `format`, one line in [`open`].

use std::collections::BTreeMap;

use super::bundle::Neighbours;
use crate::format::{
    aws_credentials_file, database_url, docker_config, dotenv, gcp, helm_release, json_text, kubeconfig,
    slot::{self, Slot},
    yaml_text,
};

/// An opened document.
pub(super) struct Document {
    /// The word in the attribute `document`.
    pub(super) name: &'static str,
    /// Where secrets may lie.
    pub(super) slots: Vec<Slot>,
    /// What lies beside them, by container.
    pub(super) neighbours: BTreeMap<usize, Neighbours>,
}

/// How sure one has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading<'a> {
    /// Content and the field's name together must show what it is.
    Named(&'a str),
    /// The caller knows a pointer into it: everything that can be read as a document is one.
    Any,
}

/// Every way to read a value as a document, the most specific first. With a name, at most one.
pub(super) fn open(bytes: &[u8], reading: Reading<'_>) -> Vec<Document> {
    let mut found = Vec::new();
    let only_first = reading != Reading::Any;
    for reader in READERS {
        if let Some(document) = reader(bytes, reading) {
            found.push(document);
            if only_first {
                break;
            }
        }
    }
    found
}

type Reader = fn(&[u8], Reading<'_>) -> Option<Document>;

const READERS: &[Reader] = &[
    |bytes, _| {
        if helm_release::is_gzip(bytes) {
            document("helm-release", helm_release::slots(bytes)?)
        } else {
            None
        }
    },
    |bytes, _| document("docker-config", docker_config::slots(object(bytes)?)?),
    |bytes, _| document("gcp-service-account", gcp::slots(object(bytes)?)?),
    |bytes, _| document("kubeconfig", kubeconfig::slots(text(bytes)?)?),
    |bytes, _| json(object(bytes)?),
    // A URL without a password is no document: it may be a webhook's, which is a secret as a whole.
    |bytes, _| document("connection-string", vec![database_url::parse(text(bytes)?)?.password?]),
    |bytes, _| document("aws-credentials", aws_credentials_file::slots(text(bytes)?)?),
    |bytes, _| manifests(text(bytes)?),
    |bytes, reading| {
        let least = if is_named(reading, &[".env"], &[".env", ".properties"]) { 1 } else { 2 };
        document("dotenv", dotenv::slots(text(bytes)?, least)?)
    },
    |bytes, reading| {
        let named = is_named(reading, &[], &[".yaml", ".yml"]);
        if named { document("yaml", yaml_text::slots(text(bytes)?)?) } else { None }
    },
];

fn document(name: &'static str, mut slots: Vec<Slot>) -> Option<Document> {
    slot::distinct(&mut slots);
    let mut neighbours: BTreeMap<usize, Neighbours> = BTreeMap::new();
    for slot in slots.iter().filter(|slot| slot.container > 0) {
        neighbours.entry(slot.container).or_default().add(&slot.key, slot.value.expose());
    }
    Some(Document { name, slots, neighbours })
}

/// Numbers are no secrets, but a port says something about the password beside it.
fn json(text: &str) -> Option<Document> {
    let scalars = json_text::scalars(text)?;
    let mut numbers: Vec<(usize, String, String)> = Vec::new();
    let mut slots = Vec::new();
    for scalar in scalars {
        if scalar.is_string {
            slots.push(json_text::to_slot(scalar));
        } else {
            numbers.push((scalar.container, scalar.key, scalar.text));
        }
    }
    let mut document = document("json", slots)?;
    for (container, key, text) in numbers {
        document.neighbours.entry(container).or_default().add(&key, text.as_bytes());
    }
    Some(document)
}

fn manifests(text: &str) -> Option<Document> {
    let slots = if text.contains("kind: Secret") && text.contains("apiVersion:") {
        helm_release::manifest_slots(text)
    } else {
        Vec::new()
    };
    if slots.is_empty() { None } else { document("manifest", slots) }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn object(bytes: &[u8]) -> Option<&str> {
    let text = text(bytes)?;
    text.trim_start().starts_with(['{', '[']).then_some(text)
}

fn is_named(reading: Reading<'_>, names: &[&str], ends: &[&str]) -> bool {
    let Reading::Named(key) = reading else { return true };
    let key = key.to_ascii_lowercase();
    let name = key.rsplit('/').next().unwrap_or_default();
    names.contains(&name) || ends.iter().any(|end| name.ends_with(end))
}
