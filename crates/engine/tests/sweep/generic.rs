//! What holds of every saga, whatever its steps are: each step may be taken twice, may fail, and may be undone twice. A new saga is one line.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, ensure};
use claviger_backend_simulated::{Fault, FaultPlan, fault::NoFaults};
use claviger_core::{
    reference::Ref,
    saga::{Action, Event, SagaKind, SagaPlan, Step, StepPhase},
};
use claviger_engine::saga::SagaOutcome;
use claviger_store::Journal as _;
use claviger_testkit::database::{Kind, TestDatabase};
use futures::{StreamExt as _, stream};
use tempfile::TempDir;

use crate::{
    invariants,
    journal::{CommitFault, Watch},
    world::{Case, Ended, Process, RUN, Saga, Stopped, Trial, World, copy, open, open_with},
};

/// Every saga.
const SAGAS: &[Case] = &[
    Saga::Rotation.shown(),
    Saga::Rotation.posted(),
    Saga::Dual.shown(),
    Saga::Told.shown(),
    Saga::Told.posted(),
    Saga::DeployKey.shown(),
    Saga::Asked.shown(),
    Saga::Minted.shown(),
    Saga::Named.shown(),
    Saga::Alternating.shown(),
    Saga::CopyOnly.shown(),
    Saga::Reissue.shown(),
    Saga::Root.shown(),
    Saga::RootCopied.shown(),
    Saga::Revocation.shown(),
    Saga::Swap.shown(),
    Saga::SwapRole.shown(),
    Saga::SwapSeen.shown(),
    Saga::Ending(Ended::Role).shown(),
    Saga::Ending(Ended::Key).shown(),
    Saga::Ending(Ended::Value).shown(),
    Saga::Ending(Ended::Account).shown(),
    Saga::Ending(Ended::Certificate).shown(),
    Saga::Ending(Ended::Pod).shown(),
    Saga::Ending(Ended::Entity).shown(),
    Saga::Rollback(Stopped::Rotation).shown(),
    Saga::Rollback(Stopped::Rotation).posted(),
    Saga::Rollback(Stopped::Dual).shown(),
    Saga::Rollback(Stopped::Told).shown(),
    Saga::Rollback(Stopped::DeployKey).shown(),
    Saga::Rollback(Stopped::Minted).shown(),
    Saga::Rollback(Stopped::Named).shown(),
    Saga::Rollback(Stopped::Alternating).shown(),
    Saga::Rollback(Stopped::CopyOnly).shown(),
    Saga::Rollback(Stopped::Reissue).shown(),
];

/// More processes than any saga has steps.
const PROCESSES: usize = 80;

/// The database goes away at the first outcome of each step, after the step was taken: it is found unfinished and looked at again.
#[derive(Default)]
struct Twice(Mutex<BTreeSet<String>>);

impl Watch for Twice {
    fn before(&self, event: &Event) -> Option<CommitFault> {
        let Event::Succeeded { step, .. } = event else { return None };
        held(&self.0).insert(step.clone()).then_some(CommitFault::ErrorBefore)
    }
}

/// All permissions are gone while one step runs, those to look too; and where `twice`, the database goes away at the first outcome of each
/// undo.
struct Failing {
    step: String,
    twice: bool,
    on: AtomicBool,
    undone: Mutex<BTreeSet<String>>,
}

impl Failing {
    fn at(step: &str, twice: bool) -> Arc<Self> {
        Arc::new(Self { step: step.to_owned(), twice, on: AtomicBool::new(false), undone: Mutex::default() })
    }
}

impl Watch for Failing {
    fn before(&self, event: &Event) -> Option<CommitFault> {
        match event {
            Event::Started { step, .. } => self.on.store(*step == self.step, Ordering::SeqCst),
            Event::UndoFinished { step } if self.twice => {
                return held(&self.undone).insert(step.clone()).then_some(CommitFault::ErrorBefore);
            }
            _ => self.on.store(false, Ordering::SeqCst),
        }
        None
    }
}

impl FaultPlan for Failing {
    fn before(&self, _: u64, _: &'static str, _: &Ref) -> Fault {
        if self.on.load(Ordering::SeqCst) { Fault::Deny } else { Fault::None }
    }

    fn refuses(&self, _: &'static str) -> bool {
        self.on.load(Ordering::SeqCst)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One copy of a world.
struct Place {
    dir: TempDir,
    database: TestDatabase,
}

impl Place {
    async fn of(world: &World) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        copy(world.template.path(), dir.path())?;
        Ok(Self { dir, database: world.database.copy().await? })
    }

    /// Runs to the end, by as many processes as it takes. Gives the last one and what it came to.
    async fn run(
        &self,
        world: &World,
        faults: Arc<dyn FaultPlan>,
        watch: Arc<dyn Watch>,
    ) -> Result<(Process, SagaOutcome)> {
        let mut begun = false;
        for _ in 0..PROCESSES {
            let (faults, watch) = (Arc::clone(&faults), Arc::clone(&watch));
            let process = open_with(self.dir.path(), &self.database, faults, None, Some(watch)).await?;
            let outcome = if begun {
                // A rollback is found by its own row: that of the rotation is at rest.
                process
                    .engine
                    .resume(None, &RUN, &claviger_engine::progress::Silent)
                    .await
                    .map(|answers| answers.into_iter().next().transpose())
            } else {
                world.attempt(&process).await.context("it did not die")?.map(|outcome| Ok(Some(outcome)))
            };
            begun = true;
            match outcome {
                Ok(Ok(Some(outcome))) => return Ok((process, outcome)),
                Ok(Ok(None)) => anyhow::bail!("there is nothing to resume"),
                Ok(Err(_)) | Err(_) => process.store().close().await,
            }
        }
        anyhow::bail!("{PROCESSES} processes did not bring it to its end")
    }

    /// The plan of the saga that was run.
    async fn plan(&self, process: &Process, outcome: &SagaOutcome) -> Result<SagaPlan> {
        Ok(process.store().load(outcome.rotation_id).await?.context("the saga")?.plan)
    }
}

/// Gives how many steps were taken again.
async fn each_step_twice(world: &World) -> Result<usize> {
    let place = Place::of(world).await?;
    let watch = Arc::new(Twice::default());
    let (process, outcome) = place.run(world, Arc::new(NoFaults), watch.clone()).await?;
    ensure!(outcome.state == "done", "{}: {:?}", outcome.state, outcome.reason);
    let plan = place.plan(&process, &outcome).await?;
    let steps: BTreeSet<_> = plan.steps.iter().map(|step| step.id.clone()).collect();
    // What was looked at when it was taken up, and had happened, has no outcome of its own.
    let taken = held(&watch.0).clone();
    ensure!(taken == steps, "not taken twice: {:?}", steps.difference(&taken).collect::<Vec<_>>());
    world.at_rest(&process, &place.database, place.dir.path(), true).await?;
    process.store().close().await;
    place.database.remove().await?;
    Ok(steps.len())
}

/// Gives the state's word: of a step that talks to nobody it is `done`.
async fn fails_at(world: &World, plan: &SagaPlan, index: usize) -> Result<String> {
    let place = Place::of(world).await?;
    let step = &plan.steps[index];
    let fault = Failing::at(&step.id, false);
    let (process, outcome) = place.run(world, fault.clone(), fault).await?;
    world.nothing_lost(&process, place.dir.path()).await?;
    // Whether somebody still uses it, or has moved, is a question for a person, on whichever side of the pivot.
    let asks = matches!(step.action, Action::AwaitQuiet(_) | Action::AwaitUnread(_) | Action::AwaitEntry(_))
        || owner_moved(&plan.steps[..index]);
    let forward = matches!(world.saga(), Saga::Rollback(_)) || step.phase == StepPhase::AfterPivot || asks;
    match outcome.state.as_str() {
        "done" => ensure!(
            !step.action.has_effect() || is_dispensable(plan, step),
            "`{}` has an effect and did not fail",
            step.id
        ),
        "unwound" => {
            ensure!(!forward, "`{}` lies behind the pivot and was unwound", step.id);
            world.as_before(&process, place.dir.path()).await?;
        }
        "paused" => {
            ensure!(forward, "`{}` lies before the pivot and does not unwind: {:?}", step.id, outcome.reason);
            process.store().close().await;
            let later = open(place.dir.path(), &place.database, Trial::default()).await?;
            let resumed = later.resume(Some(outcome.rotation_id), &RUN).await?;
            ensure!(resumed[0].state == "done", "after the pause: {:?}", resumed[0].reason);
            world.at_rest(&later, &place.database, place.dir.path(), true).await?;
            later.store().close().await;
        }
        other => anyhow::bail!("`{}`: {other}: {:?}", step.id, outcome.reason),
    }
    process.store().close().await;
    place.database.remove().await?;
    Ok(outcome.state)
}

/// What was made for a workload that only its owner can move is not taken away once it has moved.
fn owner_moved(before: &[Step]) -> bool {
    let has = |is: fn(&Action) -> bool| before.iter().any(|step| is(&step.action));
    has(|it| matches!(it, Action::CompareRights(_))) && has(|it| matches!(it, Action::AwaitUnread(_)))
}

/// A revocation that may not suspend first ends it at once: the suspension alone may fail.
fn is_dispensable(plan: &SagaPlan, step: &Step) -> bool {
    plan.kind == SagaKind::Revocation && step.action == Action::Disable
}

/// Gives how many steps were undone again.
async fn undone_twice(world: &World, plan: &SagaPlan) -> Result<usize> {
    let place = Place::of(world).await?;
    let last = plan
        .steps
        .iter()
        .rev()
        .find(|step| step.phase != StepPhase::AfterPivot && !is_dispensable(plan, step))
        .context("a step before the pivot, or the pivot")?;
    let fault = Failing::at(&last.id, true);
    let (process, outcome) = place.run(world, fault.clone(), fault.clone()).await?;
    ensure!(outcome.state == "unwound", "at `{}`: {}: {:?}", last.id, outcome.state, outcome.reason);
    world.as_before(&process, place.dir.path()).await?;
    invariants::told(world, &process, place.dir.path()).await?;
    process.store().close().await;
    place.database.remove().await?;
    let undone = held(&fault.undone).len();
    Ok(undone)
}

/// The world, and the plan that a clean run follows.
async fn prepare(saga: Case) -> Result<(World, SagaPlan)> {
    let world = World::prepare(saga, Kind::Sqlite).await?.context("SQLite is built in")?;
    let place = Place::of(&world).await?;
    let clean = Arc::new(Twice(Mutex::new(world.plan().steps.iter().map(|step| step.id.clone()).collect())));
    let (process, outcome) = place.run(&world, Arc::new(NoFaults), clean).await?;
    let plan = place.plan(&process, &outcome).await?;
    process.store().close().await;
    place.database.remove().await?;
    Ok((world, plan))
}

/// All sagas side by side: they mostly wait for leases to end. One line of figures each.
async fn of_all<F>(sagas: &[Case], check: impl Fn(Case) -> F) -> Vec<String>
where
    F: Future<Output = Result<String>>,
{
    let lines = stream::iter(sagas.iter().copied())
        .map(|saga| {
            let line = check(saga);
            async move { line.await.with_context(|| format!("{saga:?}")) }
        })
        .buffered(8)
        .collect::<Vec<_>>()
        .await;
    let broken: Vec<_> =
        lines.iter().filter_map(|line| line.as_ref().err()).map(|e| format!("{e:#}")).collect();
    assert!(broken.is_empty(), "{} of {} are broken:\n{}", broken.len(), sagas.len(), broken.join("\n"));
    lines.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_of_each_saga_may_be_taken_twice() {
    let lines = of_all(SAGAS, |saga| async move {
        let (world, _) = prepare(saga).await?;
        Ok(format!("{saga:?}: {} steps, each taken up again", each_step_twice(&world).await?))
    });
    println!("{}", lines.await.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_saga_may_fail_at_each_step() {
    let lines = of_all(SAGAS, |saga| async move {
        let (world, plan) = prepare(saga).await?;
        let mut states = Vec::new();
        for index in 0..plan.steps.len() {
            let state = fails_at(&world, &plan, index).await;
            states.push(state.with_context(|| format!("at `{}`", plan.steps[index].id))?);
        }
        let count = |word: &str| states.iter().filter(|state| *state == word).count();
        ensure!(count("done") < states.len(), "no step failed");
        Ok(format!(
            "{saga:?}: {} steps: {} unwound, {} paused and went on, {} ask nobody",
            states.len(),
            count("unwound"),
            count("paused"),
            count("done")
        ))
    });
    println!("{}", lines.await.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_undo_of_each_saga_may_be_done_twice() {
    // Of a swap whose owner moves at once only the first effect is ever unwound: that is the crash sweep's.
    let unwinds = |case: &Case| !matches!(case.saga, Saga::Rollback(_) | Saga::SwapSeen);
    let unwinding: Vec<_> = SAGAS.iter().copied().filter(unwinds).collect();
    let lines = of_all(&unwinding, |saga| async move {
        let (world, plan) = prepare(saga).await?;
        let undone = undone_twice(&world, &plan).await?;
        ensure!(undone > 0, "nothing was undone");
        Ok(format!("{saga:?}: {undone} steps, each undone again"))
    });
    println!("{}", lines.await.join("\n"));
}
