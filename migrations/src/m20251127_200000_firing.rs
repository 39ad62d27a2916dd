use sea_orm_migration::{
    prelude::DeriveMigrationName,
    sea_orm::DbErr,
    {MigrationTrait, SchemaManager},
};

use crate::sql;

/// Firings of schedules, pauses, budgets, and who does what only one process may do at a time.
///
/// Of a credential and an instant there is one firing: that is its key, and its id is derived from both. Instants that are compared in queries are whole
/// microseconds since the Unix epoch; leases are milliseconds of the database's own clock. The two
/// partial indexes are what a claim reads: a million firings whose time has not come cost it nothing.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table schedule_pause (
    id {uuid} not null primary key,
    selector text,
    reason text not null,
    actor text not null,
    at {time} not null,
    ended_at {time},
    ended_by text
);
create table firing (
    id {uuid} not null,
    credential_id {uuid} not null,
    due_at bigint not null,
    subject {ref} not null,
    backend text not null,
    policy text not null,
    holds text not null,
    starts_at bigint not null,
    retry_at bigint,
    state text not null check (state in ('planned', 'claimed', 'open', 'done')),
    pause_id {uuid} references schedule_pause (id),
    attempts bigint not null default 0,
    epoch bigint not null default 0,
    claimed_by text,
    lease_until bigint,
    saga_id {uuid},
    outcome text,
    detail text,
    changed_at bigint not null,
    primary key (credential_id, due_at)
);
create index firing_id on firing (id);
create index firing_startable on firing (backend, starts_at, id) where state = 'planned' and pause_id is null;
create index firing_under_way on firing (state) where state in ('claimed', 'open');
create table schedule_budget (
    backend text not null primary key,
    level bigint not null,
    at bigint not null
);
create table service_duty (
    name text not null primary key,
    owner text not null,
    lease_until bigint not null
);
insert into service_duty (name, owner, lease_until) values ('claims', '', 0);
insert into service_duty (name, owner, lease_until) values ('probe', '', 0);
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
