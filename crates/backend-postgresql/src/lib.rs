//! PostgreSQL as an issuer: login roles are identities, their passwords are credentials.
//!
//! This crate knows PostgreSQL's catalogs, its SCRAM verifiers and its SQLSTATEs. It must not know sagas, the inventory's database or
//! other backends. The password itself never reaches the server in a statement: a SCRAM-SHA-256 verifier is computed here
//! (RFC 5802, RFC 7677) and that is what `ALTER ROLE` carries.
//!
//! # Scopes
//!
//! | scope | holds | ends |
//! | --- | --- | --- |
//! | `roles` | login roles as identities, their passwords as credentials, attributes and memberships as grants | complete |
//! | `roles/verifiers` | nothing of its own: whether `pg_authid` could be read | denied where it could not, with the statement that helps |
//!
//! # Attributes
//!
//! The identity and the credential `<name>/role/<role>` carry the same facts:
//!
//! | key | type | meaning |
//! | --- | --- | --- |
//! | `superuser`, `createrole`, `createdb`, `replication`, `bypassrls` | boolean | the role's attributes |
//! | `bootstrap` | boolean | the superuser that `initdb` made (oid 10): it cannot be dropped nor lose its rights |
//! | `own` | boolean | claviger itself logs in as this role |
//! | `connection_limit` | number | -1 is "no limit" |
//! | `valid_until` | string | `VALID UNTIL` in RFC 3339, `infinity`, `-infinity`; absent where none is set |
//! | `password_method` | string | `scram-sha-256`, `md5`, `none`, or `unknown` where `pg_authid` is not readable or holds something else |
//! | `password_known` | boolean | false: whether there is a password at all could not be read |
//! | `scram_iterations` | number | iterations of the SCRAM verifier, where there is one |
//! | `sessions` | number | live sessions now, our own not counted |
//! | `takes_turns_with` | string | the other one of two roles that take turns |
//! | `owns_objects` | boolean | it owns objects in some database, so it cannot simply be dropped |
//!
//! A grant by membership carries `admin_option` (it may pass the membership on) and `via`, the roles between, where it is indirect.
//!
//! # Two roles that take turns
//!
//! For a policy that says `alternating`, a role `app` gets `app_alt` beside it (`pair.rs`): a member of it, whose sessions are `app` from their
//! start. One has the password, the other rests with NOLOGIN and none. A comment on `app_alt` says what it is; a role of that name without
//! it is somebody else's.
//!
//! # To add
//!
//! Another predefined role: a line in `privilege.rs`. Another fact about a role: a column in `role.rs` and a line above. Another issuer operation
//! (ending sessions): `issuer.rs` and `claviger_backend::Capability`. Versions before 10 have no SCRAM and are
//! refused at the first connection.

mod backend;
mod config;
mod decoy;
mod ending;
mod failure;
mod inventory;
mod issuer;
mod pair;
mod privilege;
mod probe;
mod reach;
mod role;
mod session;
mod setting;
mod statement;
mod tls;
mod turns;

pub use self::{backend::PostgresqlBackend, config::PostgresqlConfig};
