use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    id::{CredentialId, FiringId, PauseId},
    schedule::Urgency,
};
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use super::{instant, number};
use crate::{
    Hint, PlannedFiring, Replan, Result, Wanted,
    store::{
        SeaStore,
        hint::notify,
        sql,
        text::{from_json, text, to_json},
    },
};

/// Changes of one transaction: no writer waits longer for it.
const PIECE: usize = 1024;
const COLUMNS: &str = "id, credential_id, due_at, subject, backend, policy, holds, starts_at, state, pause_id, changed_at, rank";
const WIDTH: usize = 12;
/// One that is not planned any more stays as it is. An earlier try that came to nothing goes on to put it off.
const UPSERT: &str = "on conflict (credential_id, due_at) do update set subject = excluded.subject, backend = excluded.backend, \
     policy = excluded.policy, holds = excluded.holds, pause_id = excluded.pause_id, changed_at = excluded.changed_at, \
     starts_at = case when firing.asked_at is not null then firing.asked_at \
     when firing.retry_at is not null and firing.retry_at > excluded.starts_at then firing.retry_at else excluded.starts_at end, \
     rank = case when firing.asked_at is not null then 0 \
     when firing.retry_at is not null and firing.retry_at > excluded.starts_at then firing.retry_at - excluded.starts_at + excluded.rank \
     else excluded.rank end \
     where firing.state = 'planned'";

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    credential_id: Uuid,
    policy: String,
    holds: String,
    starts_at: i64,
    retry_at: Option<i64>,
    rank: i64,
    asked_at: Option<i64>,
    pause_id: Option<Uuid>,
}

impl SeaStore {
    pub(super) async fn planned_firings(&self) -> Result<Vec<PlannedFiring>> {
        let rows: Vec<Row> = sql::rows(
            &self.database.read,
            "select id, credential_id, policy, holds, starts_at, retry_at, rank, asked_at, pause_id from firing where state = 'planned'",
            Vec::new(),
        )
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(PlannedFiring {
                    id: FiringId(row.id),
                    credential: CredentialId(row.credential_id),
                    policy: row.policy,
                    holds: from_json(super::FIRING, &row.holds)?,
                    starts_at: instant(row.starts_at)?,
                    retry_at: row.retry_at.map(instant).transpose()?,
                    urgency: Urgency::worth_of(TimeDelta::microseconds(
                        row.starts_at.saturating_sub(row.rank),
                    )),
                    asked: row.asked_at.is_some(),
                    pause: row.pause_id.map(PauseId),
                })
            })
            .collect()
    }

    pub(super) async fn replan_firings(&self, now: DateTime<Utc>, changes: &[Replan]) -> Result<()> {
        for piece in changes.chunks(PIECE) {
            let transaction = self.database.begin().await?;
            let gone: Vec<Uuid> = piece
                .iter()
                .filter_map(|change| match change {
                    Replan::Drop(id) => Some(id.0),
                    Replan::Put(_) => None,
                })
                .collect();
            sql::run_for(&transaction, &gone, &[], |ids| {
                format!("delete from firing where state = 'planned' and id in ({ids})")
            })
            .await?;
            let wanted = piece.iter().filter_map(|change| match change {
                Replan::Put(wanted) => Some(wanted),
                Replan::Drop(_) => None,
            });
            let wanted: Vec<&Wanted> = wanted.collect();
            let startable = wanted.iter().any(|one| one.starts_at <= now && one.pause.is_none());
            for rows in sql::pieces(wanted) {
                let kind = self.database.kind();
                let tuples = sql::tuples(kind, rows.len(), WIDTH);
                let values = rows.into_iter().flat_map(|wanted| values(wanted, now)).collect();
                sql::run(
                    &transaction,
                    format!("insert into firing ({COLUMNS}) values {tuples} {UPSERT}"),
                    values,
                )
                .await?;
            }
            if startable {
                notify(&transaction, Hint::Firing).await?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }
}

fn values(wanted: &Wanted, now: DateTime<Utc>) -> [Value; WIDTH] {
    [
        FiringId::derive(wanted.credential, wanted.due_at).0.into(),
        wanted.credential.0.into(),
        number(wanted.due_at).into(),
        text(wanted.subject.as_str()).into(),
        text(&wanted.backend).into(),
        text(&wanted.policy).into(),
        to_json(&wanted.holds).into(),
        number(wanted.starts_at).into(),
        "planned".into(),
        wanted.pause.map(|pause| pause.0).into(),
        number(now).into(),
        wanted.urgency.rank(wanted.starts_at).into(),
    ]
}
