use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// Findings, and the comparisons of candidate values with verifiers that need not be made again.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table finding (
    id {uuid} not null primary key,
    slug text not null,
    severity smallint not null,
    subject {ref} not null,
    subject_key {uuid} not null,
    digest {bytes} not null,
    view text not null,
    first_seen {time} not null,
    last_seen {time} not null,
    closed_at {time}
);
create index finding_subject on finding (subject_key) where closed_at is null;
create index finding_seen on finding (last_seen) where closed_at is null;
create index finding_open on finding (severity, first_seen) where closed_at is null;
create table link_cache (
    verifier {bytes} not null,
    fingerprint {bytes} not null,
    equal boolean not null,
    primary key (verifier, fingerprint)
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
