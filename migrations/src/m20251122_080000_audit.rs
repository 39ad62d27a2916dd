use sea_orm_migration::{
    prelude::DeriveMigrationName,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
    {MigrationTrait, SchemaManager},
};

use crate::sql;

/// The audit chain: entries that nothing can change or delete, and the head row behind which appends queue.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table audit_entry (
    seq bigint not null primary key,
    at {time} not null,
    kind text not null,
    actor text not null,
    subject {ref} not null,
    saga_id {uuid},
    step text,
    detail text not null,
    prev_hash {bytes} not null check ({size:prev_hash} = 32),
    hash {bytes} not null check ({size:hash} = 32)
);
create index audit_entry_saga on audit_entry (saga_id) where saga_id is not null;
create table audit_head (
    id integer not null primary key check (id = 1),
    seq bigint not null,
    hash {bytes} not null check ({size:hash} = 32)
);
";

const SQLITE: &str = "
insert into audit_head (id, seq, hash) values (1, 0, zeroblob(32));
create trigger audit_entry_no_update before update on audit_entry
begin select raise(abort, 'the audit log is append-only'); end;
create trigger audit_entry_no_delete before delete on audit_entry
begin select raise(abort, 'the audit log is append-only'); end;
create trigger audit_head_no_delete before delete on audit_head
begin select raise(abort, 'the audit log is append-only'); end;
create trigger audit_head_forward before update on audit_head when new.seq < old.seq
begin select raise(abort, 'the audit log is append-only'); end;
";

const POSTGRES: &str = "
insert into audit_head (id, seq, hash) values (1, 0, decode(repeat('00', 32), 'hex'));
create function audit_append_only() returns trigger language plpgsql as $$
begin raise exception 'the audit log is append-only'; end $$;
create trigger audit_entry_no_change before update or delete on audit_entry
for each row execute function audit_append_only();
create trigger audit_entry_no_truncate before truncate on audit_entry
for each statement execute function audit_append_only();
create trigger audit_head_no_delete before delete on audit_head
for each row execute function audit_append_only();
create trigger audit_head_no_truncate before truncate on audit_head
for each statement execute function audit_append_only();
create trigger audit_head_forward before update on audit_head
for each row when (new.seq < old.seq) execute function audit_append_only();
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, TABLES).await?;
        let rules = if manager.get_database_backend() == DbBackend::Postgres { POSTGRES } else { SQLITE };
        manager.get_connection().execute_unprepared(rules).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
