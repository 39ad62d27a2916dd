use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use claviger_core::model::Labels;
use serde::{Deserialize, Serialize};

use super::Planted;

/// A secret store.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretStore {
    /// Paths of its key-value engine.
    pub paths: BTreeMap<String, KvEntry>,
    /// Tokens by accessor.
    pub tokens: BTreeMap<String, VaultToken>,
    /// Entities by name.
    pub entities: BTreeMap<String, Entity>,
    /// Static roles of its database engine by name.
    pub static_roles: BTreeMap<String, StaticRole>,
    /// Connections of its database engine by name.
    pub connections: BTreeMap<String, Connection>,
    /// Roles by which accounts of the cluster log in, by name.
    pub kubernetes_roles: BTreeMap<String, KubernetesRole>,
}

/// Lets an account of the cluster in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesRole {
    /// `<namespace>/<ServiceAccount>`.
    pub account: String,
    /// What it may do then.
    pub policies: Vec<String>,
    /// Operation key of who made it.
    pub made_by: String,
}

/// Somebody who logs in, by whatever way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// Its id, which tokens carry.
    pub id: String,
    /// It logs in nowhere.
    #[serde(default)]
    pub disabled: bool,
}

/// A connection of the store's database engine, with the root credential that it alone holds.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The login role.
    pub role: String,
    /// Its password, as the engine holds it.
    pub value: Planted,
}

/// An account whose password the store's database engine makes, sets and shows.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticRole {
    /// The login role.
    pub role: String,
    /// Its password, as the engine holds it.
    pub value: Planted,
    /// When the engine last changed it.
    pub rotated_at: DateTime<Utc>,
    /// How often it did.
    #[serde(default)]
    pub rotations: u64,
}

/// A path with its versions. The store keeps the last [`KvEntry::KEPT`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KvEntry {
    /// Versions, oldest first; the last is the current one.
    pub versions: Vec<KvVersion>,
    /// Custom metadata.
    #[serde(default)]
    pub labels: Labels,
    /// We may not read it.
    #[serde(default)]
    pub denied: bool,
}

/// One version of a path.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KvVersion {
    /// Counts from 1 within the path.
    pub number: u64,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// Operation key of the write.
    #[serde(default)]
    pub written_by: Option<String>,
    /// Fields.
    pub fields: BTreeMap<String, Planted>,
}

/// A token of the store itself.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultToken {
    /// The token.
    pub value: Planted,
    /// Its display name.
    pub display_name: String,
    /// Its policies; `root` is everything.
    pub policies: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends; `None` is never.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
    /// Operation key of who had it made.
    #[serde(default)]
    pub made_by: Option<String>,
    /// The id of the entity that logged in.
    #[serde(default)]
    pub entity: Option<String>,
}

impl KvEntry {
    /// How many versions are kept, as by default in KV version 2.
    pub const KEPT: usize = 10;

    /// The current version.
    pub fn current(&self) -> Option<&KvVersion> {
        self.versions.last()
    }

    /// Appends a version and drops the oldest where there are too many.
    pub fn push(
        &mut self,
        fields: BTreeMap<String, Planted>,
        at: DateTime<Utc>,
        written_by: Option<String>,
    ) -> u64 {
        let number = self.current().map_or(0, |version| version.number) + 1;
        self.versions.push(KvVersion { number, created_at: at, written_by, fields });
        if self.versions.len() > Self::KEPT {
            self.versions.remove(0);
        }
        number
    }
}
