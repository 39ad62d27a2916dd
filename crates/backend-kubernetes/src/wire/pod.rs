//! Pods and what makes them.

use serde::Deserialize;

use super::{Meta, Named, Text, nullable};

/// Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job: whatever has a pod template.
#[derive(Debug, Deserialize)]
pub(crate) struct Workload<'a> {
    #[serde(borrow, default)]
    pub(crate) metadata: Meta<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(crate) spec: WorkloadSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WorkloadSpec<'a> {
    pub(crate) replicas: Option<i64>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) template: Template<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Template<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) spec: PodSpec<'a>,
}

/// `batch/v1.CronJob`.
#[derive(Debug, Deserialize)]
pub(crate) struct CronJob<'a> {
    #[serde(borrow, default)]
    pub(crate) metadata: Meta<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(crate) spec: CronJobSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CronJobSpec<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) job_template: JobTemplate<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct JobTemplate<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) spec: WorkloadSpec<'a>,
}

/// `v1.Pod`.
#[derive(Debug, Deserialize)]
pub(crate) struct Pod<'a> {
    #[serde(borrow, default)]
    pub(crate) metadata: Meta<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(crate) spec: PodSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) containers: Vec<Container<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) init_containers: Vec<Container<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) ephemeral_containers: Vec<Container<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) volumes: Vec<Volume<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) image_pull_secrets: Vec<Named<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) service_account_name: Text<'a>,
    pub(crate) automount_service_account_token: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Container<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) command: Vec<Text<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) args: Vec<Text<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) env: Vec<EnvVar<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) env_from: Vec<EnvFrom<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) volume_mounts: Vec<VolumeMount<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EnvVar<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) name: Text<'a>,
    #[serde(borrow)]
    pub(crate) value: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) value_from: ValueFrom<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ValueFrom<'a> {
    #[serde(borrow)]
    pub(crate) secret_key_ref: Option<KeyRef<'a>>,
    #[serde(borrow)]
    pub(crate) config_map_key_ref: Option<KeyRef<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct KeyRef<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) key: Text<'a>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) optional: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EnvFrom<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) prefix: Text<'a>,
    #[serde(borrow)]
    pub(crate) secret_ref: Option<ObjectRef<'a>>,
    #[serde(borrow)]
    pub(crate) config_map_ref: Option<ObjectRef<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ObjectRef<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) name: Text<'a>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) optional: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VolumeMount<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) mount_path: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) sub_path: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) sub_path_expr: Text<'a>,
}

/// The kinds of volume that name a Secret, a ConfigMap or an identity.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Volume<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) name: Text<'a>,
    #[serde(borrow)]
    pub(crate) secret: Option<SecretVolume<'a>>,
    #[serde(borrow)]
    pub(crate) config_map: Option<Source<'a>>,
    #[serde(borrow)]
    pub(crate) projected: Option<Projected<'a>>,
    #[serde(borrow)]
    pub(crate) csi: Option<Csi<'a>>,
    #[serde(borrow)]
    pub(crate) azure_file: Option<AzureFile<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SecretVolume<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) secret_name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) items: Vec<Item<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) optional: bool,
}

/// A ConfigMap volume, or a Secret or ConfigMap within a projected one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Source<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) items: Vec<Item<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) optional: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Item<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) key: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Projected<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) sources: Vec<Projection<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Projection<'a> {
    #[serde(borrow)]
    pub(crate) secret: Option<Source<'a>>,
    #[serde(borrow)]
    pub(crate) config_map: Option<Source<'a>>,
    #[serde(borrow)]
    pub(crate) service_account_token: Option<TokenProjection<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TokenProjection<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) audience: Text<'a>,
    pub(crate) expiration_seconds: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Csi<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) driver: Text<'a>,
    #[serde(borrow)]
    pub(crate) node_publish_secret_ref: Option<Named<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AzureFile<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) secret_name: Text<'a>,
}
