use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// Firings have a rank: their start, less what their urgency is worth, in microseconds. What was asked for by hand starts at once. A backend that throttles
/// us closes its budget until then.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
alter table firing add column rank bigint not null default 0;
alter table firing add column asked_at bigint;
update firing set rank = starts_at;
create index firing_ranked on firing (backend, rank, id) where state = 'planned' and pause_id is null;
create table schedule_throttle (
    backend text not null primary key,
    closed_until bigint not null
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
