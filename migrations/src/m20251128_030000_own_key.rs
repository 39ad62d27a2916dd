use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// The installation's own keys: which of them is in force, and which fingerprints are still under a former one. No byte of a key is here.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table own_key (
    kind text not null,
    epoch bigint not null,
    key_id {bytes} not null check ({size:key_id} = 8),
    state text not null check (state in ('current', 'former', 'lost', 'dropped')),
    public_key text,
    succession text,
    since {time} not null,
    until {time},
    primary key (kind, epoch)
);
create unique index own_key_id on own_key (kind, key_id);
create unique index own_key_current on own_key (kind) where state = 'current';
-- Fingerprints, and digests of verifiers, that were made with the key of an earlier epoch.
create table former_fingerprint (
    fingerprint {bytes} not null primary key,
    epoch bigint not null
);
create index former_fingerprint_epoch on former_fingerprint (epoch);
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
