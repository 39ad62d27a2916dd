//! The lifecycle database: SQLite or PostgreSQL, behind narrow ports.
//!
//! [`Inventory`] merges what a scan saw, [`Journal`] keeps sagas with fenced appends, [`AuditLog`] is the append-only chain,
//! [`Approvals`] and [`Incidents`] keep what people decided, [`Firings`] what is scheduled, [`Tokens`] and [`Requests`] what the API needs, [`Deliveries`] which webhooks were heard, [`Notifications`] what others are to be told, [`Hints`] tell of work at once where the database can. They are traits because the crash harness has to wrap them; [`SeaStore`] is all of them. SeaORM types never leave this crate, and it must not know any
//! backend: it stores what `claviger_core` describes.
//!
//! To add a table: a migration file in `migrations` (never edit a landed one), an entity in `entity/`, and the port method that needs it.

mod database;
mod entity;
mod error;
mod hear;
pub mod port;
mod store;
mod watch;

pub use error::{Error, Result};
pub use port::*;
pub use store::{MigrationState, SchemaStatus, SeaStore};
