//! Values that are documents with values inside.
//!
//! To add a format: its reader in `format`, one line in [`open`].

use std::collections::BTreeMap;

use super::bundle::Neighbours;
use crate::format::{
    aws_credentials_file, database_url, docker_config, dotenv, gcp, helm_release, json_text, kubeconfig,
    login_files::{self, LoginFile},
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
    let value = Value { bytes, text: std::str::from_utf8(bytes).ok() };
    let mut found = Vec::new();
    let only_first = reading != Reading::Any;
    for reader in READERS {
        if let Some(document) = reader(&value, reading) {
            found.push(document);
            if only_first {
                break;
            }
        }
    }
    found
}

struct Value<'a> {
    bytes: &'a [u8],
    /// The same, if it is UTF-8.
    text: Option<&'a str>,
}

impl<'a> Value<'a> {
    /// The text, if it begins as a JSON object or array does.
    fn object(&self) -> Option<&'a str> {
        self.text.filter(|text| text.trim_start().starts_with(['{', '[']))
    }
}

type Reader = fn(&Value<'_>, Reading<'_>) -> Option<Document>;

const READERS: &[Reader] = &[
    |value, _| {
        if helm_release::is_gzip(value.bytes) {
            document("helm-release", helm_release::slots(value.bytes)?)
        } else {
            None
        }
    },
    |value, _| document("docker-config", docker_config::slots(value.object()?)?),
    |value, _| document("gcp-service-account", gcp::slots(value.object()?)?),
    |value, _| document("kubeconfig", kubeconfig::slots(value.text?)?),
    |value, _| json(value.object()?),
    // A URL without a password is no document: it may be a webhook's, which is a secret as a whole.
    |value, _| {
        let connection = database_url::parse(value.text?)?;
        document(
            "connection-string",
            [Some(connection.password?), connection.user].into_iter().flatten().collect(),
        )
    },
    |value, _| document("aws-credentials", aws_credentials_file::slots(value.text?)?),
    |value, reading| login_file(value.text?, reading),
    |value, _| manifests(value.text?),
    |value, reading| {
        let least = if is_named(reading, &[".env"], &[".env", ".properties"]) { 1 } else { 2 };
        document("dotenv", dotenv::slots(value.text?, least)?)
    },
    |value, reading| {
        let named = is_named(reading, &[], &[".yaml", ".yml"]);
        if named { document("yaml", yaml_text::slots(value.text?)?) } else { None }
    },
];

fn document(name: &'static str, mut slots: Vec<Slot>) -> Option<Document> {
    slot::distinct(&mut slots);
    let mut neighbours: BTreeMap<usize, Neighbours> = BTreeMap::new();
    for slot in slots.iter().filter(|slot| slot.container > 0) {
        let here = neighbours.entry(slot.container).or_default();
        here.add(&slot.key, &slot.pointer, slot.value.expose());
    }
    Some(Document { name, slots, neighbours })
}

/// Numbers are no secrets, but a port says something about the password beside it.
fn json(text: &str) -> Option<Document> {
    let scalars = json_text::scalars(text)?;
    let mut numbers = Vec::new();
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
        document.neighbours.entry(container).or_default().add(&key, &key, text.as_bytes());
    }
    Some(document)
}

fn login_file(text: &str, reading: Reading<'_>) -> Option<Document> {
    use LoginFile::{GitCredentials, Netrc, Npmrc, Pgpass};
    let slots = match reading {
        Reading::Named(key) => {
            login_files::slots(LoginFile::of(key.rsplit('/').next().unwrap_or_default())?, text)?
        }
        Reading::Any => [Pgpass, Netrc, Npmrc, GitCredentials]
            .into_iter()
            .filter_map(|file| login_files::slots(file, text))
            .flatten()
            .collect(),
    };
    document("login-file", slots)
}

fn manifests(text: &str) -> Option<Document> {
    let slots = if text.contains("kind: Secret") && text.contains("apiVersion:") {
        helm_release::manifest_slots(text)
    } else {
        Vec::new()
    };
    if slots.is_empty() { None } else { document("manifest", slots) }
}

fn is_named(reading: Reading<'_>, names: &[&str], ends: &[&str]) -> bool {
    let Reading::Named(key) = reading else { return true };
    let key = key.to_ascii_lowercase();
    let name = key.rsplit('/').next().unwrap_or_default();
    names.contains(&name) || ends.iter().any(|end| name.ends_with(end))
}
