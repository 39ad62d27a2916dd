//! From rows that changed to all rows whose credential may change with them.

use sea_orm::DatabaseTransaction;

use super::super::super::sql;
use crate::Result;

const SPREAD: [&str; 7] = [
    // An issuer's credential appeared, changed its name or vanished: copies that show the name.
    "update credential_copy set dirty = true where not dirty and gone_at is null and handle in \
     (select handle from issued_credential where dirty and handle is not null)",
    // It vanished: copies that it had, for they may have no other tie.
    "update credential_copy set dirty = true where not dirty and gone_at is null and credential_id in \
     (select c.id from credential c join issued_credential i on i.id = c.issuer_key where i.dirty and i.gone_at is not null)",
    // The rest of the group that a copy joined, and of the credential that it may leave.
    "update credential_copy set dirty = true where not dirty and gone_at is null and group_key in \
     (select group_key from credential_copy where dirty)",
    "update credential_copy set dirty = true where not dirty and gone_at is null and credential_id in \
     (select credential_id from credential_copy where dirty and credential_id is not null)",
    "update credential_copy set dirty = true where not dirty and gone_at is null and group_key in \
     (select group_key from credential_copy where dirty)",
    // Former versions follow their place.
    "update credential_copy set dirty = true where not dirty and gone_at is null and stage <> 'current' and current_id in \
     (select id from credential_copy where dirty and stage = 'current')",
    "update credential set dirty = true where not dirty and id in \
     (select credential_id from credential_copy where dirty and credential_id is not null)",
];

pub(super) async fn spread(transaction: &DatabaseTransaction) -> Result<()> {
    for statement in SPREAD {
        sql::run(transaction, statement, Vec::new()).await?;
    }
    sql::run(
        transaction,
        "update credential set dirty = true where not dirty and issuer_key in (select id from issued_credential where dirty)",
        Vec::new(),
    )
    .await?;
    // What is gone keeps the credential that it had.
    sql::run(
        transaction,
        "update credential_copy set dirty = false where dirty and gone_at is not null",
        Vec::new(),
    )
    .await?;
    Ok(())
}
