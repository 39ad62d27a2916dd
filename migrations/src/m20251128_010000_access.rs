use sea_orm_migration::{
    prelude::DeriveMigrationName,
    sea_orm::DbErr,
    {MigrationTrait, SchemaManager},
};

use crate::sql;

/// Tokens of the API, of which only a hash is kept, and requests that were given a key, so that a repeat is not carried out again.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table api_token (
    handle text not null primary key,
    name text not null,
    hash {bytes} not null,
    role text not null,
    scope text not null,
    created_at {time} not null,
    created_by text not null,
    expires_at {time},
    last_used_at {time},
    revoked_at {time},
    revoked_by text
);
-- One name, one token in force: the audit log names tokens by it.
create unique index api_token_name on api_token (name) where revoked_at is null;
create table api_request (
    actor text not null,
    request_key text not null,
    hash {bytes} not null,
    at {time} not null,
    -- Until there is one it is under way, or was when its process ended.
    answer text,
    primary key (actor, request_key)
);
create index api_request_at on api_request (at);
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
