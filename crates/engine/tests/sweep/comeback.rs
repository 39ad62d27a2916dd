//! Rotations whose consumers do not come up with the new value.

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use claviger_backend_simulated::{EstateFile, estate::Rollout};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    saga::Action,
};
use claviger_store::Journal as _;
use claviger_testkit::database::{Kind, TestDatabase};
use futures::{StreamExt as _, stream};
use tempfile::TempDir;

use crate::{
    invariants,
    journal::CommitFault,
    world::{Saga, Trial, World, copy, open},
};

/// Why its pods do not start.
const WHY: &str = "CrashLoopBackOff";

/// A world in which the first consumer that is restarted fails the next `breaks` rollouts, 0 for ever; where `unwell`, it failed its last one too.
async fn broken(world: &World, breaks: u32, unwell: bool) -> Result<(TempDir, TestDatabase)> {
    let dir = tempfile::tempdir()?;
    copy(world.template.path(), dir.path())?;
    let restarts =
        world.plan().steps.iter().find(|step| matches!(step.action, Action::Refresh(_) | Action::Repoint(_)));
    let consumer = &restarts.context("a consumer")?.target;
    // `sim/k8s/NAMESPACE/Deployment/NAME`
    let segments: Vec<_> = consumer.as_str().split('/').collect();
    let [_, _, namespace, _, name] = segments[..] else { anyhow::bail!("{consumer}") };
    EstateFile::new(dir.path().join("estate.json")).edit(|estate| {
        let held = estate.cluster.namespaces.get_mut(namespace).context("the namespace")?;
        let deployment = held.deployments.get_mut(name).context("the Deployment")?;
        (deployment.broken, deployment.breaks) = (Some(WHY.to_owned()), breaks);
        if unwell {
            let ready_at = SystemClock.now() - TimeDelta::days(1);
            let failed = Some(WHY.to_owned());
            deployment.rollouts.push(Rollout { key: "before".to_owned(), ready_at, failed });
        }
        anyhow::Ok(())
    })??;
    Ok((dir, world.database.copy().await?))
}

/// Gives whether it came back by itself after a crash at this commit, or by an operator who was told.
async fn crash_and_return(world: &World, index: u64) -> Result<bool> {
    let (dir, database) = broken(world, 1, false).await?;
    let trial = Trial { estate: None, commit: Some((index, CommitFault::CrashAfter)) };
    let process = open(dir.path(), &database, trial).await?;
    let first = world.attempt(&process).await;
    process.store().close().await;
    drop(process);
    let later = open(dir.path(), &database, Trial::default()).await?;
    let mut alone = true;
    if first.is_none() {
        later.resume(None, &crate::world::RUN).await?;
        if let Some(id) = later.store().unfinished().await?.first() {
            // How the consumer stood was not seen, or the crash came between: a person is asked.
            alone = false;
            let outcome = later.roll_back(*id).await?;
            ensure!(outcome.state == "done", "{}: {:?}", outcome.state, outcome.reason);
        }
    }
    let began = !later.store().list(world.kind(), None).await?.is_empty();
    if began {
        invariants::back(world, &later, &database, dir.path(), &[]).await?;
    }
    later.store().close().await;
    database.remove().await?;
    Ok(alone)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_returns_by_itself_when_a_consumer_does_not_come_up() {
    for saga in [Saga::Rotation, Saga::Minted, Saga::Named, Saga::Alternating, Saga::Dual, Saga::Told] {
        let run = async {
            let world = World::prepare(saga, Kind::Sqlite).await?.context("SQLite is built in")?;
            if !world.plan().steps.iter().any(|step| step.action == Action::AwaitAdoption) {
                return Ok(format!("{saga:?}: nobody is restarted"));
            }
            let (dir, database) = broken(&world, 1, false).await?;
            let process = open(dir.path(), &database, Trial::default()).await?;
            let outcome = world.attempt(&process).await.context("it did not crash")??;
            ensure!(outcome.state == "rolled-back", "{}: {:?}", outcome.state, outcome.reason);
            let reason = outcome.reason.context("a reason")?;
            ensure!(reason.contains(WHY) && reason.contains("stood well before"), "{reason}");
            invariants::back(&world, &process, &database, dir.path(), &[]).await?;
            process.store().close().await;
            anyhow::Ok(format!("{saga:?}: everything is as it was: {reason}"))
        };
        println!("{}", run.await.unwrap_or_else(|error| panic!("{saga:?}: {error:#}")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_return_loses_a_credential() {
    let world = World::prepare(Saga::Rotation, Kind::Sqlite).await.expect("the world can be made");
    let world = &world.expect("SQLite is built in");
    let commits = {
        let (dir, database) = broken(world, 1, false).await.expect("a broken consumer");
        let process = open(dir.path(), &database, Trial::default()).await.expect("a process");
        world.attempt(&process).await.expect("it did not crash").expect("it ran");
        process.journal.commits()
    };
    let returned: Vec<_> = stream::iter(0..commits)
        .map(|index| async move { (index, crash_and_return(world, index).await) })
        .buffer_unordered(12)
        .collect()
        .await;
    let broken: Vec<_> = returned
        .iter()
        .filter_map(|(index, result)| Some(format!("after commit {index}: {:#}", result.as_ref().err()?)))
        .collect();
    assert!(broken.is_empty(), "{} of {commits} broken:\n{}", broken.len(), broken.join("\n"));
    let alone = returned.iter().filter(|(_, result)| matches!(result, Ok(true))).count();
    assert!(alone > 10, "only {alone} came back by themselves");
    println!(
        "crashes in a return: {commits}, of which {alone} came back by themselves, the others by an operator"
    );
}

/// What it suffers from is not the new value: going back would help nobody, and nothing could ever be rotated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_was_unwell_before_is_left_to_a_person() {
    let world = World::prepare(Saga::Rotation, Kind::Sqlite).await.expect("the world can be made");
    let world = world.expect("SQLite is built in");
    let (dir, database) = broken(&world, 0, true).await.expect("a broken consumer");
    let process = open(dir.path(), &database, Trial::default()).await.expect("a process");
    let outcome = world.attempt(&process).await.expect("it did not crash").expect("it ran");
    assert_eq!(outcome.state, "paused", "{:?}", outcome.reason);
    // A rollback would pause as well, as the consumer does not come up with the former value either.
    let begun = process.store().list(world.kind(), None).await.expect("the rotations");
    assert_eq!(begun.len(), 1, "it was taken back all the same");
    world.nothing_lost(&process, dir.path()).await.expect("nothing lost");
    process.store().close().await;
}
