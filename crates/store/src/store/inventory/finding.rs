//! Findings, and the cache of comparisons.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use claviger_core::{
    audit::{AuditDraft, AuditKind},
    finding::rule,
    fingerprint::Fingerprint,
    view::{FindingView, FrameworkId, Severity},
};
use sea_orm::{ColumnTrait as _, EntityTrait as _, FromQueryResult, QueryFilter as _, QueryOrder as _};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    super::{
        SeaStore, audit, sql,
        text::{from_json, micros, text, to_json},
    },
    key,
};
use crate::{
    Error, MergeSummary, Result,
    entity::{finding, link_cache},
};

/// New findings that one entry of the audit log names.
const TOLD: usize = 20;

fn worst_first(severity: Severity) -> i16 {
    match severity {
        Severity::Critical => 0,
        Severity::High => 1,
        Severity::Medium => 2,
        Severity::Low => 3,
        Severity::Info => 4,
    }
}

/// What a rule says of all its findings alike is not kept with each of them.
fn terse(mut view: FindingView) -> FindingView {
    if let Some(rule) = rule(&view.slug) {
        if view.suggested == rule.suggested {
            view.suggested.clear();
        }
        let same = |(own, ours): (&FrameworkId, &(&str, &str, &str))| {
            (own.name.as_str(), own.version.as_str(), own.id.as_str()) == *ours
        };
        if view.frameworks.len() == rule.frameworks.len()
            && view.frameworks.iter().zip(rule.frameworks).all(same)
        {
            view.frameworks.clear();
        }
    }
    view
}

fn whole(row: &finding::Model) -> Result<FindingView> {
    let mut view: FindingView = from_json("finding", &row.view)?;
    if let Some(rule) = rule(&view.slug) {
        if view.suggested.is_empty() {
            rule.suggested.clone_into(&mut view.suggested);
        }
        if view.frameworks.is_empty() {
            view.frameworks = rule.framework_ids();
        }
    }
    Ok(FindingView { first_seen: row.first_seen, last_seen: row.last_seen, ..view })
}

fn row(view: FindingView, at: DateTime<Utc>) -> finding::Model {
    let subject = text(view.subject.as_str());
    // Times have columns of their own: without them, what is the same is the same text.
    let view =
        terse(FindingView { first_seen: DateTime::UNIX_EPOCH, last_seen: DateTime::UNIX_EPOCH, ..view });
    let json = to_json(&view);
    finding::Model {
        id: key::finding(&view.slug, &subject),
        slug: view.slug,
        severity: worst_first(view.severity),
        subject_key: key::subject(&subject),
        subject,
        digest: Sha256::digest(json.as_bytes())[..16].to_vec(),
        view: json,
        first_seen: at,
        last_seen: at,
        closed_at: None,
    }
}

/// One entry for all of a page, however many: the first scan of an estate finds all at once.
fn told(actor: &str, mut opened: Vec<serde_json::Value>) -> AuditDraft {
    let count = opened.len();
    opened.truncate(TOLD);
    AuditDraft {
        kind: AuditKind::FindingsOpened,
        actor: actor.to_owned(),
        subject: "findings".to_owned(),
        saga: None,
        step: None,
        detail: serde_json::json!({ "opened": opened, "count": count }),
    }
}

#[derive(FromQueryResult)]
struct Known {
    id: Uuid,
    digest: Vec<u8>,
    first_seen: DateTime<Utc>,
}

impl SeaStore {
    pub(super) async fn keep_findings(
        &self,
        at: DateTime<Utc>,
        actor: &str,
        findings: Vec<FindingView>,
    ) -> Result<MergeSummary> {
        let at = micros(at);
        let titles: HashMap<Uuid, String> = findings
            .iter()
            .filter(|view| view.severity == Severity::Critical)
            .map(|view| (key::finding(&view.slug, &text(view.subject.as_str())), view.title.clone()))
            .collect();
        let rows: BTreeMap<Uuid, finding::Model> =
            findings.into_iter().map(|view| row(view, at)).map(|row| (row.id, row)).collect();
        let ids: Vec<Uuid> = rows.keys().copied().collect();
        let transaction = self.database.begin().await?;
        let known: Vec<Known> = sql::rows_for(&transaction, &ids, &[], |ids| {
            format!("select id, digest, first_seen from finding where closed_at is null and id in ({ids})")
        })
        .await?;
        let mut known: HashMap<Uuid, Known> = known.into_iter().map(|known| (known.id, known)).collect();
        let mut sum = MergeSummary::default();
        let (mut write, mut same, mut opened) = (Vec::new(), Vec::new(), Vec::new());
        for (id, mut row) in rows {
            match known.remove(&id) {
                Some(known) if known.digest == row.digest => {
                    sum.unchanged += 1;
                    same.push(id);
                    continue;
                }
                Some(known) => {
                    sum.changed += 1;
                    row.first_seen = known.first_seen;
                }
                None => {
                    sum.appeared += 1;
                    opened.extend(titles.get(&id).map(|title| {
                        serde_json::json!({ "slug": row.slug, "subject": row.subject, "title": title })
                    }));
                }
            }
            write.push(row);
        }
        // An evaluation that began later may have been here before.
        sql::run_for(&transaction, &same, &[at.into()], |ids| {
            format!("update finding set last_seen = $1 where last_seen < $1 and id in ({ids})")
        })
        .await?;
        let again = "on conflict (id) do update set severity = excluded.severity, digest = excluded.digest, \
             view = excluded.view, first_seen = excluded.first_seen, last_seen = excluded.last_seen, \
             closed_at = excluded.closed_at";
        sql::insert::<finding::Entity, _>(&transaction, write, &[], again).await?;
        if !opened.is_empty() {
            audit::chain_one(&transaction, micros(self.clock.now()), told(actor, opened)).await?;
        }
        transaction.commit().await?;
        Ok(sum)
    }

    pub(super) async fn end_findings(&self, at: DateTime<Utc>, rules: &[&str]) -> Result<u64> {
        let at = micros(at);
        let closed = finding::Entity::update_many()
            .col_expr(finding::Column::ClosedAt, at.into())
            .filter(finding::Column::ClosedAt.is_null())
            .filter(finding::Column::LastSeen.lt(at))
            .filter(finding::Column::Slug.is_in(rules.iter().copied()))
            .exec(&self.database.write)
            .await?;
        Ok(closed.rows_affected)
    }

    pub(super) async fn open_findings(&self) -> Result<Vec<FindingView>> {
        let rows = finding::Entity::find()
            .filter(finding::Column::ClosedAt.is_null())
            .order_by_asc(finding::Column::Severity)
            .order_by_asc(finding::Column::Slug)
            .order_by_asc(finding::Column::Subject)
            .all(&self.database.read)
            .await?;
        rows.iter().map(whole).collect()
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
        let rows = results.into_iter().map(|((verifier, candidate), equal)| link_cache::Model {
            verifier: verifier.0.to_vec(),
            fingerprint: candidate.0.to_vec(),
            equal,
        });
        let transaction = self.database.begin().await?;
        let again = "on conflict (verifier, fingerprint) do update set equal = excluded.equal";
        sql::insert::<link_cache::Entity, _>(&transaction, rows.collect(), &[], again).await?;
        transaction.commit().await?;
        Ok(())
    }
}
