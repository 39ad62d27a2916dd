use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// Credentials as their issuers list them, and credentials as we know them: with or without an issuer.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table issued_credential (
    id {uuid} not null primary key,
    scope_id {uuid} not null,
    backend text not null,
    at {ref} not null,
    kind text not null,
    identity_key {uuid},
    handle text,
    dirty boolean not null,
    value_changed_at {time},
    digest {bytes} not null,
    facts text not null,
    last_used_at {time},
    first_seen {time} not null,
    last_seen {time} not null,
    last_scan bigint not null,
    gone_at {time}
);
create index issued_credential_identity on issued_credential (identity_key) where identity_key is not null;
create index issued_credential_handle on issued_credential (handle) where handle is not null;
create index issued_credential_scope on issued_credential (scope_id, last_scan) where gone_at is null;
create index issued_credential_dirty on issued_credential (id) where dirty;
create table credential (
    id {uuid} not null primary key,
    at {ref} not null,
    backend text not null,
    kind text not null,
    -- The id of its row in issued_credential, which need not be there; else the group that its copies make.
    issuer_key {uuid} unique,
    group_key {uuid} unique,
    state text,
    state_at {time},
    rotated_at {time},
    dirty boolean not null,
    first_seen {time} not null,
    gone_at {time},
    check ((issuer_key is null) <> (group_key is null))
);
create index credential_ref on credential (substr(at, 1, 512), id);
create index credential_backend on credential (backend) where gone_at is null;
create index credential_dirty on credential (id) where dirty;
create table credential_fingerprint (
    fingerprint {bytes} not null,
    credential_id {uuid} not null references credential (id),
    first_seen {time} not null,
    primary key (fingerprint, credential_id)
);
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
