//! One file: read it, see what it is, take out what it holds.

use std::{fs, path::Path};

use claviger_core::{
    model::{CredentialKind, Place, ScopeStatus},
    observation::Observation,
    reference::Ref,
    secret::SecretValue,
};
use yaml_serde::Value;

use crate::{
    cloud,
    document::{self, Unparsed, text},
    environment,
    folder::{Entry, reason},
    format::Format,
    kubernetes::{self, Index},
    pipeline,
    sighting::{Home, file_ref},
    terraform, workflow,
};

/// Larger files are not read.
pub(crate) const LARGEST: u64 = 2 * 1024 * 1024;

/// What GitLab's pipeline files are called, or end with.
const GITLAB: &str = ".gitlab-ci.yml";

/// Why a file was not read, or not wholly.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// `failed` or `unreadable`.
    pub(crate) status: ScopeStatus,
    /// Why; holds nothing of the file.
    pub(crate) reason: String,
    /// It can only be a template, so nothing in it was ever there to be gone.
    pub(crate) template: bool,
}

impl Trouble {
    fn new(status: ScopeStatus, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), template: false }
    }
}

impl From<Unparsed> for Trouble {
    fn from(unparsed: Unparsed) -> Self {
        match unparsed {
            Unparsed::Template => Self {
                template: true,
                ..Self::new(ScopeStatus::Unreadable, "a template: render it and scan what comes out")
            },
            Unparsed::Malformed(Some(line)) => {
                Self::new(ScopeStatus::Failed, format!("malformed at line {line}"))
            }
            Unparsed::Malformed(None) => Self::new(ScopeStatus::Failed, "malformed"),
        }
    }
}

/// The file's text.
fn read(path: &Path) -> Result<SecretValue, Trouble> {
    let unread = |error: &std::io::Error| {
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        Trouble::new(if denied { ScopeStatus::Denied } else { ScopeStatus::Failed }, reason(error))
    };
    let size = fs::metadata(path).map_err(|error| unread(&error))?.len();
    if size > LARGEST {
        return Err(Trouble::new(
            ScopeStatus::Unreadable,
            format!("larger than {} MiB", LARGEST / 1024 / 1024),
        ));
    }
    fs::read(path).map(SecretValue::new).map_err(|error| unread(&error))
}

fn text_of(value: &SecretValue) -> Result<&str, Trouble> {
    let text = value.expose_text().filter(|text| !text.contains('\0'));
    text.map(|text| text.strip_prefix('\u{feff}').unwrap_or(text))
        .ok_or_else(|| Trouble::new(ScopeStatus::Unreadable, "not UTF-8 text"))
}

/// Adds the names of a file's objects to the index. What cannot be read is reported when the file is examined.
pub(crate) fn index(backend: &str, entry: &Entry, index: &mut Index) {
    if entry.format != Format::Document {
        return;
    }
    let Ok(value) = read(&entry.path) else { return };
    let Ok(text) = text_of(&value) else { return };
    let Ok(documents) = document::parse(text) else { return };
    index.add(&file_ref(backend, &entry.relative), &kubernetes::split(&documents).0);
}

/// What a file holds, in a folder of this backend, which may be a repository at a forge.
///
/// # Errors
/// Why it was not read. A file is read as a whole or not at all.
pub(crate) fn examine(
    (backend, repository): (&str, Option<&Ref>),
    entry: &Entry,
    index: &Index,
) -> Result<Vec<Observation>, Trouble> {
    let at = file_ref(backend, &entry.relative);
    let value = read(&entry.path)?;
    let text = text_of(&value)?;
    let home = |place| Home::file(&at, place, entry.format.word());
    match entry.format {
        Format::Document => documents(&at, &entry.relative, text, index),
        Format::Workflow => {
            let documents = document::parse(text)?;
            let home = home(Place::Literal);
            let observed = |document| workflow::observe(&home, repository, document);
            let mut found: Vec<Observation> = documents.iter().flat_map(observed).collect();
            if entry.relative.ends_with(GITLAB) {
                found.extend(pipeline::gitlab(&home, repository, &documents));
            }
            Ok(found)
        }
        Format::Jenkinsfile => Ok(pipeline::jenkins(&home(Place::Literal), text)),
        Format::Dotenv => Ok(environment::observe(&home(Place::Literal), environment::dotenv(text))),
        Format::TerraformVariables => {
            Ok(environment::observe(&home(Place::Literal), environment::terraform(text)))
        }
        Format::AwsCredentials => Ok(cloud::observe(&home(Place::SecretStore), text)),
        Format::DockerConfig => {
            document::parse(text)?;
            Ok(vec![docker_config(&at, text)])
        }
        Format::Kubeconfig => {
            document::parse(text)?;
            Ok(vec![kubeconfig(&at, text)])
        }
        Format::TerraformJson => {
            document::parse(text)?;
            let home = home(Place::Literal);
            let mut found = vec![whole(&home, &entry.relative, text)];
            found.extend(terraform::observe(&home, text));
            Ok(found)
        }
        Format::Pem if text.contains("-----BEGIN ") && text.contains("-----END ") => {
            Ok(vec![whole(&home(Place::SecretStore), &entry.relative, text)])
        }
        // `.key` and the like are also names of other files.
        Format::Pem => Ok(Vec::new()),
    }
}

fn documents(at: &Ref, relative: &str, text: &str, index: &Index) -> Result<Vec<Observation>, Trouble> {
    let documents = document::parse(text)?;
    let home = Home::file(at, Place::Literal, Format::Document.word());
    let (objects, others) = kubernetes::split(&documents);
    let mut found: Vec<Observation> =
        objects.iter().flat_map(|object| kubernetes::observe(&home, object, index)).collect();
    // What is no object is one value; its parts are named within it, so it can only be the only document.
    match others.as_slice() {
        [] => {}
        [other] if kubernetes::is_kustomization(other) => {
            found.extend(kubernetes::kustomization(&home, other))
        }
        [other] if objects.is_empty() && documents.len() == 1 => {
            found.push(document(at, relative, text, other))
        }
        _ => {}
    }
    Ok(found)
}

fn document(at: &Ref, relative: &str, content: &str, parsed: &Value) -> Observation {
    if kubernetes::is_kubeconfig(parsed) {
        return kubeconfig(at, content);
    }
    if kubernetes::is_docker_config(parsed) {
        return docker_config(at, content);
    }
    // A Google service account's key file is nothing but a credential.
    let is_key_file =
        text(parsed, "type") == Some("service_account") && text(parsed, "private_key").is_some();
    let place = if is_key_file { Place::SecretStore } else { Place::Literal };
    whole(&Home::file(at, place, Format::Document.word()), relative, content)
}

fn kubeconfig(at: &Ref, text: &str) -> Observation {
    let home = Home::file(at, Place::SecretStore, Format::Kubeconfig.word());
    home.whole("kubeconfig", SecretValue::from_text(text.to_owned()), None)
}

fn docker_config(at: &Ref, text: &str) -> Observation {
    let home = Home::file(at, Place::SecretStore, Format::DockerConfig.word());
    home.whole(".dockerconfigjson", SecretValue::from_text(text.to_owned()), Some(CredentialKind::Registry))
}

fn whole(home: &Home, relative: &str, text: &str) -> Observation {
    let name = relative.rsplit('/').next().unwrap_or(relative);
    home.whole(name, SecretValue::from_text(text.to_owned()), None)
}
