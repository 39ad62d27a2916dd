use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Planted;

/// A forge: the secrets that it gives to the jobs of its repositories, and shows to nobody.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Forge {
    /// Repositories, `<owner>/<name>`, with their secrets by name.
    pub repositories: BTreeMap<String, BTreeMap<String, ForgeSecret>>,
    /// Deploy keys of repositories, by a name that the forge gives.
    pub deploy_keys: BTreeMap<String, BTreeMap<String, DeployKey>>,
}

/// The public half of a pair that is let in to one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployKey {
    /// Algorithm and key, as in `authorized_keys`.
    pub public: String,
    /// It may fetch, and not push.
    pub read_only: bool,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
}

/// A secret of a repository.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeSecret {
    /// What a job is given. No call of the forge's shows it.
    pub value: Planted,
    /// When its name was made; a write does not change it.
    pub created_at: DateTime<Utc>,
    /// Raised by each write. It tells nobody but a judge: the forge does not show it.
    #[serde(default)]
    pub writes: u64,
    /// The marker beside it, where a write of ours left one.
    #[serde(default)]
    pub marker: Option<ForgeMarker>,
}

/// What a write of ours leaves beside the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeMarker {
    /// Its operation key.
    pub key: String,
    /// When it was.
    pub at: DateTime<Utc>,
}
