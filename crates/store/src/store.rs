//! The ports on SeaORM.

mod access;
mod approval;
mod audit;
mod delivery;
mod firing;
mod group;
mod hint;
mod incident;
mod inventory;
mod journal;
mod lease;
mod notification;
mod own_key;
mod reseal;
mod saga;
mod schema;
mod sql;
mod text;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use claviger_core::{clock::Clock, id::new_id, own_key::KeyId, random::Random, secret::SecretValue};
use uuid::Uuid;

pub use self::schema::{MigrationState, SchemaStatus};
use crate::{Result, database::Database};

/// The lifecycle database. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct SeaStore {
    database: Database,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    group: Arc<group::Group>,
    fingerprint_key: Arc<OnceLock<KeyId>>,
    /// Of which hints it is itself the origin.
    origin: Arc<OnceLock<Uuid>>,
}

impl SeaStore {
    /// Opens `sqlite://PATH` (relative to the working directory; `sqlite:///PATH` is absolute; the file is made with mode 0600 if it is
    /// absent) or `postgres://USER@HOST:PORT/DATABASE`. `password` wins over one in the address. The schema is neither made nor checked:
    /// see [`SeaStore::migrate`] and [`SeaStore::require_schema`].
    ///
    /// `clock` gives the times that people read, never those that leases run on; `clock` and `random` give ids.
    ///
    /// # Errors
    /// [`Error::Address`](crate::Error::Address), [`Error::Unavailable`](crate::Error::Unavailable), and
    /// [`Error::Unsafe`](crate::Error::Unsafe) for a PostgreSQL whose commits may be lost after they were acknowledged.
    pub async fn connect(
        url: &str,
        password: Option<SecretValue>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self> {
        let database = Database::open(url, password.as_ref()).await?;
        Ok(Self {
            database,
            clock,
            random,
            group: Arc::default(),
            fingerprint_key: Arc::default(),
            origin: Arc::default(),
        })
    }

    /// The settings of the database on which its promises rest, by the database's own names: `journal_mode`, `synchronous` and
    /// `foreign_keys` of SQLite, `synchronous_commit`, `fsync` and `server_version` of PostgreSQL.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn settings(&self) -> Result<BTreeMap<String, String>> {
        self.database.settings().await
    }

    /// Whose hints are its own.
    fn origin(&self) -> Uuid {
        *self.origin.get_or_init(|| new_id(self.clock.as_ref(), self.random.as_ref()))
    }

    /// Closes the connections, after what runs has ended. Calls after it fail with [`Error::Unavailable`](crate::Error::Unavailable).
    pub async fn close(&self) {
        self.database.close().await;
    }
}
