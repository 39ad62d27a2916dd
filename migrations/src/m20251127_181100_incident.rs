use sea_orm_migration::{
    prelude::DeriveMigrationName,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
    {MigrationTrait, SchemaManager},
};

use crate::sql;

/// Incidents and what was noted of them. A note is never changed: an incident is closed by one more.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table incident (
    id {uuid} not null primary key,
    title text not null,
    exposed_at {time},
    opened_at {time} not null,
    opened_by text not null
);
create index incident_opened on incident (opened_at);
create table incident_note (
    audit_seq bigint not null primary key references audit_entry (seq),
    incident_id {uuid} not null references incident (id),
    kind text not null,
    at {time} not null,
    actor text not null,
    note text not null
);
create index incident_note_incident on incident_note (incident_id);
create unique index incident_closed_once on incident_note (incident_id) where kind = 'closed';
";

const SQLITE: &str = "
create trigger incident_no_update before update on incident
begin select raise(abort, 'incidents are append-only'); end;
create trigger incident_no_delete before delete on incident
begin select raise(abort, 'incidents are append-only'); end;
create trigger incident_note_no_update before update on incident_note
begin select raise(abort, 'incidents are append-only'); end;
create trigger incident_note_no_delete before delete on incident_note
begin select raise(abort, 'incidents are append-only'); end;
";

const POSTGRES: &str = "
create function incident_append_only() returns trigger language plpgsql as $$
begin raise exception 'incidents are append-only'; end $$;
create trigger incident_no_change before update or delete on incident
for each row execute function incident_append_only();
create trigger incident_no_truncate before truncate on incident
for each statement execute function incident_append_only();
create trigger incident_note_no_change before update or delete on incident_note
for each row execute function incident_append_only();
create trigger incident_note_no_truncate before truncate on incident_note
for each statement execute function incident_append_only();
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
