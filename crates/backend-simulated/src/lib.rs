//! An estate that lives in one JSON file: what `claviger demo` and the crash sweep run on.
//!
//! It stands for a database, a cloud account, a secret store and a cluster at once, with the rules that matter for rotation kept true to
//! the systems: a role has one password and setting it ends the old one, and two roles can take
//! turns; a path keeps its former versions and takes check-and-set; a forge takes a
//! value, shows a marker and compares nothing; a legacy token is a function of its Secret's name and its ServiceAccount's uid, so that the same name gives the same token again; pods go
//! on with what they read when they started. It must not know the engine, the journal or any real system. **It holds its values in the
//! clear**: it plays the target, and a target knows its own secrets.
//!
//! | ref | stands for |
//! | --- | --- |
//! | `sim/db/role/<role>` | a PostgreSQL login role |
//! | `sim/iam/user/<user>/access-key/<id>` | an AWS access key |
//! | `sim/kv/<path>#<key>` | a field of a KV version 2 path |
//! | `sim/auth/token/accessor/<accessor>` | a Vault token |
//! | `sim/k8s/<namespace>/Secret/<name>#<key>`, `…/ConfigMap/<name>#<key>` | a field of a Kubernetes object |
//! | `sim/k8s/<namespace>/Secret/<name>` | a legacy token, where the Secret is one |
//! | `sim/k8s/<namespace>/ServiceAccount/<name>`, `…/Deployment/<name>` | the same |
//! | `sim/k8s/<namespace>/Pod/<name>` | a pod to which tokens are bound |
//! | `sim/auth/kubernetes/role/<name>` | a role of Vault's Kubernetes auth method |
//! | `sim/forge/<owner>/<repository>/actions/secrets/<name>` | a secret of a forge, which shows its value to nobody |
//! | `sim/forge/<owner>/<repository>/deploy-keys/<id>` | a deploy key, by its public half |
//! | `sim/identity/entity/<name>` | an entity of the secret store, with its tokens |
//! | `sim/k8s/*/ClusterRoleBinding/<name>` | a binding of users and groups |
//! | `sim/k8s/<namespace>/Deployment/<name>#containers/<container>/env/<NAME>` | a literal |
//!
//! Faults: see [`fault`]. What the estate has seen and what holds in it is asked through [`observer::Observer`].
//!
//! # Attributes
//!
//! | on | key | type | meaning |
//! | --- | --- | --- | --- |
//! | role, its password | `superuser`, `createrole`, `replication` | bool | as in `pg_roles` |
//! | password | `password_method` | string | `scram-sha-256`, `md5`, or `none` while it rests |
//! | password | `takes_turns_with` | string | the other one of two roles that take turns |
//! | IAM user | `access_keys` | number | how many keys it has |
//! | access key | `status` | string | `Active` or `Inactive` |
//! | access key | `never_used` | bool | the issuer knows and says never |
//! | access key | `active_keys_of_user` | number | with its user's others |
//! | Vault token | `policies` | strings | its policies |
//! | Vault token | `root` | bool | holds the policy `root` |
//! | Vault token | `ttl_seconds` | number | 0 where it never expires |
//! | Vault token | `no_expiry` | bool | never expires |
//! | deploy key | `read_only` | bool | it may fetch only |
//! | legacy token | `legacy` | bool | a token Secret |
//! | legacy token | `auto`, `manual` | bool | made by the control plane, or by hand |
//! | copy | `immutable` | bool | cannot be written |
//! | copy | `write_only` | bool | its value is shown to nobody |
//! | copy | `managed_by` | string | who writes this place |
//! | copy in a Secret | `secret_type` | string | the Secret's type |
//! | consumer | `replicas` | number | pods wanted |
//!
//! To add a kind of target: its part of the estate in `estate/`, a line in [`target::Target`], and its arms in `inventory/`, `issuer`, `store`.

mod access_key;
mod anchor;
mod authority;
mod backend;
mod decoy;
mod deploy_key;
mod ending;
mod eraser;
pub mod estate;
pub mod fault;
mod federation;
mod inventory;
mod issuer;
mod letterbox;
pub mod observer;
mod root;
mod runtime;
mod static_role;
mod store;
pub mod target;
mod token;
pub mod token_secret;
mod trusting;
mod turns;
mod vault_token;
mod workloads;

#[cfg(test)]
mod tests;

pub use self::{
    backend::{SimulatedBackend, SimulatedConfig},
    estate::{Estate, EstateError, EstateFile},
    fault::{CrashSignal, Fault, FaultPlan},
};
