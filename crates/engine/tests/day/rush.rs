//! Very many credentials that are due in the same second. Four workers whose clocks differ ask all the time: no budget is exceeded, each is started once, and
//! none is left over.
//!
//! What is under way is counted here, by what was handed out and given back, and not asked of the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    clock::ManualClock,
    id::{CredentialId, FiringId, SagaId},
    random::SeededRandom,
    reference::Ref,
    schedule::{Budget, Urgency},
};
use claviger_store::{Claimed, FiringEnd, Firings as _, Replan, SeaStore, Wanted};
use claviger_testkit::database::{Kind, TestDatabase};
use uuid::Uuid;

const WORKERS: i64 = 4;
/// How far the last worker's clock is ahead of the first one's.
const SKEW: TimeDelta = TimeDelta::milliseconds(1500);
const BATCH: usize = 500;
const LEASE: Duration = Duration::from_secs(3600);
const DUE: &str = "2027-01-04T09:00:00Z";

/// How much there is, and what may be done of it. Two backends are bound by how many run at a time, two by how many start in a minute as well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) credentials: u32,
    pub(crate) at_a_time: usize,
    pub(crate) per_minute: u32,
}

/// What was handed out.
#[derive(Default)]
struct Ledger {
    started: BTreeSet<FiringId>,
    running: BTreeMap<String, usize>,
    most: BTreeMap<String, usize>,
    /// True seconds of starts, by backend.
    starts: BTreeMap<String, Vec<(i64, u32)>>,
}

impl Ledger {
    fn take(&mut self, second: i64, claims: &[Claimed], budgets: &[Budget]) -> Result<()> {
        for claim in claims {
            ensure!(self.started.insert(claim.id), "{} was started twice", claim.subject);
            let running = self.running.entry(claim.backend.clone()).or_default();
            *running += 1;
            let most = self.most.entry(claim.backend.clone()).or_default();
            *most = (*most).max(*running);
            let starts = self.starts.entry(claim.backend.clone()).or_default();
            match starts.last_mut() {
                Some((at, count)) if *at == second => *count += 1,
                _ => starts.push((second, 1)),
            }
        }
        for budget in budgets {
            let running = self.running.get(&budget.backend).copied().unwrap_or(0);
            ensure!(running <= budget.concurrency, "{running} under way of {budget:?}");
        }
        Ok(())
    }

    fn give_back(&mut self, claims: &[Claimed]) {
        for claim in claims {
            if let Some(running) = self.running.get_mut(&claim.backend) {
                *running -= 1;
            }
        }
    }

    /// The most starts that any minute has, wherever it begins.
    fn busiest_minute(&self, backend: &str) -> u32 {
        let starts = self.starts.get(backend).map_or(&[][..], Vec::as_slice);
        let minute = |first: i64| {
            starts.iter().filter(|(at, _)| (first..first + 60).contains(at)).map(|(_, count)| count).sum()
        };
        starts.iter().map(|(first, _)| minute(*first)).max().unwrap_or(0)
    }
}

fn due() -> Result<DateTime<Utc>> {
    Ok(DUE.parse()?)
}

async fn plan(store: &SeaStore, size: Size) -> Result<()> {
    let due = due()?;
    for first in (0..size.credentials).step_by(10_000) {
        let piece: Vec<_> = (first..(first + 10_000).min(size.credentials))
            .map(|number| {
                let id = CredentialId(Uuid::from_u128(u128::from(number) + 1));
                // Within the one second.
                let at = due + TimeDelta::microseconds(i64::from(number % 1_000_000));
                Replan::Put(Wanted {
                    urgency: Urgency::Usual,
                    credential: id,
                    due_at: at,
                    subject: Ref::from_text(format!("b{}/role/{number}", number % 4)),
                    backend: format!("b{}", number % 4),
                    policy: "all".to_owned(),
                    holds: vec![format!("credential {id}")],
                    starts_at: at,
                    pause: None,
                })
            })
            .collect();
        store.replan(due - TimeDelta::hours(1), &piece).await?;
    }
    Ok(())
}

/// Gives what can be told of it.
pub(crate) async fn rush(kind: Kind, size: Size) -> Result<Option<String>> {
    let begun = Instant::now();
    let (clock, random) = (Arc::new(ManualClock::new(due()?)), Arc::new(SeededRandom::new(5)));
    let Some(database) = TestDatabase::new(kind, clock.clone(), random.clone()).await? else {
        return Ok(None);
    };
    let store = database.open(clock, random).await?;
    plan(&store, size).await?;
    let planned = begun.elapsed();
    let budgets: Arc<[Budget]> = (0..4)
        .map(|number| Budget {
            backend: format!("b{number}"),
            concurrency: size.at_a_time,
            per_minute: (number >= 2).then_some(size.per_minute),
        })
        .collect();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let early = store.claim(due()? - TimeDelta::seconds(1), "early", LEASE, &budgets, BATCH).await?;
    ensure!(early.is_empty(), "{} were taken before they were due", early.len());

    let mut running: Vec<Vec<(i64, Claimed)>> = vec![Vec::new(); usize::try_from(WORKERS)?];
    let mut second = 1;
    let mut over = 0;
    while over < usize::try_from(size.credentials)? {
        let mut workers = tokio::task::JoinSet::new();
        for (number, mine) in (0..WORKERS).zip(running.drain(..)) {
            let (store, budgets, ledger) = (store.clone(), budgets.clone(), ledger.clone());
            workers.spawn(work(store, budgets, ledger, number, second, mine));
        }
        while let Some(worker) = workers.join_next().await {
            let (mine, ended) = worker??;
            over += ended;
            running.push(mine);
        }
        second += 1;
        ensure!(second < 1_000_000, "it never ends: {over} of {size:?}");
    }
    verdict(&store, &ledger, size).await.map(|told| {
        Some(format!(
            "{kind:?}: {} due in one second, planned in {:.1} s; {told}; over after {second} s of theirs and {:.1} s of ours",
            size.credentials,
            planned.as_secs_f64(),
            begun.elapsed().as_secs_f64()
        ))
    })
}

/// One worker's second: it gives back what is over, and takes what it gets. Gives what it has, and how many ended.
async fn work(
    store: SeaStore,
    budgets: Arc<[Budget]>,
    ledger: Arc<Mutex<Ledger>>,
    number: i64,
    second: i64,
    mine: Vec<(i64, Claimed)>,
) -> Result<(Vec<(i64, Claimed)>, usize)> {
    let wall =
        due()? + TimeDelta::seconds(second) + SKEW * i32::try_from(number)? / i32::try_from(WORKERS - 1)?;
    let (over, mut mine): (Vec<_>, Vec<_>) = mine.into_iter().partition(|(until, _)| *until <= second);
    let over: Vec<_> = over.into_iter().map(|(_, claim)| claim).collect();
    // Given back here first: between the two it is under way nowhere, and the count here is never above the truth.
    ledger.lock().expect("no worker panics with it").give_back(&over);
    let ended = over.len();
    let saga = SagaId(Uuid::nil());
    let ends: Vec<_> = over.into_iter().map(|claim| (claim, FiringEnd::Done { saga })).collect();
    if !ends.is_empty() {
        ensure!(store.settle(wall, &ends).await?.iter().all(|ours| *ours), "a firing was somebody else's");
    }
    loop {
        let claims = store.claim(wall, &format!("w{number}"), LEASE, &budgets, BATCH).await?;
        ledger.lock().expect("no worker panics with it").take(second, &claims, &budgets)?;
        if claims.is_empty() {
            return Ok((mine, ended));
        }
        mine.extend(claims.into_iter().map(|claim| {
            let takes = 1 + i64::try_from(claim.credential.0.as_u128() % 3).unwrap_or(0);
            (second + takes, claim)
        }));
    }
}

async fn verdict(store: &SeaStore, ledger: &Mutex<Ledger>, size: Size) -> Result<String> {
    let left = store.planned().await?.len();
    let ledger = ledger.lock().expect("no worker panics with it");
    ensure!(ledger.started.len() == usize::try_from(size.credentials)?, "{} started", ledger.started.len());
    ensure!(left == 0, "{left} are planned still");
    let mut told = Vec::new();
    for number in 0..4 {
        let backend = format!("b{number}");
        let most = ledger.most.get(&backend).copied().context("each backend had its turn")?;
        let minute = ledger.busiest_minute(&backend);
        if number >= 2 {
            // A minute by four clocks is longer than a minute by what they differ.
            let slack = f64::from(size.per_minute) * SKEW.as_seconds_f64() / 60.0 + 1.0;
            let bound = f64::from(size.per_minute) + slack;
            ensure!(f64::from(minute) <= bound, "{minute} of {backend} started within a minute, {bound} may");
        }
        told.push(format!("{backend} {most} at a time, {minute} in its busiest minute"));
    }
    Ok(told.join(", "))
}
