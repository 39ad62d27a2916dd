use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// Credentials that were made with the page of their only copy, until linking has looked whether it stayed the only one.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table newcomer (
    credential_id {uuid} not null primary key
);
-- One that is taken back leaves no fingerprint.
create index credential_fingerprint_credential on credential_fingerprint (credential_id);
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
