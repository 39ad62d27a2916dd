use std::collections::BTreeSet;

use claviger_migrations::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait as _, DbBackend, FromQueryResult as _, Statement, TransactionTrait as _};

use super::SeaStore;
use crate::{Error, Result};

/// Whether a migration is in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationState {
    /// It is.
    Applied,
    /// Not yet.
    Pending,
    /// It is, and this program does not know it: a newer program was here.
    Unknown,
}

/// The schema's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaStatus {
    /// Name and state of each migration, oldest first.
    pub migrations: Vec<(String, MigrationState)>,
}

impl SchemaStatus {
    /// Names of the migrations in this state.
    pub fn with(&self, state: MigrationState) -> Vec<&str> {
        let chosen = self.migrations.iter().filter(|(_, other)| *other == state);
        chosen.map(|(name, _)| name.as_str()).collect()
    }
}

#[derive(sea_orm::FromQueryResult)]
struct Version {
    version: String,
}

impl SeaStore {
    /// Applies what is pending. Repeat is fine, and so are several processes at once.
    ///
    /// # Errors
    /// [`Error::Schema`] when the database is newer than this program, or a migration fails; each is applied whole or not at all.
    pub async fn migrate(&self) -> Result<()> {
        self.refuse_newer(&self.schema_status().await?)?;
        // One transaction for all: processes that start together queue here, and the later ones find nothing left to do. SQLite's write
        // lock is taken by the begin; PostgreSQL gets a lock of its own.
        let transaction = self.database.begin().await?;
        if self.database.kind() == DbBackend::Postgres {
            let lock = "select pg_advisory_xact_lock(7308324465751294)".to_owned();
            transaction.execute_raw(Statement::from_string(DbBackend::Postgres, lock)).await?;
        }
        Migrator::up(&transaction, None).await.map_err(|error| match Error::from(error) {
            Error::Refused(reason) => Error::Schema(format!("a migration failed: {reason}")),
            other => other,
        })?;
        transaction.commit().await?;
        Ok(())
    }

    /// Which migrations are applied, pending, or unknown to this program. Writes nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn schema_status(&self) -> Result<SchemaStatus> {
        let applied = self.applied().await?;
        let known: Vec<String> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
        let mut migrations: Vec<_> = known
            .iter()
            .map(|name| {
                let state =
                    if applied.contains(name) { MigrationState::Applied } else { MigrationState::Pending };
                (name.clone(), state)
            })
            .collect();
        let newer = applied.iter().filter(|name| !known.contains(name));
        migrations.extend(newer.map(|name| (name.clone(), MigrationState::Unknown)));
        Ok(SchemaStatus { migrations })
    }

    /// Refuses a database whose schema is not exactly this program's.
    ///
    /// # Errors
    /// [`Error::Schema`], with what to do about it.
    pub async fn require_schema(&self) -> Result<()> {
        let status = self.schema_status().await?;
        self.refuse_newer(&status)?;
        match status.with(MigrationState::Pending).as_slice() {
            [] => Ok(()),
            pending => Err(Error::Schema(format!(
                "it is older: {} of {} migrations are pending; run `claviger db migrate`",
                pending.len(),
                status.migrations.len()
            ))),
        }
    }

    fn refuse_newer(&self, status: &SchemaStatus) -> Result<()> {
        match status.with(MigrationState::Unknown).as_slice() {
            [] => Ok(()),
            unknown => Err(Error::Schema(format!(
                "it is newer: this program does not know {}; use the newer program",
                unknown.join(", ")
            ))),
        }
    }

    async fn applied(&self) -> Result<BTreeSet<String>> {
        let kind = self.database.kind();
        let exists = match kind {
            DbBackend::Postgres => {
                "select 1 from pg_catalog.pg_tables where tablename = 'seaql_migrations' and schemaname = any (current_schemas(false))"
            }
            _ => "select 1 from sqlite_master where type = 'table' and name = 'seaql_migrations'",
        };
        let reader = self.database.read.begin().await?;
        let found = reader.query_one_raw(Statement::from_string(kind, exists.to_owned())).await?;
        let mut applied = BTreeSet::new();
        if found.is_some() {
            let all = "select version from seaql_migrations".to_owned();
            for row in reader.query_all_raw(Statement::from_string(kind, all)).await? {
                applied.insert(Version::from_query_result(&row, "")?.version);
            }
        }
        reader.rollback().await?;
        Ok(applied)
    }
}
