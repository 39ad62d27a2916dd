use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// The newest trial of each credential that was revoked: is it accepted again?
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table revoked_probe (
    credential_id {uuid} not null primary key,
    at {time} not null,
    answer text not null,
    evidence text not null
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
