use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// Identities and what they may do.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table identity (
    id {uuid} not null primary key,
    scope_id {uuid} not null,
    backend text not null,
    at {ref} not null,
    kind text not null,
    digest {bytes} not null,
    facts text not null,
    last_used_at {time},
    first_seen {time} not null,
    last_seen {time} not null,
    last_scan bigint not null,
    gone_at {time}
);
create index identity_ref on identity (substr(at, 1, 512), id);
create index identity_scope on identity (scope_id, last_scan) where gone_at is null;
create table privilege (
    id {uuid} not null primary key,
    scope_id {uuid} not null,
    backend text not null,
    identity_key {uuid} not null,
    at {ref} not null,
    digest {bytes} not null,
    facts text not null,
    first_seen {time} not null,
    last_seen {time} not null,
    last_scan bigint not null,
    gone_at {time}
);
create index privilege_identity on privilege (identity_key);
create index privilege_scope on privilege (scope_id, last_scan) where gone_at is null;
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
