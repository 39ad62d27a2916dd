use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// Scans, and how the scopes of each backend were read.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table scan (
    -- Orders scans; what a scan saw carries it.
    epoch {serial},
    id {uuid} not null unique,
    started_at {time} not null,
    finished_at {time},
    complete boolean
);
create table scan_backend (
    scan_id {uuid} not null references scan (id),
    name text not null,
    kind text not null,
    ended_at {time},
    view text,
    primary key (scan_id, name)
);
create index scan_backend_name on scan_backend (name);
create table scope (
    id {uuid} not null primary key,
    backend text not null,
    area text not null,
    part text not null,
    -- The newest scan that began it, and how that scan read it so far; null while it is being read.
    scan bigint not null,
    status text,
    reason text,
    ended_at {time}
);
create index scope_scan on scope (scan);
create index scope_backend on scope (backend);
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
