//! A target that has no room: what was begun there is put off for as long as it asks, and neither taken back nor asked again meanwhile.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend_simulated::{EstateFile, Fault, FaultPlan, estate};
use claviger_core::{
    clock::{Clock, ManualClock, SystemClock},
    random::SeededRandom,
    reference::Ref,
    saga::Cause,
    schedule::{Window, zone},
};
use claviger_engine::{
    firing::Scheduler,
    plan::RotateOptions,
    progress::Silent,
    saga::{RunOptions, SagaOutcome},
    scan::ScanOptions,
    selector::Selector,
    timing::Timing,
};
use claviger_store::FiringEnd;
use claviger_testkit::database::{Kind, TestDatabase};
use tempfile::TempDir;

use crate::{ROLE, Setting, scheduler_in};

/// Where a token is kept that is followed by another one.
const TOKEN: &str = "sim/k8s/ci/Secret/terraform#VAULT_TOKEN";

/// What a target asks for that does not say how long.
const REST: TimeDelta = TimeDelta::seconds(30);
/// Nothing is sat out: what waits is left to be taken up.
const RUN: RunOptions = RunOptions {
    lease: Duration::from_secs(30),
    patience: Duration::from_secs(20),
    linger: Duration::from_secs(1),
};

/// Has no room for one operation, while it is closed; and refuses another for good.
#[derive(Default)]
struct Door {
    operation: &'static str,
    denied: &'static str,
    closed: AtomicBool,
    /// Calls that found it closed.
    met: AtomicUsize,
    /// It opens after so many of them. 0: when it is told to.
    opens_after: usize,
}

impl FaultPlan for Door {
    fn before(&self, _: u64, operation: &'static str, _: &Ref) -> Fault {
        if operation == self.denied {
            return Fault::Deny;
        }
        if operation != self.operation || !self.closed.load(Ordering::SeqCst) {
            return Fault::None;
        }
        let met = self.met.fetch_add(1, Ordering::SeqCst) + 1;
        if met == self.opens_after {
            self.closed.store(false, Ordering::SeqCst);
        }
        Fault::Throttle
    }
}

/// One firing that is due, on an estate behind a door.
struct Bench {
    directory: TempDir,
    scheduler: Scheduler,
    clock: Arc<ManualClock>,
    door: Arc<Door>,
    _database: TestDatabase,
}

impl Bench {
    async fn new(door: Door, start: DateTime<Utc>, window: Option<Window>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let random = SeededRandom::new(7);
        EstateFile::new(directory.path().join("estate.json")).create(&estate::demo(&random, start))?;
        let clock = Arc::new(ManualClock::new(start));
        let made =
            TestDatabase::new(Kind::Sqlite, Arc::new(SystemClock), Arc::new(SeededRandom::new(3))).await?;
        let database = made.context("a database")?;
        door.closed.store(true, Ordering::SeqCst);
        let door = Arc::new(door);
        let setting = Setting {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            faults: Some(Arc::clone(&door) as Arc<dyn FaultPlan>),
            timing: Timing { window, ..Timing::default() },
        };
        let (scheduler, _) = scheduler_in(directory.path(), &database, "worker", setting).await?;
        scheduler.engine.scan(&ScanOptions::default(), &Silent).await?;
        ensure!(scheduler.plan_ahead().await?.wanted == 1, "nothing is wanted");
        Ok(Self { directory, scheduler, clock, door, _database: database })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Fires what is due.
    async fn fire(&self) -> Result<FiringEnd> {
        let claims = self.scheduler.claim(Duration::from_secs(60), 8).await?;
        ensure!(claims.len() == 1, "{} claims", claims.len());
        self.scheduler.fire(&claims[0], &RUN, &Silent).await.context("it is somebody else's")
    }

    /// Takes up what is unfinished: the one saga.
    async fn resume(&self) -> Result<SagaOutcome> {
        let mut outcomes = self.scheduler.engine.resume(None, &RUN, &Silent).await?;
        ensure!(outcomes.len() == 1, "{} sagas", outcomes.len());
        Ok(outcomes.remove(0)?)
    }

    /// The role accepts what its copy holds.
    fn agrees(&self) -> Result<()> {
        let estate = EstateFile::new(self.path().join("estate.json")).load()?;
        let path = estate.secret_store.paths.get("payments/db").context("its copy")?;
        let held = &path.current().context("a version")?.fields["password"];
        let password = estate.database.roles[ROLE].password.as_ref();
        let accepted = password.is_some_and(|password| password.accepts(ROLE, held.expose()));
        ensure!(accepted, "the role does not accept what its copy holds");
        Ok(())
    }

    fn met(&self) -> usize {
        self.door.met.load(Ordering::SeqCst)
    }
}

fn noon() -> Result<DateTime<Utc>> {
    Ok("2026-06-01T12:00:00Z".parse()?)
}

/// Before the pivot and at it: it waits, asks nothing meanwhile, and goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_waits_for_a_target_without_room_and_takes_nothing_back() -> Result<()> {
    for operation in ["write", "issue"] {
        let bench = Bench::new(Door { operation, ..Door::default() }, noon()?, None).await?;
        let end = bench.fire().await?;
        let waits = matches!(&end, FiringEnd::Open { outcome, .. } if outcome == "waiting");
        ensure!(waits, "{operation}: {end:?}");
        let met = bench.met();
        ensure!((1..=4).contains(&met), "{operation}: asked {met} times at first");
        // Taken up too early it says why it waits, and does nothing.
        let still = bench.resume().await?;
        ensure!(still.state == "waiting" && bench.met() == met, "{operation}: {still:?}");
        let why = still.reason.unwrap_or_default();
        ensure!(why.contains("too many requests") && why.contains("left alone until"), "{operation}: {why}");
        ensure!(still.wakes_at == Some(noon()? + REST), "{operation}: {:?}", still.wakes_at);
        // More often than a passing fault is borne, with the target closed all the time.
        for turn in 1..=6 {
            bench.clock.advance(REST);
            let again = bench.resume().await?;
            ensure!(again.state == "waiting" && bench.met() > met, "{operation}, {turn}: {again:?}");
        }
        bench.door.closed.store(false, Ordering::SeqCst);
        bench.clock.advance(REST);
        let done = bench.resume().await?;
        ensure!(done.state == "done", "{operation}: {done:?}");
        bench.agrees().with_context(|| operation)?;
        ensure!(bench.scheduler.settle_open().await? == 1, "{operation}: the firing is over");
    }
    Ok(())
}

/// What is taken back meets the closed door too: it is waited for, and nobody has to come.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_taken_back_waits_too_and_is_not_stuck() -> Result<()> {
    // A token was made when its copy refuses it; then there is no room for taking it away, longer than a passing fault is borne.
    let door = Door { operation: "revoke", denied: "write", opens_after: 30, ..Door::default() };
    let bench = Bench::new(door, noon()?, None).await?;
    let engine = &bench.scheduler.engine;
    let mut subject = None;
    for token in engine.select(&Selector::parse("kind=token")?).await? {
        let detail = engine.ports.inventory.credential(noon()?, token.id).await?;
        if detail.is_some_and(|detail| detail.copies.iter().any(|copy| copy.at.as_str() == TOKEN)) {
            subject = Some(token.id);
        }
    }
    let planned = engine.plan_rotation_of(subject.context("the token")?, &RotateOptions::default()).await?;
    let id = engine.begin(planned.context("a plan")?.subjects.remove(0), Cause::Manual, None).await?;
    let tokens = || -> Result<usize> {
        Ok(EstateFile::new(bench.path().join("estate.json")).load()?.secret_store.tokens.len())
    };
    let before = tokens()?;
    let clock = Arc::clone(&bench.clock);
    let ticking = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            clock.advance(TimeDelta::seconds(10));
        }
    });
    let outcome = engine.drive(id, &RUN, &Silent).await?;
    ticking.abort();
    ensure!(outcome.state == "unwound", "{outcome:?}");
    ensure!(bench.met() == 30 && tokens()? == before, "what was made is there: {} calls", bench.met());
    Ok(())
}

/// It is not waited for for ever: a day in one step, then it has failed as any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_day_it_has_failed() -> Result<()> {
    let bench = Bench::new(Door { operation: "issue", ..Door::default() }, noon()?, None).await?;
    bench.fire().await?;
    bench.clock.advance(TimeDelta::hours(23));
    let waits = bench.resume().await?;
    ensure!(waits.state == "waiting", "{waits:?}");
    bench.clock.advance(TimeDelta::hours(2));
    let over = bench.resume().await?;
    ensure!(over.state == "unwound", "{over:?}");
    ensure!(over.reason.unwrap_or_default().contains("a day already"), "why");
    bench.agrees()
}

/// A rotation that was begun in its window does not go on after it because somebody had no room: it is due again in the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_closes_before_ends_the_wait() -> Result<()> {
    let window = Window::parse("11:00-12:00", zone("UTC")?)?;
    let start = noon()? - TimeDelta::seconds(20);
    let bench = Bench::new(Door { operation: "issue", ..Door::default() }, start, Some(window)).await?;
    let end = bench.fire().await?;
    let FiringEnd::Again { outcome, detail, .. } = &end else { anyhow::bail!("{end:?}") };
    ensure!(outcome == "unwound", "{end:?}");
    ensure!(detail.as_deref().unwrap_or_default().contains("11:00-12:00"), "{detail:?}");
    bench.agrees()?;

    // By hand at any hour: no window binds it.
    let start = noon()? + TimeDelta::hours(3);
    let bench = Bench::new(Door { operation: "issue", ..Door::default() }, start, Some(window)).await?;
    let engine = &bench.scheduler.engine;
    let selector = Selector::parse(&format!("sim/db/role/{ROLE}"))?;
    let mut plan = engine.plan_rotation(&selector, &RotateOptions::default()).await?;
    let id = engine.begin(plan.subjects.remove(0), Cause::Manual, None).await?;
    let outcome = engine.drive(id, &RUN, &Silent).await?;
    ensure!(outcome.state == "waiting", "{outcome:?}");
    Ok(())
}
