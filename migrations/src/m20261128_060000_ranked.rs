use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// The index by rank knows the start too. What is exposed has an early rank long before it may start: a claim that met it had to read its row to see that, and
/// with many such rows read more of what is not due than of what is.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
drop index firing_ranked;
create index firing_ranked on firing (backend, rank, id, starts_at) where state = 'planned' and pause_id is null;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, TABLES).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
