use chrono::{DateTime, Utc};
use claviger_core::id::{FiringId, SagaId};
use sea_orm::{ConnectionTrait, Value};

use super::number;
use crate::{
    Claimed, Error, FiringEnd, Result,
    store::{SeaStore, sql, text::text},
};

/// Names the rotation that is begun for a firing. [`Error::Fenced`] when it is somebody else's by now.
pub(in crate::store) async fn note_begun<C: ConnectionTrait>(
    connection: &C,
    now: DateTime<Utc>,
    claim: &Claimed,
    saga: SagaId,
) -> Result<()> {
    let touched = sql::run(
        connection,
        "update firing set saga_id = $3, changed_at = $4 where id = $1 and epoch = $2 and state = 'claimed'",
        vec![claim.id.0.into(), claim.epoch.0.into(), saga.0.into(), number(now).into()],
    )
    .await?;
    if touched == 1 { Ok(()) } else { Err(Error::Fenced) }
}

impl SeaStore {
    pub(super) async fn settle_claims(
        &self,
        now: DateTime<Utc>,
        ends: &[(Claimed, FiringEnd)],
    ) -> Result<Vec<bool>> {
        let mut ours = vec![false; ends.len()];
        // In the order of the ids: two that settle at once never wait for each other in a ring.
        let mut order: Vec<usize> = (0..ends.len()).collect();
        order.sort_by_key(|index| ends[*index].0.id);
        let transaction = self.database.begin().await?;
        for index in order {
            let (claim, end) = &ends[index];
            let held = (claim.id, "epoch = $2 and state = 'claimed'", claim.epoch.0);
            ours[index] = end_one(&transaction, now, held, end).await? == 1;
        }
        transaction.commit().await?;
        Ok(ours)
    }

    pub(super) async fn settle_opened(
        &self,
        now: DateTime<Utc>,
        id: FiringId,
        end: &FiringEnd,
    ) -> Result<()> {
        // An epoch is never negative: the second parameter is there for both.
        end_one(&self.database.write, now, (id, "epoch >= $2 and state = 'open'", 0), end).await?;
        Ok(())
    }
}

/// Ends a firing that is held in this way: its id, the condition, and the condition's number.
async fn end_one<C: ConnectionTrait>(
    connection: &C,
    now: DateTime<Utc>,
    (id, held, epoch): (FiringId, &str, i64),
    end: &FiringEnd,
) -> Result<u64> {
    let optional = |detail: &Option<String>| -> Value { detail.as_deref().map(text).into() };
    let (set, mut more): (&str, Vec<Value>) = match end {
        FiringEnd::Done { saga } => {
            ("state = 'done', outcome = 'done', detail = null, saga_id = $4", vec![saga.0.into()])
        }
        FiringEnd::Open { saga, outcome, detail } => (
            "state = 'open', saga_id = $4, outcome = $5, detail = $6",
            vec![saga.0.into(), text(outcome).into(), optional(detail)],
        ),
        FiringEnd::Again { at, outcome, detail } => (
            "state = 'planned', saga_id = null, attempts = attempts + 1, rank = $4 - case when asked_at is null then starts_at - rank else 0 end, asked_at = null, starts_at = $4, retry_at = $4, outcome = $5, detail = $6",
            vec![number(*at).into(), text(outcome).into(), optional(detail)],
        ),
        FiringEnd::Later { at, pause } => (
            "state = 'planned', rank = $4 - case when asked_at is null then starts_at - rank else 0 end, asked_at = null, starts_at = $4, pause_id = $5",
            vec![number(*at).into(), pause.map(|pause| pause.0).into()],
        ),
        FiringEnd::Superseded => {
            let sql = format!("delete from firing where id = $1 and {held}");
            return sql::run(connection, sql, vec![id.0.into(), epoch.into()]).await;
        }
    };
    let mut values: Vec<Value> = vec![id.0.into(), epoch.into(), number(now).into()];
    values.append(&mut more);
    let sql = format!(
        "update firing set {set}, claimed_by = null, lease_until = null, changed_at = $3 where id = $1 and {held}"
    );
    sql::run(connection, sql, values).await
}
