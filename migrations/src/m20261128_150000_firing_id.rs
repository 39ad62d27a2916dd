use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// The index of a firing's id says that there is one of each. Without that, and before the first statistics of a table that was just filled, PostgreSQL took
/// every id to be on a two-hundredth of all rows: a claim of two hundred read the whole table, a million rows in half a second.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
drop index firing_id;
create unique index firing_id on firing (id);
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
