//! A page's rows of one table beside what is there.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, FromQueryResult};
use uuid::Uuid;

use super::super::{
    super::sql,
    history,
    item::Stamp,
    kept::{Kept, on_conflict},
};
use crate::{MergeSummary, Result};

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

/// The rows by what has to be done with them.
pub(super) struct Compared<E: Kept> {
    /// Rows of what was never seen.
    pub(super) fresh: Vec<E::Model>,
    /// Rows of what changed, returned or was used.
    known: Vec<E::Model>,
    /// Of these only the time of the sight moves.
    same: Vec<Uuid>,
    /// Whose open intervals end.
    ended: Vec<Uuid>,
    pub(super) entries: Vec<history::Entry>,
    sum: MergeSummary,
}

impl<E: Kept> Compared<E> {
    pub(super) async fn new(
        transaction: &DatabaseTransaction,
        stamp: &Stamp,
        models: Vec<E::Model>,
    ) -> Result<Self> {
        let ids: Vec<Uuid> = models.iter().map(E::id).collect();
        let known = known::<E>(transaction, &ids).await?;
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
        let mut compared = Self {
            fresh: Vec::new(),
            known: Vec::new(),
            same: Vec::new(),
            ended: Vec::new(),
            entries: Vec::new(),
            sum: MergeSummary::default(),
        };
        for model in models {
            compared.compare(stamp, known.get(&E::id(&model)), &old, model);
        }
        Ok(compared)
    }

    fn compare(
        &mut self,
        stamp: &Stamp,
        before: Option<&Known>,
        old: &HashMap<Uuid, String>,
        mut model: E::Model,
    ) {
        let id = E::id(&model);
        let Some(before) = before else {
            self.sum.appeared += 1;
            self.entries.push(history::entry(stamp.at, E::WORD, id, E::at(&model), "appeared", ""));
            self.fresh.push(model);
            return;
        };
        let (change, detail) = if before.gone {
            self.sum.appeared += 1;
            ("returned", String::new())
        } else if before.digest != E::digest(&model) {
            self.sum.changed += 1;
            let old = old.get(&id).map_or("", String::as_str);
            let (names, detail) = history::difference(old, E::facts(&model));
            E::changed(&mut model, &names, stamp.at);
            ("changed", detail)
        } else {
            self.sum.unchanged += 1;
            if before.used == E::used(&model) {
                self.same.push(id);
            } else {
                E::calm(&mut model);
                self.known.push(model);
            }
            return;
        };
        self.ended.push(id);
        self.entries.push(history::entry(stamp.at, E::WORD, id, E::at(&model), change, detail));
        self.known.push(model);
    }

    pub(super) async fn write(
        self,
        transaction: &DatabaseTransaction,
        stamp: &Stamp,
    ) -> Result<MergeSummary> {
        // What was never seen has no interval to end.
        history::close(transaction, E::TABLE, stamp.at, self.ended).await?;
        let mut rows = self.fresh;
        rows.extend(self.known);
        sql::insert::<E, _>(transaction, rows, &[], &on_conflict::<E>()).await?;
        history::insert(transaction, self.entries).await?;
        let table = E::TABLE;
        let seen = [stamp.at.into(), stamp.epoch.into(), stamp.scope.into()];
        sql::run_for(transaction, &self.same, &seen, |ids| {
            format!("update {table} set last_seen = $1, last_scan = $2, scope_id = $3 where id in ({ids}) and last_scan <= $2")
        })
        .await?;
        Ok(self.sum)
    }
}
