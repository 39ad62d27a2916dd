use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// What the newest verification saw of each credential's copies, and when verifications were begun. Only the newest counts: what it finds is a finding,
/// which has a history of its own.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table agreement (
    credential_id {uuid} not null primary key,
    checked_at {time} not null,
    view text not null
);
create table verification (
    id integer not null primary key check (id = 1),
    begun_at {time} not null
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
