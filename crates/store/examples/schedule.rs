//! How fast schedules are: `cargo run --release -p claviger-store --example schedule -- [SCHEDULES] [DATABASE-URL]`.
//!
//! Plans SCHEDULES firings (1,000,000 without an argument) of which a hundredth is due, asks for what is due while nothing is and while that hundredth is, and
//! claims it in batches with one worker and with four. A tenth is exposed, so that its rank comes a week before its start. Then all that is left is made due in one
//! second, and four workers take of it within budgets for three simulated minutes, which none of them may exceed. Prints `name value unit`. The database must be new; without an address it is a PostgreSQL that is
//! started for this and ended.

use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    id::CredentialId,
    random::OsRandom,
    reference::Ref,
    schedule::{Budget, Urgency},
};
use claviger_store::{Claimed, FiringEnd, Firings as _, Replan, SeaStore, Wanted};
use claviger_testkit::database::{Kind, TestDatabase};
use sea_orm::{ConnectionTrait as _, DbBackend, FromQueryResult, Statement};
use uuid::Uuid;

const BATCH: usize = 200;
const LEASE: Duration = Duration::from_secs(600);
const ASKED: usize = 200;

fn wanted(number: u64, due: u64, now: DateTime<Utc>) -> Replan {
    // Spread over ten weeks to come; the first ones are due.
    let minutes = if number < due { -1 } else { 10 + i64::try_from(number % 100_000).unwrap_or(0) };
    let due_at = now + TimeDelta::minutes(minutes);
    let id = CredentialId(Uuid::from_u128(
        u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834),
    ));
    Replan::Put(Wanted {
        urgency: if number % 10 == 3 { Urgency::High } else { Urgency::Usual },
        credential: id,
        due_at,
        subject: Ref::from_text(format!("b{}/role/app_{number}", number % 4)),
        backend: format!("b{}", number % 4),
        policy: "databases".to_owned(),
        holds: vec![format!("consumer k/ns/Deployment/web-{number}"), format!("credential {id}")],
        starts_at: due_at,
        pause: None,
    })
}

fn budgets() -> Vec<Budget> {
    (0..4)
        .map(|number| Budget { backend: format!("b{number}"), concurrency: 1_000_000, per_minute: None })
        .collect()
}

fn say(name: &str, value: f64, unit: &str) {
    let _ = writeln!(std::io::stdout(), "{name} {value:.2} {unit}");
}

fn per_second(count: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / took.as_secs_f64()
}

/// Claims in batches until nothing is left. Gives what it had, and the time that it took to claim it.
async fn work(
    store: SeaStore,
    owner: String,
    now: DateTime<Utc>,
    settle: bool,
) -> Result<(Vec<Claimed>, Duration)> {
    let (mut all, mut claiming) = (Vec::new(), Duration::ZERO);
    loop {
        let begun = Instant::now();
        let taken = store.claim(now, &owner, LEASE, &budgets(), BATCH).await?;
        claiming += begun.elapsed();
        if taken.is_empty() {
            return Ok((all, claiming));
        }
        if settle {
            let saga = claviger_core::id::SagaId(Uuid::nil());
            let ends: Vec<_> = taken.iter().map(|claim| (claim.clone(), FiringEnd::Done { saga })).collect();
            store.settle(now, &ends).await?;
        }
        all.extend(taken);
    }
}

/// The median and the worst of some questions, in milliseconds.
async fn asked(store: &SeaStore, now: DateTime<Utc>, most: usize) -> Result<(f64, f64)> {
    let mut took = Vec::new();
    for _ in 0..ASKED {
        let begun = Instant::now();
        let found = store.claim(now, "asks", Duration::ZERO, &budgets(), most).await?;
        took.push(begun.elapsed().as_secs_f64() * 1000.0);
        let ends: Vec<_> =
            found.into_iter().map(|claim| (claim, FiringEnd::Later { at: now, pause: None })).collect();
        store.settle(now, &ends).await?;
    }
    took.sort_by(f64::total_cmp);
    Ok((took[took.len() / 2], took[took.len() - 1]))
}

/// Firings of a backend at a time, and in a minute.
const AT_ONCE: usize = 32;
const PER_MINUTE: u32 = 600;

#[derive(FromQueryResult)]
struct Counted {
    n: i64,
}

/// Makes all that is planned due in one second, and takes of it.
async fn rush<F: Future<Output = claviger_store::Result<SeaStore>>>(
    store: &SeaStore,
    url: &str,
    now: DateTime<Utc>,
    connect: impl Fn() -> F,
) -> Result<()> {
    let raw = sea_orm::Database::connect(url).await?;
    let count = async |query: String| -> Result<Vec<Counted>> {
        let rows = raw.query_all_raw(Statement::from_string(DbBackend::Postgres, query)).await?;
        Ok(rows.iter().map(|row| Counted::from_query_result(row, "")).collect::<Result<_, _>>()?)
    };
    let second = now.timestamp() * 1_000_000;
    raw.execute_unprepared("update firing set state = 'done' where state = 'claimed'").await?;
    let due = format!("update firing set starts_at = {second}, rank = {second} where state = 'planned'");
    let due = raw.execute_unprepared(&due).await?.rows_affected();
    say("due_in_one_second", per_second(usize::try_from(due)?, Duration::from_secs(1)), "firings");
    let budgets: Vec<Budget> = budgets()
        .into_iter()
        .map(|budget| Budget { concurrency: AT_ONCE, per_minute: Some(PER_MINUTE), ..budget })
        .collect();
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(connect().await?);
    }
    let (mut starts, mut most, mut took) = (Vec::<(i64, String)>::new(), 0, Vec::new());
    for at in 0..180 {
        let moment = now + TimeDelta::seconds(at);
        let mut claims = tokio::task::JoinSet::new();
        for (number, worker) in workers.iter().cloned().enumerate() {
            let budgets = budgets.clone();
            claims.spawn(async move {
                let begun = Instant::now();
                let taken = worker.claim(moment, &format!("r{number}"), LEASE, &budgets, BATCH).await;
                (taken, begun.elapsed())
            });
        }
        let mut all = Vec::new();
        while let Some(claimed) = claims.join_next().await {
            let (taken, lasted) = claimed?;
            took.push(lasted.as_secs_f64() * 1000.0);
            all.extend(taken?);
        }
        let under_way = "select count(*) as n from firing where state = 'claimed' group by backend";
        most = count(under_way.to_owned()).await?.iter().map(|one| one.n).fold(most, i64::max);
        starts.extend(all.iter().map(|claim| (at, claim.backend.clone())));
        let saga = claviger_core::id::SagaId(Uuid::nil());
        let ends: Vec<_> = all.into_iter().map(|claim| (claim, FiringEnd::Done { saga })).collect();
        store.settle(moment, &ends).await?;
    }
    ensure!(most <= i64::try_from(AT_ONCE)?, "{most} of one backend at a time");
    let mut fullest = 0;
    for backend in budgets.iter().map(|budget| budget.backend.as_str()) {
        for first in 0..180 {
            let within = |(at, of): &&(i64, String)| of == backend && (first..first + 60).contains(at);
            fullest = fullest.max(starts.iter().filter(within).count());
        }
    }
    ensure!(fullest <= usize::try_from(PER_MINUTE)?, "{fullest} of one backend within a minute");
    ensure!(starts.len() > 4 * usize::try_from(PER_MINUTE)?, "only {} were taken", starts.len());
    took.sort_by(f64::total_cmp);
    say("rush_claim", took[took.len() / 2], "ms");
    say("rush_most_at_a_time", per_second(usize::try_from(most)?, Duration::from_secs(1)), "firings");
    say("rush_most_in_a_minute", per_second(fullest, Duration::from_secs(1)), "firings");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse()).context("a number")?;
    let (clock, random) = (Arc::new(SystemClock), Arc::new(OsRandom));
    let started;
    let url = match arguments.next() {
        Some(url) => url,
        None => {
            started = TestDatabase::new(Kind::Postgres, clock.clone(), random.clone()).await?;
            started.as_ref().context("no PostgreSQL is installed")?.url().to_owned()
        }
    };
    let connect = || SeaStore::connect(&url, None, clock.clone(), random.clone());
    let store = connect().await?;
    store.migrate().await?;
    for (name, value) in store.settings().await? {
        let _ = writeln!(std::io::stdout(), "# {name} = {value}");
    }
    let (now, due) = (SystemClock.now(), count / 100);

    let begun = Instant::now();
    for first in (0..count).step_by(10_000) {
        let piece: Vec<_> =
            (first..(first + 10_000).min(count)).map(|number| wanted(number, due, now)).collect();
        store.replan(now, &piece).await?;
    }
    say("plan", per_second(usize::try_from(count)?, begun.elapsed()), "schedules/s");

    let early = now - TimeDelta::days(1);
    let (median, worst) = asked(&store, early, 1).await?;
    say("due_query_nothing_due", median, "ms");
    say("due_query_nothing_due_worst", worst, "ms");
    let (median, worst) = asked(&store, now, 1).await?;
    say("due_query_and_claim_of_one", median, "ms");
    say("due_query_and_claim_of_one_worst", worst, "ms");

    let begun = Instant::now();
    let (alone, claiming) = work(store.clone(), "alone".to_owned(), now, true).await?;
    ensure!(u64::try_from(alone.len())? == due, "{} of {due}", alone.len());
    say("claims_one_worker", per_second(alone.len(), claiming), "claims/s");
    say("claims_and_settlements_one_worker", per_second(alone.len(), begun.elapsed()), "firings/s");

    let later = now + TimeDelta::minutes(10 + 2 * i64::try_from(due)?.min(50_000));
    let begun = Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..4 {
        workers.spawn(work(
            connect().await?,
            format!("w{number}"),
            later.min(now + TimeDelta::minutes(2_000)),
            false,
        ));
    }
    let mut all = Vec::new();
    while let Some(worker) = workers.join_next().await {
        all.extend(worker??.0.into_iter().map(|claim| claim.id));
    }
    let took = begun.elapsed();
    let claimed = all.len();
    all.sort_unstable();
    all.dedup();
    ensure!(all.len() == claimed, "{} were claimed twice", claimed - all.len());
    say("claims_four_workers", per_second(claimed, took), "claims/s");
    rush(&store, &url, later, connect).await?;
    Ok(())
}
