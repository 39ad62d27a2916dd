use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use claviger_core::{
    id::{CredentialId, Epoch, FiringId, SagaId},
    reference::Ref,
    schedule::{Bucket, Budget},
};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, Value};
use uuid::Uuid;

use super::{FIRING, count, instant, millis, number};
use crate::{
    Claimed, Error, Result,
    store::{
        SeaStore, sql,
        text::{from_json, text},
    },
};

/// Candidates that are looked at, at least: where many of one service are due, others come after them.
const AT_LEAST: usize = 64;
/// Pages of candidates of one backend in one claim. Each is twice as long as the one before: mostly the first one is taken whole, and every row that is looked
/// at is locked, which PostgreSQL writes down in it.
const PAGES: usize = 4;

#[derive(FromQueryResult, Clone)]
struct Row {
    id: Uuid,
    credential_id: Uuid,
    due_at: i64,
    subject: String,
    backend: String,
    holds: String,
    epoch: i64,
    saga_id: Option<Uuid>,
    attempts: i64,
    rank: i64,
    asked_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct Held {
    backend: String,
    holds: String,
}

#[derive(FromQueryResult)]
struct Closed {
    backend: String,
}

#[derive(FromQueryResult)]
struct Level {
    level: i64,
    at: i64,
}

#[derive(FromQueryResult)]
struct One {
    #[expect(dead_code, reason = "that there is a row is the answer")]
    one: i32,
}

const COLUMNS: &str =
    "id, credential_id, due_at, subject, backend, holds, epoch, saga_id, attempts, rank, asked_at";

/// What is under way.
#[derive(Default)]
struct UnderWay {
    by_backend: BTreeMap<String, usize>,
    holds: BTreeSet<String>,
}

impl UnderWay {
    fn take(&mut self, backend: &str, holds: Vec<String>) {
        *self.by_backend.entry(backend.to_owned()).or_default() += 1;
        self.holds.extend(holds);
    }
}

impl SeaStore {
    pub(super) async fn claim_firings(
        &self,
        now: DateTime<Utc>,
        owner: &str,
        lease: Duration,
        budgets: &[Budget],
        most: usize,
    ) -> Result<Vec<Claimed>> {
        if most == 0 || !self.anything_to_claim(now, budgets).await? {
            return Ok(Vec::new());
        }
        let transaction = self.database.begin().await?;
        // Budgets and holds are of all workers together: claims come one after the other, each of many firings. Rows that somebody else has at the moment
        // (a settlement, a new plan) are passed over, never waited for.
        sql::run(
            &transaction,
            "update service_duty set lease_until = lease_until where name = 'claims'",
            Vec::new(),
        )
        .await?;
        let mut chosen = self.abandoned(&transaction, most).await?;
        if chosen.len() < most && !paused_whole(&transaction).await? {
            let mut under_way = under_way(&transaction).await?;
            let closed = closed(&transaction, now).await?;
            for budget in budgets.iter().filter(|budget| !closed.contains(&budget.backend)) {
                let left = most - chosen.len();
                chosen.extend(self.of_backend(&transaction, now, budget, left, &mut under_way).await?);
            }
        }
        if chosen.is_empty() {
            transaction.rollback().await?;
            return Ok(Vec::new());
        }
        let ids: Vec<Uuid> = chosen.iter().map(|row| row.id).collect();
        let fixed: [Value; 3] = [text(owner).into(), millis(lease).into(), number(now).into()];
        let clock = self.database.now_millis();
        sql::run_for(&transaction, &ids, &fixed, |ids| {
            format!(
                "update firing set state = 'claimed', epoch = epoch + 1, claimed_by = $1, lease_until = {clock} + $2, changed_at = $3 where id in ({ids})"
            )
        })
        .await?;
        transaction.commit().await?;
        chosen.into_iter().map(claimed).collect()
    }

    /// Most of the time there is nothing: that costs no writer.
    async fn anything_to_claim(&self, now: DateTime<Utc>, budgets: &[Budget]) -> Result<bool> {
        let reader = &self.database.read;
        let clock = self.database.now_millis();
        let abandoned: Vec<One> = sql::rows(
            reader,
            format!("select 1 as one from firing where state in ('claimed', 'open') and state = 'claimed' and lease_until <= {clock} limit 1"),
            Vec::new(),
        )
        .await?;
        if !abandoned.is_empty() {
            return Ok(true);
        }
        for budget in budgets {
            let startable: Vec<One> = sql::rows(
                reader,
                // The order says by which index: without statistics, as of a table that was just filled, the one by rank is taken as well, all of it.
                "select 1 as one from firing where state = 'planned' and pause_id is null and backend = $1 and starts_at <= $2 order by starts_at limit 1",
                vec![text(&budget.backend).into(), number(now).into()],
            )
            .await?;
            if !startable.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Those whose worker's lease has ended. They have their place in the budget already.
    async fn abandoned(&self, transaction: &DatabaseTransaction, most: usize) -> Result<Vec<Row>> {
        let (clock, skip) = (self.database.now_millis(), self.skip_locked());
        sql::rows(
            transaction,
            format!(
                "select {COLUMNS} from firing where state in ('claimed', 'open') and state = 'claimed' and lease_until <= {clock} \
                 order by starts_at, id limit $1 {skip}"
            ),
            vec![i64::try_from(most).unwrap_or(i64::MAX).into()],
        )
        .await
    }

    /// What of one backend may be taken, and is counted as under way from now on.
    async fn of_backend(
        &self,
        transaction: &DatabaseTransaction,
        now: DateTime<Utc>,
        budget: &Budget,
        most: usize,
        under_way: &mut UnderWay,
    ) -> Result<Vec<Row>> {
        let running = under_way.by_backend.get(&budget.backend).copied().unwrap_or(0);
        let mut free = budget.concurrency.max(1).saturating_sub(running).min(most);
        if free == 0 {
            return Ok(Vec::new());
        }
        let bucket = match budget.per_minute {
            Some(rate) => {
                let (drained, room) = bucket(transaction, &budget.backend, now).await?.room(rate, now);
                free = free.min(room);
                Some((rate, drained))
            }
            None => None,
        };
        let mut chosen = Vec::new();
        let (mut after_rank, mut after_id) = (i64::MIN, Uuid::nil());
        for size in 0..PAGES {
            let page = free.max(AT_LEAST) << size;
            if chosen.len() >= free {
                break;
            }
            let rows: Vec<Row> = sql::rows(
                transaction,
                format!(
                    "select {COLUMNS} from firing where state = 'planned' and pause_id is null and backend = $1 and starts_at <= $2 and rank <= $2 \
                     and (rank > $3 or (rank = $3 and id > $4)) order by rank, id limit $5 {}",
                    self.skip_locked()
                ),
                vec![
                    text(&budget.backend).into(),
                    number(now).into(),
                    after_rank.into(),
                    after_id.into(),
                    i64::try_from(page).unwrap_or(i64::MAX).into(),
                ],
            )
            .await?;
            let Some(last) = rows.last() else { break };
            (after_rank, after_id) = (last.rank, last.id);
            let whole = rows.len() == page;
            for row in rows {
                let holds: Vec<String> = from_json(FIRING, &row.holds)?;
                if chosen.len() < free && !holds.iter().any(|hold| under_way.holds.contains(hold)) {
                    under_way.take(&budget.backend, holds);
                    chosen.push(row);
                }
            }
            if !whole {
                break;
            }
        }
        if let Some((rate, drained)) = bucket {
            keep(transaction, &budget.backend, drained.after(rate, chosen.len())).await?;
        }
        Ok(chosen)
    }

    fn skip_locked(&self) -> &'static str {
        if self.database.kind() == DbBackend::Postgres { "for update skip locked" } else { "" }
    }
}

async fn paused_whole<C: ConnectionTrait>(connection: &C) -> Result<bool> {
    let found: Vec<One> = sql::rows(
        connection,
        "select 1 as one from schedule_pause where selector is null and ended_at is null limit 1",
        Vec::new(),
    )
    .await?;
    Ok(!found.is_empty())
}

/// Backends that throttle us.
async fn closed<C: ConnectionTrait>(connection: &C, now: DateTime<Utc>) -> Result<BTreeSet<String>> {
    let rows: Vec<Closed> = sql::rows(
        connection,
        "select backend from schedule_throttle where closed_until > $1",
        vec![number(now).into()],
    )
    .await?;
    Ok(rows.into_iter().map(|row| row.backend).collect())
}

/// One whose rotation waits for an operator holds its service too: nobody changes more of what is in trouble. One that waits for its old value's end
/// does not.
async fn under_way<C: ConnectionTrait>(connection: &C) -> Result<UnderWay> {
    let held: Vec<Held> = sql::rows(
        connection,
        "select backend, holds from firing where state in ('claimed', 'open') and (state = 'claimed' or outcome in ('paused', 'stuck'))",
        Vec::new(),
    )
    .await?;
    let mut under_way = UnderWay::default();
    for row in held {
        under_way.take(&row.backend, from_json(FIRING, &row.holds)?);
    }
    Ok(under_way)
}

async fn bucket<C: ConnectionTrait>(connection: &C, backend: &str, now: DateTime<Utc>) -> Result<Bucket> {
    let rows: Vec<Level> = sql::rows(
        connection,
        "select level, at from schedule_budget where backend = $1",
        vec![text(backend).into()],
    )
    .await?;
    match rows.first() {
        Some(row) => Ok(Bucket { level: row.level, at: instant(row.at)? }),
        None => Ok(Bucket::empty(now)),
    }
}

async fn keep<C: ConnectionTrait>(connection: &C, backend: &str, bucket: Bucket) -> Result<()> {
    sql::run(
        connection,
        "insert into schedule_budget (backend, level, at) values ($1, $2, $3) \
         on conflict (backend) do update set level = excluded.level, at = excluded.at",
        vec![text(backend).into(), bucket.level.into(), number(bucket.at).into()],
    )
    .await?;
    Ok(())
}

fn claimed(row: Row) -> Result<Claimed> {
    Ok(Claimed {
        id: FiringId(row.id),
        credential: CredentialId(row.credential_id),
        due_at: instant(row.due_at)?,
        subject: Ref::from_text(row.subject),
        backend: row.backend,
        epoch: Epoch(row.epoch + 1),
        saga: row.saga_id.map(SagaId),
        attempts: u32::try_from(count(row.attempts)).unwrap_or(u32::MAX),
        asked: row.asked_at.is_some(),
    })
}

impl SeaStore {
    pub(super) async fn renew_claim(&self, claim: &Claimed, lease: Duration) -> Result<()> {
        let clock = self.database.now_millis();
        let touched = sql::run(
            &self.database.write,
            format!("update firing set lease_until = {clock} + $3 where id = $1 and epoch = $2 and state = 'claimed'"),
            vec![claim.id.0.into(), claim.epoch.0.into(), millis(lease).into()],
        )
        .await?;
        if touched == 1 { Ok(()) } else { Err(Error::Fenced) }
    }
}
