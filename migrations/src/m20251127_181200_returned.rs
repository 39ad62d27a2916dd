use sea_orm_migration::{MigrationTrait, SchemaManager, prelude::DeriveMigrationName, sea_orm::DbErr};

use crate::sql;

/// Copies that held a credential's value when it was revoked: as long as they go on holding it, it has not come back there.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = "
create table revoked_leftover (
    credential_id {uuid} not null,
    copy_id {uuid} not null,
    primary key (credential_id, copy_id)
);
-- Of what was revoked before this table was there, nobody knows what has come back since.
insert into revoked_leftover (credential_id, copy_id)
select distinct f.credential_id, p.id
from credential_copy p
join credential_fingerprint f on f.fingerprint = p.fingerprint
join credential c on c.id = f.credential_id
where p.gone_at is null and c.state in ('revoked-proven', 'revoked-attested', 'revoked-unproven');
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
