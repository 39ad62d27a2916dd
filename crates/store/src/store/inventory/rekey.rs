//! From the fingerprints of former epochs to today's.
//!
//! Whether two values are equal does not depend on the key. So a value that is seen again takes its fingerprint along wherever it is kept: its copies, its
//! group, what was ever known of it. Nothing has changed by that, and history says nothing of it. What is not seen keeps its old fingerprint, under which
//! a return is still recognised.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use claviger_core::{fingerprint::Fingerprint, own_key::KeyState};
use sea_orm::{DatabaseTransaction, FromQueryResult, Value};
use uuid::Uuid;

use super::{
    super::{own_key, sql},
    item::Items,
    key,
};
use crate::Result;

/// Fingerprints that are looked up together.
const PAGE: usize = 256;

#[derive(FromQueryResult)]
struct Former {
    fingerprint: Vec<u8>,
}

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    facts: String,
    group_key: Uuid,
}

#[derive(FromQueryResult)]
struct Issued {
    id: Uuid,
    facts: String,
}

#[derive(FromQueryResult)]
struct Held {
    id: Uuid,
    fingerprint: Vec<u8>,
}

#[derive(FromQueryResult)]
struct Epoch {
    epoch: i64,
}

/// Takes along what this page shows. `former` says of each value on it by which fingerprints it was known.
pub(super) async fn page(
    transaction: &DatabaseTransaction,
    items: &Items,
    former: &[(Fingerprint, Fingerprint)],
) -> Result<()> {
    let lost = lost_epochs(transaction).await?;
    if former.is_empty() && lost.is_empty() {
        return Ok(());
    }
    let mut known = known(transaction, former).await?;
    if !lost.is_empty() {
        by_place(transaction, items, &lost, &mut known).await?;
    }
    for (old, new) in known {
        rename(transaction, items, &old, new).await?;
    }
    Ok(())
}

async fn lost_epochs(transaction: &DatabaseTransaction) -> Result<Vec<i64>> {
    let sql = "select epoch from own_key where kind = 'fingerprint' and state = $1";
    let rows: Vec<Epoch> = sql::rows(transaction, sql, vec![KeyState::Lost.as_str().into()]).await?;
    Ok(rows.into_iter().map(|row| row.epoch).collect())
}

/// Of these, what is kept under a former epoch.
async fn known(
    transaction: &DatabaseTransaction,
    former: &[(Fingerprint, Fingerprint)],
) -> Result<BTreeMap<Vec<u8>, Fingerprint>> {
    let names: HashMap<Vec<u8>, Fingerprint> =
        former.iter().map(|(old, new)| (old.0.to_vec(), *new)).collect();
    let all: Vec<&Vec<u8>> = names.keys().collect();
    let mut known = BTreeMap::new();
    for page in all.chunks(PAGE) {
        let marks = sql::marks(1, page.len());
        let sql = format!("select fingerprint from former_fingerprint where fingerprint in ({marks})");
        let values: Vec<Value> = page.iter().map(|bytes| (*bytes).clone().into()).collect();
        let rows: Vec<Former> = sql::rows(transaction, sql, values).await?;
        for row in rows {
            if let Some(new) = names.get(&row.fingerprint) {
                known.insert(row.fingerprint, *new);
            }
        }
    }
    Ok(known)
}

/// Of a key that is lost nobody can say whether a value is still the same. It is taken for the same where it lies at the same place: that claims no
/// rotation that nobody saw, and ages go on.
async fn by_place(
    transaction: &DatabaseTransaction,
    items: &Items,
    lost: &[i64],
    known: &mut BTreeMap<Vec<u8>, Fingerprint>,
) -> Result<()> {
    let lost: Vec<String> = lost.iter().map(i64::to_string).collect();
    let lost = lost.join(", ");
    let ids: Vec<Uuid> = items.copies.keys().copied().collect();
    let held: Vec<Held> = sql::rows_for(transaction, &ids, &[], |ids| {
        format!(
            "select c.id as id, c.fingerprint as fingerprint from credential_copy c \
             join former_fingerprint f on f.fingerprint = c.fingerprint where f.epoch in ({lost}) and c.id in ({ids})"
        )
    })
    .await?;
    for row in held {
        let seen = items.copies.get(&row.id).and_then(|copy| copy.fingerprint.as_ref());
        if let Some((_, new)) = seen {
            known.entry(row.fingerprint).or_insert(*new);
        }
    }
    Ok(())
}

async fn rename(
    transaction: &DatabaseTransaction,
    items: &Items,
    old: &[u8],
    new: Fingerprint,
) -> Result<()> {
    let Some(before) = <[u8; 32]>::try_from(old).ok().map(Fingerprint) else { return Ok(()) };
    let (old_text, new_text) = (before.to_string(), new.to_string());
    let (old_group, new_group) = (key::value_group(&before), key::value_group(&new));
    // A strong value's copies are found by their group; a weak one's place stands alone, and only the one that is seen is known to hold it.
    let mut rows: Vec<Row> = sql::rows(
        transaction,
        "select id, facts, group_key from credential_copy where group_key = $1",
        vec![old_group.into()],
    )
    .await?;
    let here: Vec<Uuid> = items
        .copies
        .iter()
        .filter(|(_, copy)| copy.fingerprint.as_ref().is_some_and(|(_, print)| *print == new))
        .map(|(id, _)| *id)
        .filter(|id| rows.iter().all(|row| row.id != *id))
        .collect();
    rows.extend(
        sql::rows_for::<Row, _>(transaction, &here, &[old.to_vec().into()], |ids| {
            format!(
                "select id, facts, group_key from credential_copy where fingerprint = $1 and id in ({ids})"
            )
        })
        .await?,
    );
    let mut done = BTreeSet::new();
    for row in rows.into_iter().filter(|row| done.insert(row.id)) {
        let facts = row.facts.replace(&old_text, &new_text);
        let group = if row.group_key == old_group { new_group } else { row.group_key };
        let values: Vec<Value> = vec![
            row.id.into(),
            new.0.to_vec().into(),
            group.into(),
            key::digest(&facts).into(),
            facts.into(),
        ];
        let sql = "update credential_copy set fingerprint = $2, group_key = $3, digest = $4, facts = $5 where id = $1";
        sql::run(transaction, sql, values).await?;
    }
    let issued: Vec<Uuid> =
        items.issued.iter().filter(|(_, seen)| seen.verifier == Some(new)).map(|(id, _)| *id).collect();
    let issued: Vec<Issued> = sql::rows_for(transaction, &issued, &[], |ids| {
        format!("select id, facts from issued_credential where id in ({ids})")
    })
    .await?;
    for row in issued {
        let facts = row.facts.replace(&old_text, &new_text);
        let values: Vec<Value> = vec![row.id.into(), key::digest(&facts).into(), facts.into()];
        let sql = "update issued_credential set digest = $2, facts = $3 where id = $1";
        sql::run(transaction, sql, values).await?;
    }
    let groups: Vec<Value> = vec![old_group.into(), new_group.into()];
    let sql = "update credential set group_key = $2 where group_key = $1 \
         and not exists (select 1 from credential o where o.group_key = $2)";
    sql::run(transaction, sql, groups).await?;
    let prints: Vec<Value> = vec![old.to_vec().into(), new.0.to_vec().into()];
    sql::run(
        transaction,
        "insert into credential_fingerprint (fingerprint, credential_id, first_seen) \
         select $2, credential_id, first_seen from credential_fingerprint where fingerprint = $1 on conflict do nothing",
        prints,
    )
    .await?;
    for sql in [
        "delete from credential_fingerprint where fingerprint = $1",
        "delete from former_fingerprint where fingerprint = $1",
    ] {
        sql::run(transaction, sql, vec![old.to_vec().into()]).await?;
    }
    Ok(())
}

/// After a scan: what is kept under a former epoch and is nowhere any more, such as the verifier of a role that is gone, keeps no key alive.
pub(super) async fn prune(transaction: &DatabaseTransaction) -> Result<()> {
    let verifier = own_key::verifier(transaction);
    let sql = format!(
        "delete from former_fingerprint where not exists \
         (select 1 from credential_fingerprint f where f.fingerprint = former_fingerprint.fingerprint) \
         and fingerprint not in (select fingerprint from credential_copy where fingerprint is not null) \
         and fingerprint not in (select {verifier} from issued_credential where gone_at is null and {verifier} is not null)"
    );
    sql::run(transaction, sql, Vec::new()).await?;
    Ok(())
}
