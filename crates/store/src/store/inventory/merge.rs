//! One page: a bounded number of statements, whatever its size.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use claviger_core::{fingerprint::Fingerprint, id::ScanId, reference::Ref};
use sea_orm::{ActiveModelTrait, DatabaseTransaction, FromQueryResult, IntoActiveModel};
use uuid::Uuid;

use super::{
    super::{SeaStore, sql, text::micros},
    facts::ranked,
    history,
    item::{self, Items, Stamp},
    kept::{Kept, on_conflict},
    key, scan,
};
use crate::{CopyLink, MergeSummary, MergedCopy, MergedPage, Result};

impl SeaStore {
    pub(super) async fn merge_page(
        &self,
        scan: ScanId,
        at: DateTime<Utc>,
        page: MergedPage,
    ) -> Result<MergeSummary> {
        let at = micros(at);
        let stamp =
            Stamp { epoch: 0, at, scope: key::scope(&page.backend, &page.scope), backend: page.backend };
        let items = Items::sort(page.items);
        let transaction = self.database.begin().await?;
        let stamp = Stamp { epoch: scan::epoch(&transaction, scan).await?, ..stamp };
        scan::begin_scope(&transaction, &stamp, &page.scope).await?;
        let mut copies = items.copies;
        keep_links(&transaction, &mut copies).await?;
        let mut sum = MergeSummary::default();
        let identities = items.identities.into_iter().map(|(id, seen)| item::identity_row(id, seen, &stamp));
        add(
            &mut sum,
            merge::<crate::entity::identity::Entity>(&transaction, &stamp, identities.collect()).await?,
        );
        let issued = items.issued.into_iter().map(|(id, seen)| item::issued_row(id, seen, &stamp));
        add(&mut sum, merge::<crate::entity::issued::Entity>(&transaction, &stamp, issued.collect()).await?);
        let copies = copies.into_iter().map(|(id, seen)| item::copy_row(id, seen, &stamp));
        add(&mut sum, merge::<crate::entity::copy::Entity>(&transaction, &stamp, copies.collect()).await?);
        let consumers = items.consumers.into_iter().map(|(id, seen)| item::consumer_row(id, seen, &stamp));
        add(
            &mut sum,
            merge::<crate::entity::consumer::Entity>(&transaction, &stamp, consumers.collect()).await?,
        );
        let grants = items.grants.into_iter().map(|(id, seen)| item::privilege_row(id, seen, &stamp));
        add(
            &mut sum,
            merge::<crate::entity::privilege::Entity>(&transaction, &stamp, grants.collect()).await?,
        );
        transaction.commit().await?;
        Ok(sum)
    }
}

pub(super) fn add(sum: &mut MergeSummary, more: MergeSummary) {
    sum.appeared += more.appeared;
    sum.changed += more.changed;
    sum.vanished += more.vanished;
    sum.unchanged += more.unchanged;
}

#[derive(FromQueryResult)]
struct Link {
    id: Uuid,
    fingerprint: Option<Vec<u8>>,
    issuer: Option<String>,
    issuer_rank: Option<i16>,
}

/// Where an issuer could not be asked, the link of an earlier scan stands as long as the value does.
async fn keep_links(
    transaction: &DatabaseTransaction,
    copies: &mut std::collections::BTreeMap<Uuid, MergedCopy>,
) -> Result<()> {
    let unsure = copies.iter().filter(|(_, copy)| copy.link.is_none() && copy.keep_link);
    let unsure: Vec<Uuid> = unsure.map(|(id, _)| *id).collect();
    let known: Vec<Link> = sql::rows_for(transaction, &unsure, &[], |ids| {
        format!("select id, fingerprint, issuer, issuer_rank from credential_copy where issuer is not null and id in ({ids})")
    })
    .await?;
    for link in known {
        let (Some(issuer), Some(evidence)) = (link.issuer, link.issuer_rank.and_then(ranked)) else {
            continue;
        };
        let Some(copy) = copies.get_mut(&link.id) else { continue };
        let now = copy.fingerprint.as_ref().map(|(_, Fingerprint(bytes))| bytes.to_vec());
        if now == link.fingerprint {
            copy.link = Some(CopyLink { issuer: Ref::from_text(issuer), evidence });
        }
    }
    Ok(())
}

#[derive(FromQueryResult)]
struct Known {
    id: Uuid,
    digest: Vec<u8>,
    gone: bool,
    #[sea_orm(skip)]
    used: Option<DateTime<Utc>>,
}

#[derive(FromQueryResult)]
struct KnownUse {
    id: Uuid,
    digest: Vec<u8>,
    gone: bool,
    used: Option<DateTime<Utc>>,
}

async fn known<E: Kept>(transaction: &DatabaseTransaction, ids: &[Uuid]) -> Result<HashMap<Uuid, Known>> {
    let table = E::TABLE;
    if E::USED {
        let rows: Vec<KnownUse> = sql::rows_for(transaction, ids, &[], |ids| {
            format!("select id, digest, gone_at is not null as gone, last_used_at as used from {table} where id in ({ids})")
        })
        .await?;
        let rows = rows.into_iter().map(|row| Known {
            id: row.id,
            digest: row.digest,
            gone: row.gone,
            used: row.used,
        });
        return Ok(rows.map(|row| (row.id, row)).collect());
    }
    let rows: Vec<Known> = sql::rows_for(transaction, ids, &[], |ids| {
        format!("select id, digest, gone_at is not null as gone from {table} where id in ({ids})")
    })
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

async fn merge<E: Kept>(
    transaction: &DatabaseTransaction,
    stamp: &Stamp,
    models: Vec<E::Model>,
) -> Result<MergeSummary>
where
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelTrait<Entity = E> + Send,
{
    let mut sum = MergeSummary::default();
    if models.is_empty() {
        return Ok(sum);
    }
    let ids: Vec<Uuid> = models.iter().map(E::id).collect();
    let known = known::<E>(transaction, &ids).await?;
    let (mut same, mut write, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    let mut changed = HashSet::new();
    for model in &models {
        if let Some(before) = known.get(&E::id(model))
            && !before.gone
            && before.digest != E::digest(model)
        {
            changed.insert(before.id);
        }
    }
    let old = history::facts_of(transaction, E::TABLE, &changed).await?;
    for mut model in models {
        let id = E::id(&model);
        let (change, detail) = match known.get(&id) {
            None => {
                sum.appeared += 1;
                ("appeared", String::new())
            }
            Some(before) if before.gone => {
                sum.appeared += 1;
                ("returned", String::new())
            }
            Some(before) if before.digest != E::digest(&model) => {
                sum.changed += 1;
                let old = old.get(&id).map_or("", String::as_str);
                let (names, detail) = history::difference(old, E::facts(&model));
                E::changed(&mut model, &names, stamp.at);
                ("changed", detail)
            }
            Some(before) => {
                sum.unchanged += 1;
                if before.used == E::used(&model) {
                    same.push(id);
                } else {
                    E::calm(&mut model);
                    write.push(model.into_active_model());
                }
                continue;
            }
        };
        entries.push(history::entry(stamp.at, E::WORD, id, E::at(&model), change, detail));
        write.push(model.into_active_model());
    }
    history::close(transaction, E::TABLE, stamp.at, entries.iter().map(|entry| entry.entity_id).collect())
        .await?;
    upsert::<E>(transaction, write).await?;
    history::insert(transaction, entries).await?;
    let table = E::TABLE;
    sql::run_for(transaction, &same, &[stamp.at.into(), stamp.epoch.into(), stamp.scope.into()], |ids| {
        format!("update {table} set last_seen = $1, last_scan = $2, scope_id = $3 where id in ({ids}) and last_scan <= $2")
    })
    .await?;
    Ok(sum)
}

async fn upsert<E: Kept>(transaction: &DatabaseTransaction, rows: Vec<E::ActiveModel>) -> Result<()>
where
    E::ActiveModel: ActiveModelTrait<Entity = E> + Send,
{
    for piece in sql::pieces(rows) {
        E::insert_many(piece).on_conflict(on_conflict::<E>()).exec_without_returning(transaction).await?;
    }
    Ok(())
}
