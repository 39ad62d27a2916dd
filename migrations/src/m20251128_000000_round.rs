use sea_orm_migration::{
    prelude::DeriveMigrationName,
    sea_orm::DbErr,
    {MigrationTrait, SchemaManager},
};

use crate::sql;

/// When a duty that comes round was last done, in whole microseconds since the Unix epoch: so that a restart, and another process that takes it over, do not
/// begin it early.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table service_round (
    name text not null primary key,
    done_at bigint not null
);
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
