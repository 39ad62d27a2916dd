use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend};

use super::{SeaStore, sql};
use crate::{Hint, Hints, Result, hear};

#[async_trait]
impl Hints for SeaStore {
    async fn tell(&self, hint: Hint) -> Result<()> {
        self.database.watched(notify(&self.database.write, hint)).await
    }

    async fn listen(&self, heard: &(dyn Fn(Hint) + Send + Sync)) {
        match self.database.listening() {
            Some(options) => hear::hear(options, self.origin(), heard).await,
            None => std::future::pending().await,
        }
    }
}

/// Tells of what this transaction commits: nobody hears of it before, nor of what is rolled back. On SQLite nothing happens.
pub(super) async fn notify<C: ConnectionTrait>(connection: &C, hint: Hint) -> Result<()> {
    if connection.get_database_backend() == DbBackend::Postgres {
        let values = vec![hear::CHANNEL.into(), hear::payload(hint, None).into()];
        sql::run(connection, "select pg_notify($1, $2)", values).await?;
    }
    Ok(())
}
