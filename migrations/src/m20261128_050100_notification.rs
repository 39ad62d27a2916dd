use sea_orm_migration::{
    prelude::DeriveMigrationName,
    sea_orm::DbErr,
    {MigrationTrait, SchemaManager},
};

use crate::sql;

/// What others are to be told of, and how far the audit log was read for each of them.
///
/// A row is made of an entry of the log when the receiver's cursor passes it, in one transaction: so none is lost, and none is made twice. Instants that are
/// compared are whole microseconds since the Unix epoch; leases are milliseconds of the database's own clock.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table notification_cursor (
    receiver text not null primary key,
    seq bigint not null
);
create table notification (
    receiver text not null,
    audit_seq bigint not null references audit_entry (seq),
    id text not null,
    event text not null,
    body text not null,
    state text not null check (state in ('pending', 'sent', 'dead')),
    queued_at bigint not null,
    next_at bigint not null,
    attempts bigint not null default 0,
    epoch bigint not null default 0,
    lease_until bigint not null default 0,
    last_error text,
    changed_at bigint not null,
    primary key (receiver, audit_seq)
);
create index notification_due on notification (receiver, next_at) where state = 'pending';
create index notification_sent on notification (changed_at) where state = 'sent';
create index notification_open on notification (state) where state in ('pending', 'dead');
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
