use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// Copies whose value could not be read are few, and are asked for each time that somebody looks at a credential.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create index credential_copy_unread on credential_copy (credential_id)
    where fingerprint is null and stage = 'current' and gone_at is null;
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
