//! Kubernetes: its Secrets, ConfigMaps, workloads, ServiceAccounts and RBAC as an inventory, and its three roles.
//!
//! * **Issuer** of legacy ServiceAccount tokens (and of bootstrap tokens): presence, login, identification, deletion. A token Secret that
//!   is deleted goes on authenticating for up to 10 s, and one that is re-created under its name for the same ServiceAccount holds the
//!   identical token again: the engine's receipt waits for the first and watches the second, and a legacy token is followed by one in
//!   another Secret, whose name follows from the operation (annotation `claviger.dev/issued-for`) and is never used again. A legacy token is
//!   suspended by the label `kubernetes.io/legacy-token-invalid-since`; of its last use the cluster tells the day.
//! * **Store**: keys of Secrets and ConfigMaps, written by compare-and-set on resourceVersion and uid; the key of the operation stays in
//!   the annotation `claviger.dev/operations`.
//! * **Runtime**: rollouts of Deployments, StatefulSets and DaemonSets by an annotation of their pod template, and, of CronJobs too, the name
//!   of another Secret wherever the template names one.
//!
//! * **What tokens are bound to** (`anchor.rs`): ServiceAccounts, deleted and made again, and pods, deleted; shown by a token of our own (TokenRequest).
//! * **Authority** (`authority.rs`): the bindings of users and groups, which are cut where a client certificate cannot be refused.
//!
//! The crate must not know claviger's engine, database or reports, nor what makes a value a secret: it sends every field whole. It talks
//! to the API server only (`connection.rs` says why not through kube's typed API), and knows no cloud.
//!
//! To read one more kind of object: its line in `resource.rs`, its JSON in `wire`, a reader in `inventory`, a line in `access.rs` for the
//! permission. To recognise one more dangerous RBAC rule: a line in `rbac.rs`.
//!
//! Refs are `<backend>/<namespace>/<Kind>/<name>`; what lies in no namespace has `*` there (`prod/*/ClusterRoleBinding/x`,
//! `prod/*/User/dana`, `prod/*/AwsRole/<arn>`).
//!
//! Scopes: area = namespace or `*`, part = `secrets`, `configmaps`, `serviceaccounts`, `workloads`, `replicasets`, `rbac`, and
//! `aws-auth` of `kube-system`. `replicasets` holds the former templates of Deployments too: their values are former copies at the
//! Deployment's ref, their version is the ReplicaSet's name. Users and groups belong to the scope of the first binding that names them.
//!
//! # Attributes
//!
//! | of | key | value |
//! | --- | --- | --- |
//! | identity (ServiceAccount) | `automount` | its automountServiceAccountToken, where it is set |
//! | identity (ServiceAccount) | `uid` | changes when it is made again; every token of it carries it |
//! | | `cloud_provider`, `cloud_role` | `aws`, `gcp` or `azure`, and the role that an annotation binds it to |
//! | | `secrets`, `image_pull_secrets` | names that it lists |
//! | identity (user, group) | `subject_kind` | `User` or `Group` |
//! | | `built_in` | true for groups like `system:authenticated`, which are shown only where somebody bound them |
//! | identity (cloud) | `arn`, `kubernetes_user`, `kubernetes_groups` | what `aws-auth` says |
//! | credential (token Secret) | `auto`, `manual` | made by the token controller, or by somebody |
//! | | `invalid_since` | day on which the cluster invalidated it; its state is `suspended` |
//! | | `dangling` | true: its ServiceAccount does not exist |
//! | | `bootstrap`, `usage_bootstrap_authentication`, `usage_bootstrap_signing` | a bootstrap token, and what it is good for |
//! | copy, credential | `secret_type` | type of the Secret |
//! | | `immutable` | true: can only be replaced by another object |
//! | | `managed_by` | who writes it: `ExternalSecret/db`, `helm/web`, `argocd/shop`, … |
//! | | `last_applied` | true: the value also, or only (then it is former), stands in the last-applied annotation |
//! | | `helm_release`, `helm_status`, `helm_revision` | of a Helm release |
//! | consumer | `replicas` | of the workload |
//! | | `variable` | name of the environment variable |
//! | | `optional`, `prefix` | of the reference |
//! | | `mount_path`, `sub_path` | of the mount; a `sub_path` never updates |
//! | | `mounted` | false: no container mounts the volume |
//! | | `audience`, `expiration_seconds` | of a projected token |
//! | | `csi_driver` | that takes the Secret |
//! | | `from_service_account` | the ServiceAccount whose pull secret it is |
//! | grant | `binding_kind`, `default_binding` | `RoleBinding` or `ClusterRoleBinding`; true for those the API server makes |
//! | | `rules` | the role's rules, a line each |
//! | | `opens` | the Secrets that it lets its holder read, as `claviger_core::chain::Pattern` has them |
//! | | `risks` | names of the dangerous ones, see `rbac.rs` |
//! | | `role_missing`, `dangling` | true: the role, the ServiceAccount does not exist |
//! | | `inherited_by_everybody` | true: bound to a group that everybody is in |
//! | | `via`, `arn` | the user or group through which a cloud identity has it |

mod access;
mod anchor;
mod authority;
mod backend;
mod buffer;
mod config;
mod connection;
mod eraser;
mod expiry;
mod failure;
mod federation;
mod inventory;
mod issuer;
mod managed;
mod myself;
mod namespace;
mod owner;
mod paging;
mod place;
mod rbac;
mod resource;
mod review;
mod runtime;
mod store;
mod token;
mod trusting;
mod version;
mod wire;
mod workloads;

pub use self::{
    backend::{KubernetesBackend, connect},
    config::KubernetesConfig,
    review::{Account, TokenReviewer},
};
