//! What a credential's row says of its copies: ref, kind, and whether it is still there.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use claviger_core::reference::Ref;
use sea_orm::{DatabaseTransaction, FromQueryResult, Value};
use uuid::Uuid;

use super::{
    super::{super::sql, history},
    group::kind_of,
};
use crate::{MergeSummary, Result};

const PAGE: u64 = 1_000;

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    at: String,
    kind: String,
    issuer_key: Option<Uuid>,
    issuer_at: Option<String>,
    issuer_kind: Option<String>,
    issuer_gone: bool,
    was_gone: bool,
}

#[derive(FromQueryResult)]
struct Copy {
    credential_id: Uuid,
    at: String,
    kind: String,
    stage: String,
}

/// Settles one page of marked credentials; true when none is left.
pub(super) async fn page(
    transaction: &DatabaseTransaction,
    at: DateTime<Utc>,
) -> Result<(MergeSummary, bool)> {
    let sql = format!(
        "select c.id, c.at, c.kind, c.issuer_key, i.at as issuer_at, i.kind as issuer_kind, \
         i.gone_at is not null as issuer_gone, c.gone_at is not null as was_gone \
         from credential c left join issued_credential i on i.id = c.issuer_key \
         where c.dirty order by c.id limit {PAGE}"
    );
    let rows: Vec<Row> = sql::rows(transaction, sql, Vec::new()).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut sum = MergeSummary::default();
    if ids.is_empty() {
        return Ok((sum, true));
    }
    let copies: Vec<Copy> = sql::rows_for(transaction, &ids, &[], |ids| {
        format!("select credential_id, at, kind, stage from credential_copy where gone_at is null and credential_id in ({ids})")
    })
    .await?;
    let mut by_credential: HashMap<Uuid, Vec<Copy>> = HashMap::new();
    for copy in copies {
        by_credential.entry(copy.credential_id).or_default().push(copy);
    }
    let mut entries = Vec::new();
    for row in &rows {
        let copies = by_credential.remove(&row.id).unwrap_or_default();
        settle(transaction, at, row, &copies, &mut sum, &mut entries).await?;
    }
    let closed: Vec<Uuid> = entries.iter().map(|entry: &history::Entry| entry.entity_id).collect();
    sql::run_for(transaction, &closed, &[at.into()], |ids| {
        format!("update history set valid_to = $1 where valid_to is null and entity_id in ({ids})")
    })
    .await?;
    history::insert(transaction, entries).await?;
    sql::run_for(transaction, &ids, &[], |ids| {
        format!("update credential set dirty = false where id in ({ids})")
    })
    .await?;
    Ok((sum, false))
}

async fn settle(
    transaction: &DatabaseTransaction,
    at: DateTime<Utc>,
    row: &Row,
    copies: &[Copy],
    sum: &mut MergeSummary,
    entries: &mut Vec<history::Entry>,
) -> Result<()> {
    let current: Vec<&Copy> = copies.iter().filter(|copy| copy.stage == "current").collect();
    let shown: Vec<&Copy> = if current.is_empty() { copies.iter().collect() } else { current };
    let place = match row.issuer_key {
        Some(_) => row.issuer_at.as_deref(),
        None => shown.iter().map(|copy| copy.at.as_str()).min(),
    };
    let place = place.unwrap_or(&row.at);
    let kind = row.issuer_kind.as_deref().or_else(|| kind_of(shown.iter().map(|copy| copy.kind.as_str())));
    let kind = kind.unwrap_or(&row.kind);
    // Without an issuer's row that is there, only copies show that it lives.
    let listed = row.issuer_at.is_some() && !row.issuer_gone;
    let gone = !listed && copies.is_empty();
    let moved = place != row.at || kind != row.kind;
    if !moved && gone == row.was_gone {
        return Ok(());
    }
    // An issuer's credential has its history with the issuer's row.
    let own = row.issuer_key.is_none();
    if gone != row.was_gone && own {
        let change = if gone { "vanished" } else { "returned" };
        entries.push(history::entry(at, "credential", row.id, place, change, ""));
        if gone {
            sum.vanished += 1;
        } else {
            sum.appeared += 1;
        }
    } else if moved && own {
        let detail = if place == row.at { "kind" } else { "ref" };
        entries.push(history::entry(at, "credential", row.id, place, "changed", detail));
        sum.changed += 1;
    }
    let gone_at: Option<DateTime<Utc>> = gone.then_some(at);
    let backend = Ref::from_text(place).backend().to_owned();
    let values: Vec<Value> = vec![row.id.into(), place.into(), kind.into(), backend.into(), gone_at.into()];
    // The time at which it went stays the first.
    let sql = "update credential set at = $2, kind = $3, backend = $4, \
         gone_at = case when $5 is null then null else coalesce(gone_at, $5) end where id = $1";
    sql::run(transaction, sql, values).await?;
    Ok(())
}
