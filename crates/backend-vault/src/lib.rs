//! HashiCorp Vault and OpenBao: inventory, tokens and secret-ids as an issuer, KV as a store.
//!
//! It knows the server's HTTP API. It must not know sagas, the database, or what other systems hold. Where Vault and OpenBao answer
//! differently the code says so; everything was run on OpenBao 2.7.2, and what only Vault answers is from its API documentation.
//!
//! To add an engine: a word in `mounts::MountKind`, a file in `inventory/` that ends each scope that it begins, a line in `check::needs`, and a
//! line in the table below.
//!
//! # Refs
//! `<mount>/<path>#<key>` for KV · `auth/<mount>/role/<role>` and `…/secret-id/<accessor>` · `auth/token/accessor/<accessor>` ·
//! `<mount>/config/<connection>`, `<mount>/static-roles/<name>`, `<mount>/static-creds/<name>#password` · `<mount>/cert/<serial>` ·
//! `auth/<mount>/users/<user>` · `sys/leases/<prefix>` and `identity/entity/<id or name>`, which are revoked whole. In paths `%` and `#` are written `%25` and `%23`.
//!
//! # Scopes
//! Phase `Issuers`: `sys`: `mounts`, `leases`, `policies`; `auth/<approle>`: `roles`, `secret-ids`; `auth/token`: `accessors`;
//! `auth/<userpass>`: `users`; `auth/<kubernetes or jwt>`: `roles`; a database mount: `connections`, `static-roles`; a PKI mount: `certificates`. Phase `Stores`: each folder of a
//! KV mount (`<mount>`, `<mount>/<folder>`), each KV secret whose values are denied (`<mount>/<path>`; its folder is then denied too, so that
//! nothing there is taken for gone); a database mount: `static-creds`. Child namespaces and engines that we do not read are `unreadable`.
//!
//! # Attributes
//! | subject | key | value |
//! | --- | --- | --- |
//! | AppRole role (identity) | `secret_id_ttl`, `token_ttl`, `token_max_ttl`, `token_period` | seconds; 0: no limit of its own |
//! | | `secret_id_num_uses`, `token_num_uses` | number; 0: unlimited |
//! | | `bind_secret_id` | boolean |
//! | | `secret_id_bound_cidrs`, `token_bound_cidrs`, `token_policies` | list of strings |
//! | | `token_type` | string |
//! | | `leases_count` | leases below the role's mount |
//! | role of a login by token (identity) | `trust_gaps` | list of the words of `claviger_core::trust::Gap`: what it does not ask of a token |
//! | | `bound_service_account_names`, `bound_service_account_namespaces`, `audience`, `namespace_selector` | what it asks, at a cluster's tokens |
//! | | `bound_subject`, `bound_claims`, `web_identity_audiences`, `role_type` | what it asks, at other tokens |
//! | | `token_policies`, `token_ttl`, `token_max_ttl`, `token_period`, `token_bound_cidrs` | as above |
//! | secret-id | `ttl` | seconds; 0: none |
//! | | `num_uses` | uses left; 0: unlimited |
//! | | `no_expiry` | boolean |
//! | | `bound_cidrs`, `token_bound_cidrs` | list of strings |
//! | | `updated_at` | RFC 3339 |
//! | token | `ttl` (when made), `period`, `explicit_max_ttl` | seconds; 0: none |
//! | | `policies` | list of strings |
//! | | `orphan`, `renewable`, `root`, `no_expiry`, `own` | boolean; `own`: the one that we work with |
//! | | `num_uses` | uses left; 0: unlimited |
//! | | `display_name`, `path`, `token_role` | string |
//! | token holder (identity) | `display_name` | string |
//! | | `known_by` | `entity`, `display-name`, or `token`: nothing but the token itself |
//! | userpass user | `token_policies`, `token_bound_cidrs`, `token_ttl`, `token_max_ttl` | as above; its password has `no_expiry` |
//! | policy (grant) | `rules`, `rules_count` | the first 20 as text; number |
//! | | `opens`, `opens_maybe` | secrets of key-value stores that it lets its holder read, as `claviger_core::chain::Pattern` has them; true: others of its rules may take that away |
//! | database connection | `plugin`, `username`, `host`, `allowed_roles`, `verify_connection`, `root_of_mount`, `leases_count` | |
//! | static role | `db_name`, `username`, `rotation_period` (seconds), `rotation_schedule`, `rotated_by_server`, `last_vault_rotation` | |
//! | certificate | `serial`, `names`, `ca`, `revoked`, `revoked_at`, `parsed` | state `suspended` when revoked |
//! | KV copy | `kv_version`, `cas_required`, `versions`, `max_versions`, `deleted_versions`, `destroyed_versions` | |
//! | | `managed_by` | the system that owns it, from `custom_metadata`; for `static-creds` the static role |
//! | `static-creds` | `shown_for` | ref of the static role whose password is shown there |
//!
//! # Lent accounts in the place of passwords
//! A swap of a role at a PostgreSQL server makes a role of the database engine, one of the `kubernetes` login and a policy, all named
//! `claviger-<namespace>-<service account>-<role>`; the policy carries the operation's key. What is lent is a member of the former role and acts as it, so that
//! grants are equal by construction; settings of the former role are not copied, and refuse the swap when both are compared. Needs `create`, `update`, `read`
//! and `delete` on those three, `update` on `sys/leases/lookup`, `sys/leases/revoke-prefix/*` and `auth/token/revoke-accessor`.
//!
//! # Known limits
//! Batch tokens are not listed by any server. Secret-ids and tokens have no last use. Destroying a secret-id leaves the tokens that it gave
//! alive. KV version 1 has no compare-and-set. A secret-id or token with limited uses is never tried. A token that follows another is made at
//! `auth/token/create-orphan`, which takes `sudo` there and thereby may make a token with any policy but `root`; one that a token role made is made
//! with that role, which may do with less. No server says whose child a token is, nor which children and leases end with it.

mod backend;
mod check;
mod client;
mod config;
mod eraser;
mod federation;
mod inventory;
mod issuer;
mod kv;
mod labels;
mod lease;
mod mounts;
mod names;
mod own_login;
mod store;

pub use self::{
    backend::VaultBackend,
    config::{VaultAuth, VaultConfig},
};
