//! Findings, and the cache of comparisons.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use claviger_core::{
    fingerprint::Fingerprint,
    view::{FindingView, Severity},
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _,
    sea_query::OnConflict,
};
use uuid::Uuid;

use super::{
    super::{
        SeaStore, sql,
        text::{from_json, micros, text, to_json},
    },
    key,
};
use crate::{
    Error, MergeSummary, Result,
    entity::{finding, link_cache},
};

fn worst_first(severity: Severity) -> i16 {
    match severity {
        Severity::Critical => 0,
        Severity::High => 1,
        Severity::Medium => 2,
        Severity::Low => 3,
        Severity::Info => 4,
    }
}

fn row(view: FindingView) -> finding::Model {
    let subject = text(view.subject.as_str());
    finding::Model {
        id: key::finding(&view.slug, &subject),
        slug: view.slug.clone(),
        severity: worst_first(view.severity),
        subject_key: key::subject(&subject),
        subject,
        first_seen: view.first_seen,
        last_seen: view.last_seen,
        closed_at: None,
        view: to_json(&view),
    }
}

impl SeaStore {
    pub(super) async fn replace_findings(
        &self,
        at: DateTime<Utc>,
        rules: &[&str],
        findings: Vec<FindingView>,
    ) -> Result<MergeSummary> {
        let at = micros(at);
        let transaction = self.database.begin().await?;
        let open = finding::Entity::find()
            .filter(finding::Column::ClosedAt.is_null())
            .filter(finding::Column::Slug.is_in(rules.iter().copied()))
            .all(&transaction)
            .await?;
        let mut open: HashMap<Uuid, finding::Model> = open.into_iter().map(|row| (row.id, row)).collect();
        let mut sum = MergeSummary::default();
        let (mut write, mut same) = (BTreeMap::new(), Vec::new());
        for mut view in findings {
            view.first_seen = at;
            view.last_seen = at;
            let mut new = row(view.clone());
            match open.remove(&new.id) {
                Some(before) => {
                    // Times apart, is it the same?
                    let mut old: FindingView = from_json("finding", &before.view)?;
                    (old.first_seen, old.last_seen) = (at, at);
                    if old == view {
                        sum.unchanged += 1;
                        same.push(new.id);
                        continue;
                    }
                    sum.changed += 1;
                    new.first_seen = before.first_seen;
                }
                None if write.contains_key(&new.id) || same.contains(&new.id) => continue,
                None => sum.appeared += 1,
            }
            write.insert(new.id, new.into_active_model());
        }
        let closed: Vec<Uuid> = open.into_keys().collect();
        sum.vanished = sql::run_for(&transaction, &closed, &[at.into()], |ids| {
            format!("update finding set closed_at = $1 where id in ({ids})")
        })
        .await?;
        sql::run_for(&transaction, &same, &[at.into()], |ids| {
            format!("update finding set last_seen = $1 where id in ({ids})")
        })
        .await?;
        for piece in sql::pieces(write.into_values().collect()) {
            let conflict = OnConflict::column(finding::Column::Id)
                .update_columns([
                    finding::Column::Severity,
                    finding::Column::View,
                    finding::Column::FirstSeen,
                    finding::Column::LastSeen,
                    finding::Column::ClosedAt,
                ])
                .to_owned();
            finding::Entity::insert_many(piece)
                .on_conflict(conflict)
                .exec_without_returning(&transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(sum)
    }

    pub(super) async fn open_findings(&self) -> Result<Vec<FindingView>> {
        let rows = finding::Entity::find()
            .filter(finding::Column::ClosedAt.is_null())
            .order_by_asc(finding::Column::Severity)
            .order_by_asc(finding::Column::Slug)
            .order_by_asc(finding::Column::Subject)
            .all(&self.database.read)
            .await?;
        rows.into_iter()
            .map(|row| {
                let view: FindingView = from_json("finding", &row.view)?;
                Ok(FindingView { first_seen: row.first_seen, last_seen: row.last_seen, ..view })
            })
            .collect()
    }

    pub(super) async fn read_cache(&self, verifier: &Fingerprint) -> Result<Vec<(Fingerprint, bool)>> {
        let rows = link_cache::Entity::find()
            .filter(link_cache::Column::Verifier.eq(verifier.0.to_vec()))
            .all(&self.database.read)
            .await?;
        rows.into_iter()
            .map(|row| {
                let bytes = row
                    .fingerprint
                    .try_into()
                    .map_err(|_| Error::inconsistent("link_cache", "not 32 bytes"))?;
                Ok((Fingerprint(bytes), row.equal))
            })
            .collect()
    }

    pub(super) async fn write_cache(&self, results: Vec<(Fingerprint, Fingerprint, bool)>) -> Result<()> {
        let results: BTreeMap<_, _> =
            results.into_iter().map(|(candidate, verifier, equal)| ((verifier, candidate), equal)).collect();
        let rows: Vec<_> = results
            .into_iter()
            .map(|((verifier, candidate), equal)| {
                link_cache::Model { verifier: verifier.0.to_vec(), fingerprint: candidate.0.to_vec(), equal }
                    .into_active_model()
            })
            .collect();
        let transaction = self.database.begin().await?;
        for piece in sql::pieces(rows) {
            let conflict =
                OnConflict::columns([link_cache::Column::Verifier, link_cache::Column::Fingerprint])
                    .update_column(link_cache::Column::Equal)
                    .to_owned();
            link_cache::Entity::insert_many(piece)
                .on_conflict(conflict)
                .exec_without_returning(&transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
