use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use claviger_core::{model::Labels, saga::Party};
use serde::{Deserialize, Serialize};

use super::Planted;

/// A Kubernetes cluster.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Namespaces by name.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Role bindings of ServiceAccounts by name.
    pub bindings: BTreeMap<String, Binding>,
    /// Role bindings of users and groups, whom client certificates name, by name.
    pub user_bindings: BTreeMap<String, UserBinding>,
    /// Token Secrets that were deleted lately.
    pub tombstones: Vec<Tombstone>,
}

/// A namespace.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Namespace {
    /// Labels; what is in it inherits `env`.
    pub labels: Labels,
    /// We may not look into it.
    pub denied: bool,
    /// Secrets.
    pub secrets: BTreeMap<String, Secret>,
    /// ConfigMaps.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// ServiceAccounts.
    pub service_accounts: BTreeMap<String, ServiceAccount>,
    /// Deployments.
    pub deployments: BTreeMap<String, Deployment>,
    /// Pods to which tokens are bound, beside those that Deployments only count.
    pub pods: BTreeMap<String, BoundPod>,
}

/// Type of a Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretType {
    /// `Opaque`.
    #[default]
    Opaque,
    /// `kubernetes.io/dockerconfigjson`.
    DockerConfigJson,
    /// `kubernetes.io/service-account-token`. Its `token` is not stored: the cluster computes it.
    ServiceAccountToken {
        /// Its ServiceAccount.
        account: String,
        /// Made by the control plane and not by hand.
        #[serde(default)]
        auto_generated: bool,
        /// Label `kubernetes.io/legacy-token-last-used`.
        #[serde(default)]
        last_used: Option<DateTime<Utc>>,
        /// Label `kubernetes.io/legacy-token-invalid-since`.
        #[serde(default)]
        invalid_since: Option<DateTime<Utc>>,
    },
}

impl SecretType {
    /// The type as Kubernetes writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opaque => "Opaque",
            Self::DockerConfigJson => "kubernetes.io/dockerconfigjson",
            Self::ServiceAccountToken { .. } => "kubernetes.io/service-account-token",
        }
    }
}

/// A Secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Changes when it is re-created.
    pub uid: String,
    /// `resourceVersion`.
    pub version: u64,
    /// Type.
    #[serde(default, rename = "type")]
    pub kind: SecretType,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last written.
    pub updated_at: DateTime<Utc>,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// Annotations.
    #[serde(default)]
    pub annotations: Labels,
    /// Cannot be written.
    #[serde(default)]
    pub immutable: bool,
    /// Who writes it, where that is another system.
    #[serde(default)]
    pub managed_by: Option<String>,
    /// Operation key of the last write.
    #[serde(default)]
    pub written_by: Option<String>,
    /// Fields.
    #[serde(default)]
    pub data: BTreeMap<String, Planted>,
}

/// A ConfigMap.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigMap {
    /// `resourceVersion`.
    pub version: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last written.
    pub updated_at: DateTime<Utc>,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// Operation key of the last write.
    #[serde(default)]
    pub written_by: Option<String>,
    /// Fields.
    #[serde(default)]
    pub data: BTreeMap<String, Planted>,
}

/// A ServiceAccount.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccount {
    /// Changes when it is re-created, and with it all its legacy tokens.
    pub uid: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// Annotations.
    #[serde(default)]
    pub annotations: Labels,
}

/// A pod to which tokens are bound.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundPod {
    /// Another one after it was made again.
    pub uid: String,
    /// Runs as this ServiceAccount.
    pub account: String,
    /// Its controller, which makes another one under another name when it is gone.
    #[serde(default)]
    pub made_by: Option<String>,
}

/// A role binding.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// `<namespace>/<ServiceAccount>`.
    pub account: String,
    /// `ClusterRole/cluster-admin`.
    pub role: String,
    /// The namespace where it holds; `*` is everywhere.
    pub reach: String,
}

/// A role binding of users and groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserBinding {
    /// Whom it names.
    pub subjects: Vec<Party>,
    /// `ClusterRole/edit`.
    pub role: String,
    /// The namespace where it holds; `*` is everywhere.
    pub reach: String,
}

/// A token Secret that is gone: its token may still be accepted out of a cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// Namespace.
    pub namespace: String,
    /// Name of the Secret; `pod/<uid>` where a pod is gone; `*` where the account itself is, and with it every token of it.
    pub secret: String,
    /// Its ServiceAccount.
    pub account: String,
    /// The uid of that.
    pub account_uid: String,
    /// When it was deleted.
    pub at: DateTime<Utc>,
}

/// Kind of an object with fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ObjectKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        })
    }
}

/// An object of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectName {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
}

/// Where an environment variable comes from.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvSource {
    /// It stands in the specification.
    Literal(Planted),
    /// A field of an object.
    Field {
        /// The object.
        object: ObjectName,
        /// The field.
        key: String,
    },
}

/// A volume from an object. Its files follow the object while the pod runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The object.
    pub object: ObjectName,
    /// One file with `subPath`, which never follows.
    #[serde(default)]
    pub sub_path: Option<String>,
}

/// A container.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Environment.
    pub env: BTreeMap<String, EnvSource>,
    /// Whole objects as environment.
    pub env_from: Vec<ObjectName>,
    /// Volumes.
    pub mounts: Vec<Mount>,
}

/// A consumer that logs in with what it read: what an application would notice of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// The database role.
    pub role: String,
    /// Where its value comes from: `Secret/<name>#<key>`, `ConfigMap/<name>#<key>` or `containers/<container>/env/<NAME>`. A URL's
    /// password is taken out of it.
    pub reads: String,
}

/// What a pod read when it started.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it is, or was, ready.
    pub ready_at: DateTime<Utc>,
    /// By `Secret/<name>#<key>`, and so on, as in [`Witness::reads`].
    pub holds: BTreeMap<String, Planted>,
}

/// A rollout that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Operation key.
    pub key: String,
    /// When its pods are ready.
    pub ready_at: DateTime<Utc>,
    /// Why its pods do not start; the former ones go on.
    #[serde(default)]
    pub failed: Option<String>,
}

/// A Deployment.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// `resourceVersion` of its specification.
    pub version: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// Pods wanted.
    pub replicas: u32,
    /// Runs as this ServiceAccount.
    #[serde(default)]
    pub service_account: Option<String>,
    /// Pull secrets.
    #[serde(default)]
    pub image_pull_secrets: Vec<String>,
    /// Containers.
    pub containers: Vec<Container>,
    /// Logs in as an application would.
    #[serde(default)]
    pub witness: Option<Witness>,
    /// Why new pods do not start.
    #[serde(default)]
    pub broken: Option<String>,
    /// So many rollouts fail, and then it is no longer `broken`; 0: for ever.
    #[serde(default)]
    pub breaks: u32,
    /// Running pods; during a rollout the old ones and the new.
    #[serde(default)]
    pub pods: Vec<Pod>,
    /// Rollouts that were asked for, oldest first.
    #[serde(default)]
    pub rollouts: Vec<Rollout>,
    /// Operation key of the last write to a literal.
    #[serde(default)]
    pub written_by: Option<String>,
    /// Tokens of its own account that the cluster projects into its pods.
    #[serde(default)]
    pub projections: Vec<Projection>,
}

/// A token of a pod's own account, renewed by the cluster while the pod runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projection {
    /// The Secret whose place it takes.
    pub from: String,
    /// For whom it is.
    #[serde(default)]
    pub audience: Option<String>,
    /// How long one holds, in seconds.
    pub lifetime: u32,
    /// Do containers read it? Else it is only there.
    #[serde(default)]
    pub read: bool,
    /// The mounts whose place it took, with their containers.
    #[serde(default)]
    pub former: Vec<(String, Mount)>,
}

impl Namespace {
    /// The value of an object's field, the cluster's own tokens left out.
    pub fn field(&self, object: &ObjectName, key: &str) -> Option<&Planted> {
        match object.kind {
            ObjectKind::Secret => self.secrets.get(&object.name)?.data.get(key),
            ObjectKind::ConfigMap => self.config_maps.get(&object.name)?.data.get(key),
        }
    }

    fn fields(&self, object: &ObjectName) -> Option<&BTreeMap<String, Planted>> {
        match object.kind {
            ObjectKind::Secret => Some(&self.secrets.get(&object.name)?.data),
            ObjectKind::ConfigMap => Some(&self.config_maps.get(&object.name)?.data),
        }
    }

    /// What a pod of this Deployment would read if it started now. `tokens` are those of the namespace's token Secrets by name, and of its accounts by
    /// `ServiceAccount/<name>`, which the cluster computes.
    ///
    /// # Errors
    /// The object or field that is missing: the kubelet would not start the pod.
    pub fn read_at_start(
        &self,
        deployment: &Deployment,
        tokens: &BTreeMap<String, Planted>,
    ) -> Result<BTreeMap<String, Planted>, String> {
        let token = |object: &ObjectName| {
            (object.kind == ObjectKind::Secret).then(|| tokens.get(&object.name)).flatten()
        };
        let mut holds = BTreeMap::new();
        for container in &deployment.containers {
            for (name, source) in &container.env {
                match source {
                    EnvSource::Literal(value) => {
                        holds.insert(format!("containers/{}/env/{name}", container.name), value.clone());
                    }
                    EnvSource::Field { object, key } => {
                        let place = format!("{}/{}#{key}", object.kind, object.name);
                        let value = token(object)
                            .filter(|_| key == "token")
                            .or_else(|| self.field(object, key))
                            .ok_or_else(|| format!("{place} does not exist"))?;
                        holds.insert(place, value.clone());
                    }
                }
            }
            let whole = container.env_from.iter().chain(container.mounts.iter().map(|mount| &mount.object));
            for object in whole {
                let fields = self
                    .fields(object)
                    .ok_or_else(|| format!("{}/{} does not exist", object.kind, object.name))?;
                for (key, value) in fields {
                    holds.insert(format!("{}/{}#{key}", object.kind, object.name), value.clone());
                }
                if let Some(token) = token(object) {
                    holds.insert(format!("{}/{}#token", object.kind, object.name), token.clone());
                }
            }
        }
        if deployment.projections.iter().any(|projection| projection.read) {
            let account = deployment.service_account.as_deref().unwrap_or("default");
            let place = format!("ServiceAccount/{account}");
            let token = tokens.get(&place).ok_or_else(|| format!("{place} does not exist"))?;
            holds.insert(format!("{place}#token"), token.clone());
        }
        Ok(holds)
    }

    /// Starts a Deployment's first pods.
    ///
    /// # Errors
    /// As [`Namespace::read_at_start`], or there is no such Deployment.
    pub fn start(
        &mut self,
        name: &str,
        at: DateTime<Utc>,
        tokens: &BTreeMap<String, Planted>,
    ) -> Result<(), String> {
        let deployment =
            self.deployments.get(name).ok_or_else(|| format!("Deployment/{name} does not exist"))?;
        let holds = self.read_at_start(deployment, tokens)?;
        if let Some(deployment) = self.deployments.get_mut(name) {
            deployment.pods = vec![Pod { started_at: at, ready_at: at, holds }];
        }
        Ok(())
    }
}
