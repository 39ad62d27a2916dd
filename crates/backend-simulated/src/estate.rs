//! The simulated world: what lies in the file.
//!
//! Everything is public so that a test can build any estate, and a person can read and edit the file.

mod cloud;
mod cluster;
mod database;
mod demo;
mod file;
mod forge;
mod planted;
mod secret_store;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use claviger_core::{random::Random, reference::Ref};
use serde::{Deserialize, Serialize};

pub use self::{
    cloud::{AccessKey, Cloud, CloudSession, CloudUser},
    cluster::{
        Binding, BoundPod, Cluster, ConfigMap, Container, Deployment, EnvSource, Mount, Namespace,
        ObjectKind, ObjectName, Pod, Projection, Rollout, Secret, SecretType, ServiceAccount, Tombstone,
        UserBinding, Witness,
    },
    database::{Database, Password, Role, Session},
    demo::demo,
    file::{EstateError, EstateFile},
    forge::{DeployKey, Forge, ForgeMarker, ForgeSecret},
    planted::Planted,
    secret_store::{
        Connection, Entity, KubernetesRole, KvEntry, KvVersion, SecretStore, StaticRole, VaultToken,
    },
};

/// Format of the file.
pub const FORMAT: u32 = 1;

/// How the estate behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seconds for which the cluster goes on accepting a legacy token whose Secret is gone.
    pub revoke_cache_seconds: u32,
    /// Seconds from a rollout until the new pods are ready.
    pub rollout_seconds: u32,
    /// Seconds for which the cloud does not know an access key that was just made: it is refused, and no list shows it.
    pub key_settle_seconds: u32,
    /// How many access keys a cloud user may have, where it is not [`CloudUser::SLOTS`].
    pub key_slots: Option<u32>,
    /// The secret store makes the values of its tokens itself and tells each once, as real ones do; else it takes ours.
    pub tokens_are_told: bool,
    /// Characters that the database refuses in a password.
    pub refused_characters: String,
    /// Roles and policies that short-lived identities do not get, though the static credential has them.
    pub identities_lack: BTreeSet<String>,
    /// Tokens of workloads are made in their own runs alone, and their owners do what a patch says at once: as soon as there is a role for them, and back
    /// when it goes.
    pub runs_alone: bool,
    /// Parts that do not answer: `db`, `iam`, `kv`, `auth`, `k8s`, `forge`.
    pub unavailable: BTreeSet<String>,
}

/// One change that took place, in the order in which it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// When, by the backend's clock.
    pub at: DateTime<Utc>,
    /// `issue`, `restore`, `disable`, `enable`, `revoke`, `end_derived`, `write`, `post`, `erase`, `destroy`, `refresh`, `repoint`,
    /// `end`, `remake`, `cut`, `federate`, `unfederate`, `bind`.
    pub operation: String,
    /// What was changed.
    pub target: Ref,
    /// The operation key that the caller gave.
    pub key: String,
}

/// The simulated world.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estate {
    /// [`FORMAT`].
    pub format: u32,
    /// How it behaves.
    #[serde(default)]
    pub settings: Settings,
    /// Signs tokens and salts verifiers.
    pub key: Planted,
    /// Raised by each change; versions of objects are values of it.
    pub revision: u64,
    /// Login roles.
    #[serde(default)]
    pub database: Database,
    /// Users with access keys.
    #[serde(default)]
    pub cloud: Cloud,
    /// Paths with versions, and tokens.
    #[serde(default)]
    pub secret_store: SecretStore,
    /// Namespaces and what is in them.
    #[serde(default)]
    pub cluster: Cluster,
    /// Repositories with secrets that are shown to nobody.
    #[serde(default)]
    pub forge: Forge,
    /// What has been changed through a backend.
    #[serde(default)]
    pub effects: Vec<Effect>,
}

impl Estate {
    /// An estate with nothing in it.
    pub fn empty(random: &dyn Random) -> Self {
        Self {
            format: FORMAT,
            settings: Settings::default(),
            key: Planted::random_hex(random, 32),
            revision: 1,
            database: Database::default(),
            cloud: Cloud::default(),
            secret_store: SecretStore::default(),
            cluster: Cluster::default(),
            forge: Forge::default(),
            effects: Vec::new(),
        }
    }

    /// The next value of the revision.
    pub fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// The token that the cluster gives a token Secret of this name, whoever makes it and whenever: a function of namespace, name,
    /// ServiceAccount and its uid. `None` where there is no such ServiceAccount.
    pub fn legacy_token(&self, namespace: &str, secret: &str, account: &str) -> Option<Planted> {
        let uid = &self.cluster.namespaces.get(namespace)?.service_accounts.get(account)?.uid;
        Some(crate::token::mint(&self.key, namespace, secret, account, uid))
    }

    /// The tokens of a namespace's token Secrets by name, and those that are projected for its accounts by `ServiceAccount/<name>`.
    pub fn legacy_tokens(&self, namespace: &str) -> BTreeMap<String, Planted> {
        let Some(held) = self.cluster.namespaces.get(namespace) else { return BTreeMap::new() };
        let secrets = held.secrets.iter();
        let tokens = secrets.filter_map(|(name, secret)| match &secret.kind {
            SecretType::ServiceAccountToken { account, .. } => {
                Some((name.clone(), self.legacy_token(namespace, name, account)?))
            }
            _ => None,
        });
        // What is projected into a pod is renewed before it ends, so that it is never seen to have ended.
        let projected = held.service_accounts.iter().map(|(name, account)| {
            let token = crate::token::mint(&self.key, namespace, crate::anchor::RENEWED, name, &account.uid);
            (format!("ServiceAccount/{name}"), token)
        });
        tokens.chain(projected).collect()
    }
}
