//! What the server answers as JSON, as far as we read it. Format: the Credentials plugin's own documents (`docs/user.adoc`) and Jenkins' remote access
//! API. No server was there to check it against.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Who we are.
#[derive(Debug, Deserialize)]
pub(crate) struct WhoAmI {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) anonymous: bool,
}

/// Jobs and folders below something.
#[derive(Debug, Deserialize)]
pub(crate) struct Jobs {
    #[serde(default)]
    pub(crate) jobs: Vec<Job>,
}

/// A job or a folder.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    #[serde(default, rename = "_class")]
    pub(crate) class: String,
    pub(crate) name: String,
}

impl Job {
    /// Has it jobs of its own, and so a store for their credentials?
    pub(crate) fn is_folder(&self) -> bool {
        self.class.to_ascii_lowercase().contains("folder")
    }
}

/// A store's domains.
#[derive(Debug, Deserialize)]
pub(crate) struct Domains {
    #[serde(default)]
    pub(crate) domains: BTreeMap<String, Domain>,
}

/// A domain.
#[derive(Debug, Deserialize)]
pub(crate) struct Domain {
    #[serde(default, rename = "urlName")]
    pub(crate) url_name: String,
}

/// A domain's credentials.
#[derive(Debug, Deserialize)]
pub(crate) struct Credentials {
    #[serde(default)]
    pub(crate) credentials: Vec<Credential>,
}

/// A credential: its id alone.
#[derive(Debug, Deserialize)]
pub(crate) struct Credential {
    pub(crate) id: String,
}

/// What a request that changes something has to carry.
#[derive(Deserialize)]
pub(crate) struct Crumb {
    pub(crate) crumb: String,
    #[serde(rename = "crumbRequestField")]
    pub(crate) field: String,
}
