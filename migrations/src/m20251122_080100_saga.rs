use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// Sagas, their events, their sealed values, and the receipts they leave.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table saga (
    id {uuid} not null primary key,
    kind text not null,
    definition text not null,
    credential_id {uuid} not null,
    subject {ref} not null,
    strategy text not null,
    plan text not null,
    cause text not null,
    actor text not null,
    reason text,
    salt {bytes} check ({size:salt} = 32),
    state text not null,
    detail text,
    wake_at {time},
    epoch bigint not null default 0,
    next_seq bigint not null default 1,
    lease_owner text,
    -- Milliseconds since the Unix epoch by the database's clock: leases never look at a worker's clock.
    lease_until bigint,
    created_at {time} not null,
    finished_at {time}
);
create unique index saga_one_unfinished on saga (credential_id) where finished_at is null;
create index saga_due on saga (wake_at) where finished_at is null;
create index saga_created on saga (kind, created_at);
create index saga_credential on saga (credential_id, created_at);
create table saga_event (
    saga_id {uuid} not null references saga (id),
    seq bigint not null,
    at {time} not null,
    event text not null,
    primary key (saga_id, seq)
);
-- Its own table: whoever writes anything else about a saga cannot touch a sealed value.
create table sealed_value (
    saga_id {uuid} not null references saga (id),
    slot text not null,
    sealed {bytes} not null check ({size:sealed} > 0),
    sealed_at {time} not null,
    primary key (saga_id, slot)
);
create table receipt (
    audit_seq bigint not null primary key references audit_entry (seq),
    saga_id {uuid} not null references saga (id),
    credential_id {uuid} not null,
    verdict text not null,
    observed_at {time} not null,
    receipt text not null
);
create index receipt_saga on receipt (saga_id);
create index receipt_credential on receipt (credential_id);
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
