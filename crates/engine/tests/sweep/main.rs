//! The exhaustive crash sweep of the rotation sagas and the revocation saga on the simulated estate.
//!
//! Boundaries are the estate's effective mutations and the journal's commits. A first run counts them; then each is hit with each fault, the
//! process is dropped, a new one resumes, and the invariants are checked: L (nothing lost), C (copies and consumers work), T (told before),
//! S (no value in the database), and the audit chain.

mod invariants;
mod journal;
mod minted;
mod world;

use claviger_backend_simulated::Fault;
use claviger_testkit::database::Kind;
use futures::{StreamExt as _, stream};

use crate::{
    journal::CommitFault,
    world::{Saga, Trial, World},
};

const ESTATE_FAULTS: &[Fault] = &[
    Fault::ErrorBefore,
    Fault::LostRequest,
    Fault::ErrorAfterEffect,
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::Repeat,
];
const COMMIT_FAULTS: &[CommitFault] =
    &[CommitFault::CrashBefore, CommitFault::CrashAfter, CommitFault::ErrorBefore, CommitFault::ErrorAfter];

/// What was explored; nothing where the database is not installed, which is a counted skip.
async fn sweep(saga: Saga, kind: Kind) -> String {
    let Some(world) = World::prepare(saga, kind).await.expect("the world can be made") else {
        return String::new();
    };
    let clean = world.run(Trial::default()).await.expect("a run without faults");
    assert!(clean.estate_boundaries > 0 && clean.commits > 4, "nothing to sweep: {clean:?}");
    let mut trials = Vec::new();
    for index in 0..clean.estate_boundaries {
        trials
            .extend(ESTATE_FAULTS.iter().map(|fault| Trial { estate: Some((index, *fault)), commit: None }));
    }
    for index in 0..clean.commits {
        trials
            .extend(COMMIT_FAULTS.iter().map(|fault| Trial { estate: None, commit: Some((index, *fault)) }));
    }
    // A trial mostly waits for the dead owner's lease to end, so many wait side by side.
    let explored = trials.len();
    let world = &world;
    let outcomes: Vec<_> = stream::iter(trials)
        .map(|trial| async move { (trial, world.run(trial).await) })
        .buffer_unordered(12)
        .collect()
        .await;
    let broken: Vec<String> = outcomes
        .iter()
        .filter_map(|(trial, outcome)| Some(format!("{trial:?}: {:#}", outcome.as_ref().err()?)))
        .collect();
    assert!(broken.is_empty(), "{saga:?}: {} of {explored} broken:\n{}", broken.len(), broken.join("\n"));
    format!(
        "sweep {saga:?} on {kind:?}: {} boundaries ({} mutations, {} commits), {explored} faults explored, 0 broken",
        clean.estate_boundaries + clean.commits,
        clean.estate_boundaries,
        clean.commits
    )
}

/// The saga's state after each of its mutations was refused for good.
async fn denied(saga: Saga) -> Vec<String> {
    let world = World::prepare(saga, Kind::Sqlite).await.expect("the world can be made");
    let world = world.expect("SQLite is built in");
    let clean = world.run(Trial::default()).await.expect("a run without faults");
    let mut states = Vec::new();
    for index in 0..clean.estate_boundaries {
        let state = world.run_denied(index).await;
        states.push(state.unwrap_or_else(|error| panic!("denied at {index}: {error:#}")));
    }
    states
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_loses_a_credential() {
    println!("{}", sweep(Saga::Rotation, Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_loses_a_credential_on_postgres() {
    println!("{}", sweep(Saga::Rotation, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_with_two_values_loses_one_or_leaves_an_orphan() {
    println!("{}", sweep(Saga::Dual, Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_with_two_values_loses_one_or_leaves_an_orphan_on_postgres() {
    println!("{}", sweep(Saga::Dual, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_of_a_rotation_with_two_values_takes_the_new_one_away() {
    // Adding and the first copy unwind; the end of the old value waits for an operator.
    assert_eq!(denied(Saga::Dual).await, ["unwound", "unwound", "paused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_of_a_minted_key_loses_one_or_leaves_an_orphan() {
    println!("{}", sweep(Saga::Minted, Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_of_a_minted_key_loses_one_or_leaves_an_orphan_on_postgres() {
    println!("{}", sweep(Saga::Minted, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_of_a_rotation_of_a_minted_key_takes_the_new_one_away() {
    // Minting and the first object unwind; the other objects, the restart and the end of the old key wait for an operator.
    let states = denied(Saga::Minted).await;
    assert_eq!(states[..2], ["unwound", "unwound"]);
    assert_eq!(states[2..], ["paused"; 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_without_an_issuer_brings_copies_out_of_step() {
    println!("{}", sweep(Saga::CopyOnly, Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_without_an_issuer_brings_copies_out_of_step_on_postgres() {
    println!("{}", sweep(Saga::CopyOnly, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_copy_unwinds_before_the_first_and_pauses_after_it() {
    assert_eq!(denied(Saga::CopyOnly).await, ["unwound", "paused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grace_leaves_the_old_value_and_outlives_the_process() {
    let world = World::prepare(Saga::Dual, Kind::Sqlite)
        .await
        .expect("the world can be made")
        .expect("SQLite is built in");
    world.run_with_grace(chrono::TimeDelta::seconds(3)).await.expect("a rotation with a grace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_revocation_leaves_a_lie() {
    println!("{}", sweep(Saga::Revocation, Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_revocation_leaves_a_lie_on_postgres() {
    println!("{}", sweep(Saga::Revocation, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_unwinds_before_the_pivot_and_pauses_after_it() {
    // The first mutation is the pivot: refused, nothing has happened. Every later one comes after it.
    assert_eq!(denied(Saga::Rotation).await, ["unwound", "paused", "paused", "paused", "paused", "paused"]);
}
