use sea_orm_migration::{
    prelude::DeriveMigrationName,
    sea_orm::DbErr,
    {MigrationTrait, SchemaManager},
};

use crate::sql;

/// Requests of webhooks that were taken, so that none is acted on twice.
///
/// One without `remember_until` tells nothing of its age and is remembered for good. `taken_until` is milliseconds of the database's own clock: whoever
/// took it and died before its answer has it no longer than that.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table webhook_delivery (
    receiver text not null,
    delivery {bytes} not null,
    at {time} not null,
    remember_until {time},
    taken_until bigint not null,
    -- Until there is one it is worked on, or was when its process ended.
    answer text,
    primary key (receiver, delivery)
);
create index webhook_delivery_old on webhook_delivery (remember_until) where remember_until is not null;
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
