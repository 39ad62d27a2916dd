use chrono::{DateTime, Utc};
use claviger_core::{
    firing::{FiringCounts, FiringState, FiringView},
    id::{CredentialId, FiringId, PauseId, SagaId},
    reference::Ref,
};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::{FIRING, count, instant, number};
use crate::{
    Result,
    store::{SeaStore, sql, text::from_word},
};

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    credential_id: Uuid,
    due_at: i64,
    subject: String,
    backend: String,
    policy: String,
    starts_at: i64,
    state: String,
    pause_id: Option<Uuid>,
    attempts: i64,
    claimed_by: Option<String>,
    saga_id: Option<Uuid>,
    outcome: Option<String>,
    detail: Option<String>,
}

#[derive(FromQueryResult)]
struct Count {
    state: String,
    n: i64,
    startable: i64,
    paused: i64,
    oldest: Option<i64>,
}

impl SeaStore {
    pub(super) async fn list_firings(&self, states: &[FiringState], limit: u64) -> Result<Vec<FiringView>> {
        if states.is_empty() {
            return Ok(Vec::new());
        }
        // Words of ours: nothing of it comes from outside.
        let words: Vec<String> = states.iter().map(|state| format!("'{}'", state.as_str())).collect();
        let rows: Vec<Row> = sql::rows(
            &self.database.read,
            format!(
                "select id, credential_id, due_at, subject, backend, policy, starts_at, state, pause_id, attempts, claimed_by, saga_id, outcome, detail \
                 from firing where state in ({}) order by starts_at, id limit $1",
                words.join(", ")
            ),
            vec![i64::try_from(limit).unwrap_or(i64::MAX).into()],
        )
        .await?;
        rows.into_iter().map(view).collect()
    }

    pub(super) async fn count_firings(&self, now: DateTime<Utc>) -> Result<FiringCounts> {
        let rows: Vec<Count> = sql::rows(
            &self.database.read,
            "select state, count(*) as n, \
             cast(sum(case when pause_id is null and starts_at <= $1 then 1 else 0 end) as bigint) as startable, \
             cast(sum(case when pause_id is null then 0 else 1 end) as bigint) as paused, \
             min(case when pause_id is null and starts_at <= $1 then starts_at end) as oldest from firing where state <> 'done' group by state",
            vec![number(now).into()],
        )
        .await?;
        let mut counts = FiringCounts::default();
        for row in rows {
            match from_word(FIRING, &row.state)? {
                FiringState::Planned => {
                    counts.planned = count(row.n);
                    counts.startable = count(row.startable);
                    counts.paused = count(row.paused);
                    counts.oldest = row.oldest.map(instant).transpose()?;
                }
                FiringState::Claimed => counts.claimed = count(row.n),
                FiringState::Open => counts.open = count(row.n),
                FiringState::Done => {}
            }
        }
        Ok(counts)
    }
}

fn view(row: Row) -> Result<FiringView> {
    Ok(FiringView {
        id: FiringId(row.id),
        credential: CredentialId(row.credential_id),
        due_at: instant(row.due_at)?,
        at: Ref::from_text(row.subject),
        backend: row.backend,
        policy: row.policy,
        starts_at: instant(row.starts_at)?,
        state: from_word(FIRING, &row.state)?,
        pause: row.pause_id.map(PauseId),
        attempts: u32::try_from(count(row.attempts)).unwrap_or(u32::MAX),
        claimed_by: row.claimed_by,
        rotation_id: row.saga_id.map(SagaId),
        outcome: row.outcome,
        detail: row.detail,
    })
}
