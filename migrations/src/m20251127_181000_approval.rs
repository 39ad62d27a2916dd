use sea_orm_migration::{
    prelude::DeriveMigrationName,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
    {MigrationTrait, SchemaManager},
};

use crate::sql;

/// Plans that wait for other people's approval, and the approvals. Nothing changes or deletes either.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table plan_proposal (
    hash text not null primary key,
    verb text not null,
    -- The plan whole: whoever approves sees what its hash is of.
    document text not null,
    needed integer not null,
    reasons text not null,
    actor text not null,
    at {time} not null,
    audit_seq bigint not null references audit_entry (seq)
);
create table approval (
    audit_seq bigint not null primary key references audit_entry (seq),
    plan_hash text not null references plan_proposal (hash),
    approval text not null
);
create index approval_plan on approval (plan_hash);
";

const SQLITE: &str = "
create trigger plan_proposal_no_update before update on plan_proposal
begin select raise(abort, 'proposals are append-only'); end;
create trigger plan_proposal_no_delete before delete on plan_proposal
begin select raise(abort, 'proposals are append-only'); end;
create trigger approval_no_update before update on approval
begin select raise(abort, 'approvals are append-only'); end;
create trigger approval_no_delete before delete on approval
begin select raise(abort, 'approvals are append-only'); end;
";

const POSTGRES: &str = "
create function approval_append_only() returns trigger language plpgsql as $$
begin raise exception 'proposals and approvals are append-only'; end $$;
create trigger plan_proposal_no_change before update or delete on plan_proposal
for each row execute function approval_append_only();
create trigger plan_proposal_no_truncate before truncate on plan_proposal
for each statement execute function approval_append_only();
create trigger approval_no_change before update or delete on approval
for each row execute function approval_append_only();
create trigger approval_no_truncate before truncate on approval
for each statement execute function approval_append_only();
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
