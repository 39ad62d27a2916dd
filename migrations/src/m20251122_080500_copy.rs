use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// Copies: places that hold a credential's value, with fingerprints and never a value.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table credential_copy (
    id {uuid} not null primary key,
    scope_id {uuid} not null,
    backend text not null,
    at {ref} not null,
    -- The object without its field: how consumers find it.
    object_key {uuid} not null,
    -- The id of the current version at the same place; its own for a current one.
    current_id {uuid} not null,
    stage text not null,
    kind text not null,
    fingerprint {bytes},
    strong boolean not null,
    -- Equal for copies that belong together whatever an issuer says: by strong fingerprint, else by place.
    group_key {uuid} not null,
    handle text,
    issuer {ref},
    issuer_rank smallint,
    credential_id {uuid} references credential (id),
    evidence text,
    dirty boolean not null,
    digest {bytes} not null,
    facts text not null,
    last_used_at {time},
    first_seen {time} not null,
    last_seen {time} not null,
    last_scan bigint not null,
    gone_at {time}
);
create index credential_copy_ref on credential_copy (substr(at, 1, 512), id);
create index credential_copy_scope on credential_copy (scope_id, last_scan, stage) where gone_at is null;
create index credential_copy_object on credential_copy (object_key);
create index credential_copy_current on credential_copy (current_id) where stage <> 'current';
create index credential_copy_group on credential_copy (group_key);
create index credential_copy_handle on credential_copy (handle) where handle is not null;
create index credential_copy_credential on credential_copy (credential_id);
create index credential_copy_dirty on credential_copy (id) where dirty;
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
