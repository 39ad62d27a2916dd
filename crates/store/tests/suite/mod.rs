//! Each test takes a fresh database and knows not which one it is.

pub(crate) mod access;
pub(crate) mod approval;
pub(crate) mod audit;
mod connect;
pub(crate) mod delivery;
pub(crate) mod firing;
pub(crate) mod group;
pub(crate) mod hint;
pub(crate) mod incident;
pub(crate) mod inventory;
pub(crate) mod journal;
pub(crate) mod link;
pub(crate) mod newcomer;
pub(crate) mod notification;
pub(crate) mod opening;
pub(crate) mod own_key;
pub(crate) mod reseal;
pub(crate) mod returned;
pub(crate) mod schema;
pub(crate) mod seen;

use std::sync::Arc;

use anyhow::Result;
use chrono::{DateTime, Utc};
use claviger_core::{
    clock::{Clock, ManualClock},
    random::{Random, SeededRandom},
};
use claviger_store::{Journal, SeaStore};
use claviger_testkit::database::{Kind, TestDatabase};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};

/// A database, a store on it, and the store's clock.
pub(crate) struct Bench {
    pub(crate) database: TestDatabase,
    pub(crate) store: SeaStore,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) kind: Kind,
}

pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_763_800_000, 123_456_000).expect("in range")
}

/// Runs a test on one database; a skip is loud and counted.
pub(crate) async fn on<F, Fut>(kind: Kind, test: F) -> Result<()>
where
    F: FnOnce(Bench) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let clock = Arc::new(ManualClock::new(start()));
    let random: Arc<dyn Random> = Arc::new(SeededRandom::new(7));
    let Some(database) = TestDatabase::new(kind, clock.clone(), random.clone()).await? else { return Ok(()) };
    let store = database.open(clock.clone(), random.clone()).await?;
    test(Bench { database, store, clock, random, kind }).await
}

impl Bench {
    /// Another set of connections to the same database.
    pub(crate) async fn another(&self) -> Result<SeaStore> {
        self.database.open(self.clock.clone(), self.random.clone()).await
    }

    pub(crate) fn journal(&self) -> &dyn Journal {
        &self.store
    }

    /// A connection without a store.
    pub(crate) async fn raw(&self) -> Result<DatabaseConnection> {
        Ok(Database::connect(self.database.url()).await?)
    }

    /// Number of rows of a table.
    pub(crate) async fn count(&self, table: &str) -> Result<i64> {
        let raw = self.raw().await?;
        let sql = format!("select count(*) as n from {table}");
        let row = raw
            .query_one_raw(sea_orm::Statement::from_string(raw.get_database_backend(), sql))
            .await?
            .expect("a count has a row");
        Ok(row.try_get("", "n")?)
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}
