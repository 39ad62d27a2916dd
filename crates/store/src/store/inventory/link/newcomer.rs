//! Newcomers: copies whose credential is plain as soon as they come.
//!
//! A current copy that was never seen, names no issuer, shows no public name, and is the only one of its group, is a credential of its own
//! unless something comes after it that joins its group. Most of a first scan is of that kind, so it gets its credential with its page and is
//! not marked: linking need not look at it. Until then the credential is a newcomer; [`recall`] takes it back where the group did grow, so
//! that linking finds the group as if all of it had come at once, and [`settle`] makes the others like all others.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use claviger_core::model::CopyStage;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, FromQueryResult};
use uuid::Uuid;

use super::{
    super::{
        super::{SeaStore, sql},
        history,
    },
    LOCK,
    assign::{insert, insert_fingerprints, new_credential},
};
use crate::{Result, entity::copy};

#[derive(FromQueryResult)]
struct Taken {
    key: Uuid,
}

/// Gives each newcomer of a page its credential. `fresh` are the copies that were never seen, `page` counts the page's copies by group. The
/// entries belong behind those of the copies.
pub(in super::super) async fn admit(
    transaction: &DatabaseTransaction,
    store: &SeaStore,
    at: DateTime<Utc>,
    fresh: &mut [copy::Model],
    page: &HashMap<Uuid, usize>,
) -> Result<Vec<history::Entry>> {
    let alone = |copy: &copy::Model| {
        copy.stage == CopyStage::Current.as_str()
            && copy.issuer.is_none()
            && copy.handle.is_none()
            && page.get(&copy.group_key) == Some(&1)
    };
    let mut candidates: Vec<&mut copy::Model> = fresh.iter_mut().filter(|copy| alone(copy)).collect();
    if candidates.is_empty() || !is_free(transaction).await? {
        return Ok(Vec::new());
    }
    let groups: Vec<Uuid> = candidates.iter().map(|copy| copy.group_key).collect();
    let places: Vec<Uuid> = candidates.iter().map(|copy| copy.id).collect();
    let mut taken = BTreeSet::new();
    for (keys, table, column, more) in [
        (&groups, "credential_copy", "group_key", ""),
        (&groups, "credential", "group_key", ""),
        // Former versions of the place go where it goes.
        (&places, "credential_copy", "current_id", "stage <> 'current' and "),
    ] {
        let found: Vec<Taken> = sql::rows_for(transaction, keys, &[], |ids| {
            format!("select {column} as key from {table} where {more}{column} in ({ids})")
        })
        .await?;
        taken.extend(found.into_iter().map(|found| found.key));
    }
    candidates.retain(|copy| !taken.contains(&copy.group_key) && !taken.contains(&copy.id));
    let (mut made, mut entries, mut fingerprints) = (Vec::new(), Vec::new(), Vec::new());
    for copy in candidates {
        let credential = new_credential(store, at, &copy.at, &copy.kind, None, Some(copy.group_key));
        entries.push(history::entry(at, "credential", credential.id, &copy.at, "appeared", ""));
        fingerprints.extend(copy.fingerprint.clone().map(|fingerprint| (fingerprint, credential.id)));
        copy.credential_id = Some(credential.id);
        copy.evidence = Some("alone".to_owned());
        copy.dirty = false;
        made.push(credential);
    }
    let ids: Vec<Uuid> = made.iter().map(|credential| credential.id).collect();
    insert(transaction, made).await?;
    insert_fingerprints(transaction, at, fingerprints).await?;
    for piece in sql::pieces(ids) {
        let tuples = sql::tuples(transaction.get_database_backend(), piece.len(), 1);
        let statement = format!("insert into newcomer (credential_id) values {tuples}");
        sql::run(transaction, statement, piece.into_iter().map(Into::into).collect()).await?;
    }
    Ok(entries)
}

/// Whether nobody else links or admits beside this transaction: two pages at once could hold one value, each without a sight of the other's.
async fn is_free(transaction: &DatabaseTransaction) -> Result<bool> {
    #[derive(FromQueryResult)]
    struct Free {
        free: bool,
    }
    // SQLite has one writer.
    if transaction.get_database_backend() != DbBackend::Postgres {
        return Ok(true);
    }
    let sql = format!("select pg_try_advisory_xact_lock({LOCK}) as free");
    let rows: Vec<Free> = sql::rows(transaction, sql, Vec::new()).await?;
    Ok(rows.first().is_some_and(|row| row.free))
}

/// What a later page has a say in: its copies are marked as if they had just come. What somebody works with already stays as it is.
const RECALL: [&str; 6] = [
    // From the few that are marked: the order of the join is meant.
    "delete from newcomer where credential_id not in (select n.credential_id from credential_copy d \
     cross join credential c cross join newcomer n where d.dirty and d.gone_at is null and c.group_key = d.group_key \
     and n.credential_id = c.id and c.state is null and c.rotated_at is null \
     and not exists (select 1 from saga s where s.credential_id = c.id))",
    "delete from credential_fingerprint where credential_id in (select credential_id from newcomer)",
    "delete from history where entity_id in (select credential_id from newcomer)",
    "update credential_copy set credential_id = null, evidence = null, dirty = true \
     where credential_id in (select credential_id from newcomer)",
    "delete from credential where id in (select credential_id from newcomer)",
    "delete from newcomer",
];

/// Takes back the credentials of groups that grew, and lets the others be as all others. Gives how many those are.
pub(super) async fn settle(transaction: &DatabaseTransaction) -> Result<u64> {
    let [keep, undo @ ..] = RECALL;
    let kept = sql::run(transaction, keep, Vec::new()).await?;
    for statement in undo {
        sql::run(transaction, statement, Vec::new()).await?;
    }
    Ok(kept)
}
