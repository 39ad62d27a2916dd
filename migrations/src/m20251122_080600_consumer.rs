use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// Workloads that read copies.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table consumer (
    id {uuid} not null primary key,
    scope_id {uuid} not null,
    backend text not null,
    at {ref} not null,
    reads {ref} not null,
    object_key {uuid} not null,
    digest {bytes} not null,
    facts text not null,
    first_seen {time} not null,
    last_seen {time} not null,
    last_scan bigint not null,
    gone_at {time}
);
create index consumer_ref on consumer (substr(at, 1, 512), id);
create index consumer_lost on consumer (object_key) where gone_at is not null;
create index consumer_scope on consumer (scope_id, last_scan) where gone_at is null;
create index consumer_object on consumer (object_key);
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
