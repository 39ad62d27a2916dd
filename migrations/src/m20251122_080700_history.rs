use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// What was, as intervals: the open one's facts are in the thing's own row, a closed one carries them.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table history (
    id {serial},
    at {time} not null,
    valid_to {time},
    entity text not null,
    entity_id {uuid} not null,
    subject {ref} not null,
    change text not null,
    detail text not null,
    facts text
);
create index history_entity on history (entity_id, valid_to);
create index history_at on history (at, id);
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
