//! A worker that is cut off at any moment of a firing, from its first await to its last: whoever takes the firing over ends it, and the credential was rotated
//! once.

mod throttled;

use std::{
    future::poll_fn,
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use claviger_backend::layers::{Guarded, LayerConfig};
use claviger_backend_simulated::{EstateFile, FaultPlan, SimulatedBackend, SimulatedConfig, estate};
use claviger_core::{
    audit::Verifier,
    clock::{Clock, SystemClock},
    fingerprint::FingerprintKey,
    firing::FiringState,
    id::Seq,
    random::{Random, SeededRandom},
    saga::{Cause, SagaKind},
    seal::SealingKey,
};
use claviger_engine::{
    Engine, Estate, Keys, Member, Ports,
    firing::Scheduler,
    plan::RotateOptions,
    policy::Policy,
    progress::{Progress, Silent},
    saga::RunOptions,
    scan::ScanOptions,
    selector::Selector,
    timing::Timing,
};
use claviger_store::{FiringEnd, SeaStore};
use claviger_testkit::database::{Kind, TestDatabase};
use futures::{StreamExt as _, stream};
use tempfile::TempDir;

pub(crate) const ROLE: &str = "payments_app";
/// Of the worker that is cut off: short, so that it is over soon.
const LEASE: Duration = Duration::from_millis(700);
const RUN: RunOptions = RunOptions {
    lease: Duration::from_millis(1500),
    patience: Duration::from_secs(20),
    linger: Duration::from_secs(60),
};

/// What may differ between two workers.
pub(crate) struct Setting {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) faults: Option<Arc<dyn FaultPlan>>,
    pub(crate) timing: Timing,
}

async fn scheduler(
    directory: &Path,
    database: &TestDatabase,
    owner: &str,
) -> Result<(Scheduler, Arc<SeaStore>)> {
    let setting = Setting { clock: Arc::new(SystemClock), faults: None, timing: Timing::default() };
    scheduler_in(directory, database, owner, setting).await
}

pub(crate) async fn scheduler_in(
    directory: &Path,
    database: &TestDatabase,
    owner: &str,
    setting: Setting,
) -> Result<(Scheduler, Arc<SeaStore>)> {
    let Setting { clock, faults, timing } = setting;
    // Each process has its own: two must not give the same ids.
    let seed = owner.bytes().map(u64::from).sum();
    let random: Arc<dyn Random> = Arc::new(SeededRandom::new(seed));
    let config = SimulatedConfig { path: directory.join("estate.json") };
    let mut backend = SimulatedBackend::open("sim", config, Arc::clone(&clock))?;
    if let Some(faults) = faults {
        backend = backend.with_faults(faults);
    }
    let store = Arc::new(database.open(Arc::clone(&clock), Arc::clone(&random)).await?);
    let mut estate = Estate::default();
    let guarded = Guarded::new(Arc::new(backend), LayerConfig::default());
    estate.add(Member { backend: Arc::new(guarded), labels: Default::default(), link_by_login: false });
    estate.policies.push(Policy {
        name: "old".to_owned(),
        selector: Selector::parse(&format!("sim/db/role/{ROLE}"))?,
        max_age: Some(TimeDelta::days(1)),
        strategy: None,
        approvals: 0,
        retain: false,
        re_revoke: false,
        password: None,
        grace: None,
        evidence: None,
        consumers_at_once: None,
        timing,
    });
    let ports = Ports {
        inventory: store.clone(),
        journal: store.clone(),
        audit: store.clone(),
        approvals: store.clone(),
        incidents: store.clone(),
        notifications: store.clone(),
    };
    let keys =
        Arc::new(Keys { fingerprint: FingerprintKey::new([1; 32]), sealing: SealingKey::new([2; 32]) });
    let engine = Engine { estate, ports, keys, clock, random, actor: "test".to_owned() };
    let firings = store.clone();
    let scheduler =
        Scheduler { engine: Arc::new(engine), firings, budgets: Vec::new(), owner: owner.to_owned() };
    Ok((scheduler, store))
}

/// Cuts a firing off after so many polls. Did it end before?
async fn cut(scheduler: &Scheduler, polls: usize) -> Result<bool> {
    let claims = scheduler.claim(LEASE, 8).await?;
    ensure!(claims.len() == 1, "{} claims", claims.len());
    let mut work = pin!(scheduler.fire(&claims[0], &RUN, &Silent));
    let mut left = polls;
    Ok(poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        work.as_mut().poll(context).map(|_| true)
    })
    .await)
}

/// One trial on copies of the estate and the database. Did the first worker end it?
async fn trial(template: &Path, database: &TestDatabase, polls: usize) -> Result<bool> {
    let directory = tempfile::tempdir()?;
    std::fs::copy(template.join("estate.json"), directory.path().join("estate.json"))?;
    let database = database.copy().await?;
    let (first, _) = scheduler(directory.path(), &database, "first").await?;
    let ended = cut(&first, polls).await?;
    drop(first);
    let (second, _) = scheduler(directory.path(), &database, "second").await?;
    let begun = std::time::Instant::now();
    while second.firings.firings(&[FiringState::Claimed], 9).await?.len() == 1 {
        ensure!(begun.elapsed() < Duration::from_secs(60), "nobody takes it over");
        for claim in second.claim(Duration::from_secs(30), 8).await? {
            let end = second.fire(&claim, &RUN, &Silent).await;
            ensure!(matches!(end, Some(FiringEnd::Done { .. } | FiringEnd::Superseded)), "{end:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let rotations = second.engine.ports.journal.list(SagaKind::Rotation, None).await?;
    ensure!(rotations.len() == 1, "{} rotations", rotations.len());
    ensure!(rotations[0].state == "done" && rotations[0].cause == Cause::Schedule, "{:?}", rotations[0]);
    ensure!(second.firings.firing_counts(second.engine.clock.now()).await?.startable == 0, "it is due again");
    let estate = EstateFile::new(directory.path().join("estate.json")).load()?;
    let role = &estate.database.roles[ROLE];
    let path = estate.secret_store.paths.get("payments/db").context("its copy")?;
    let held = &path.current().context("a version")?.fields["password"];
    let accepted = role.password.as_ref().is_some_and(|password| password.accepts(ROLE, held.expose()));
    ensure!(accepted, "the role does not accept what its copy holds");
    let audit = &second.engine.ports.audit;
    let (entries, mut verifier) = (audit.read(Seq(0), 100_000).await?, Verifier::default());
    entries.iter().for_each(|entry| verifier.push(Some(entry)));
    ensure!(verifier.finish(Some(audit.head().await?)).valid, "the log does not verify");
    Ok(ended)
}

/// An estate and a database in which one firing is planned and due.
async fn prepare() -> Result<(TempDir, TestDatabase)> {
    let template = tempfile::tempdir()?;
    let random = SeededRandom::new(7);
    EstateFile::new(template.path().join("estate.json")).create(&estate::demo(&random, SystemClock.now()))?;
    let clock = Arc::new(SystemClock);
    let made = TestDatabase::new(Kind::Sqlite, clock, Arc::new(SeededRandom::new(3))).await?;
    let database = made.context("a database")?;
    {
        let (planner, store) = scheduler(template.path(), &database, "planner").await?;
        planner.engine.scan(&ScanOptions::default(), &Silent).await?;
        let ahead = planner.plan_ahead().await?;
        ensure!(ahead.wanted == 1 && ahead.put == 1, "{ahead:?}");
        ensure!(planner.plan_ahead().await?.put == 0, "planning again changed something");
        // The copies are of the file: what is in the journal beside it has to be in it.
        store.close().await;
    }
    Ok((template, database))
}

/// Says that it is time to stop at the third boundary.
#[derive(Default)]
struct Soon(AtomicUsize);

impl Progress for Soon {
    fn should_stop(&self) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst) >= 2
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_is_told_to_stop_comes_to_a_boundary_and_goes_on_later() -> Result<()> {
    let (template, database) = prepare().await?;
    let (scheduler, _) = scheduler(template.path(), &database, "stops").await?;
    let claims = scheduler.claim(Duration::from_secs(30), 8).await?;
    let end = scheduler.fire(&claims[0], &RUN, &Soon::default()).await;
    let stopped = matches!(&end, Some(FiringEnd::Open { outcome, .. }) if outcome == "running");
    ensure!(stopped, "it did not stop: {end:?}");
    ensure!(scheduler.settle_open().await? == 0, "it is not over");
    let outcomes = scheduler.engine.resume(None, &RUN, &Silent).await?;
    let done = outcomes.into_iter().map(|one| Ok(one?.state)).collect::<Result<Vec<_>>>()?;
    ensure!(done == ["done"], "{done:?}");
    ensure!(scheduler.settle_open().await? == 1, "it is over");
    let over = scheduler.firings.firings(&[FiringState::Done], 9).await?;
    ensure!(over.len() == 1, "{over:?}");
    Ok(())
}

/// The worker died between the record of the rotation and the firing's note of it, and another one's recovery was faster than its lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_somebody_else_finished_is_told_by_its_firing() -> Result<()> {
    let (template, database) = prepare().await?;
    let (scheduler, _) = scheduler(template.path(), &database, "late").await?;
    let claims = scheduler.claim(Duration::from_secs(30), 8).await?;
    let engine = &scheduler.engine;
    let plan = engine.plan_rotation_of(claims[0].credential, &RotateOptions::default()).await?;
    let plan = plan.context("a plan")?.subjects.remove(0);
    let reason = format!("due since {}", claims[0].due_at.format("%Y-%m-%dT%H:%M:%SZ"));
    let id = engine.begin(plan, Cause::Schedule, Some(reason)).await?;
    ensure!(engine.drive(id, &RUN, &Silent).await?.state == "done");
    let end = scheduler.fire(&claims[0], &RUN, &Silent).await;
    ensure!(matches!(end, Some(FiringEnd::Done { saga }) if saga == id), "{end:?}");
    let over = scheduler.firings.firings(&[FiringState::Done], 9).await?;
    ensure!(over.len() == 1 && over[0].rotation_id == Some(id), "{over:?}");
    ensure!(engine.ports.journal.list(SagaKind::Rotation, None).await?.len() == 1, "it was rotated again");
    Ok(())
}

/// Holds its whole process up at the third boundary, as SIGSTOP does: for longer than the rotation's lease, and not than the firing's.
#[derive(Default)]
struct Freeze(AtomicUsize);

impl Progress for Freeze {
    fn should_stop(&self) -> bool {
        if self.0.fetch_add(1, Ordering::SeqCst) == 2 {
            std::thread::sleep(RUN.lease * 3);
        }
        false
    }
}

/// A worker thaws and has lost its rotation, which another one drove to its end meanwhile. The firing is still its own, and must not forget that rotation.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_was_frozen_leaves_the_firing_to_its_rotation() -> Result<()> {
    let (template, database) = prepare().await?;
    let (frozen, _) = scheduler(template.path(), &database, "frozen").await?;
    let (other, _) = scheduler(template.path(), &database, "other").await?;
    let claims = frozen.claim(Duration::from_secs(60), 8).await?;
    let freeze = Arc::new(Freeze::default());
    let fired = tokio::spawn({
        let (frozen, claim, freeze) = (frozen.clone(), claims[0].clone(), freeze.clone());
        async move { frozen.fire(&claim, &RUN, freeze.as_ref()).await }
    });
    while freeze.0.load(Ordering::SeqCst) < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let resumed = other.engine.resume(None, &RUN, &Silent).await?;
    let states = resumed.into_iter().map(|one| Ok(one?.state)).collect::<Result<Vec<_>>>()?;
    ensure!(states == ["done"], "{states:?}");
    let end = fired.await?;
    let rotations = other.engine.ports.journal.list(SagaKind::Rotation, None).await?;
    ensure!(rotations.len() == 1, "{} rotations", rotations.len());
    let of = rotations[0].rotation_id;
    ensure!(matches!(end, Some(FiringEnd::Done { saga }) if saga == of), "{end:?}");
    let over = other.firings.firings(&[FiringState::Done], 9).await?;
    ensure!(over.len() == 1 && over[0].rotation_id == Some(of), "{over:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_over_a_firing_ends_it_and_the_credential_is_rotated_once() -> Result<()> {
    let (template, database) = prepare().await?;
    // Close together where little happens between two awaits, further apart later.
    let moments = (1..24).chain((24..400).step_by(11));
    let (template, database) = (template.path(), &database);
    let answers: Vec<_> = stream::iter(moments)
        .map(|polls| async move { (polls, trial(template, database, polls).await) })
        .buffer_unordered(6)
        .collect()
        .await;
    let (mut whole, mut cut_off) = (0, 0);
    for (polls, answer) in answers {
        match answer.with_context(|| format!("cut off after {polls} polls"))? {
            true => whole += 1,
            false => cut_off += 1,
        }
    }
    println!("{cut_off} workers were cut off, {whole} came to the end before");
    ensure!(cut_off > 20, "too few were cut off: {cut_off}");
    Ok(())
}
