//! The exhaustive crash sweep of the rotation sagas and the revocation saga on the simulated estate.
//!
//! Boundaries are the estate's effective mutations and the journal's commits. A first run counts them; then each is hit with each fault, the
//! process is dropped, a new one resumes, and the invariants are checked: L (nothing lost), C (copies and consumers work), T (told before),
//! S (no value in the database), and the audit chain.

mod alternating;
mod asked;
mod bound;
mod case;
mod certificate;
mod comeback;
mod deploy_key;
mod ending;
mod evidence;
mod generic;
mod grace;
mod guards;
mod invariants;
mod journal;
mod limits;
mod mass;
mod minted;
mod named;
mod pains;
mod pair;
mod posted;
mod rollback;
mod root;
mod swap;
mod whole;
mod world;

use claviger_backend_simulated::Fault;
use claviger_testkit::database::Kind;
use futures::{StreamExt as _, stream};

use crate::{
    journal::CommitFault,
    world::{Case, Ended, Saga, Stopped, Trial, World},
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
async fn sweep(case: impl Into<Case>, kind: Kind) -> String {
    let saga = case.into();
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
        .buffer_unordered(24)
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

/// Every crash, and within the recovery from each every crash again.
async fn pairs(saga: Saga) -> String {
    let world = World::prepare(saga, Kind::Sqlite).await.expect("the world can be made");
    let world = &world.expect("SQLite is built in");
    let clean = world.run(Trial::default()).await.expect("a run without faults");
    let crashes = |estate: u64, commits: u64| {
        let estate = (0..estate).flat_map(|index| {
            [Fault::CrashBefore, Fault::CrashAfter]
                .map(|fault| Trial { estate: Some((index, fault)), commit: None })
        });
        let commits = (0..commits).flat_map(|index| {
            [CommitFault::CrashBefore, CommitFault::CrashAfter]
                .map(|fault| Trial { estate: None, commit: Some((index, fault)) })
        });
        estate.chain(commits).collect::<Vec<_>>()
    };
    // A recovery makes a few commits more than what was left to do.
    let seconds = crashes(clean.estate_boundaries, clean.commits + 6);
    let outcomes: Vec<Result<usize, String>> = stream::iter(crashes(clean.estate_boundaries, clean.commits))
        .map(|first| {
            let seconds = &seconds;
            async move {
                let mut explored = 0;
                for second in seconds {
                    match world.run_pair(first, *second).await {
                        Ok(reached) => explored += usize::from(reached),
                        Err(error) => return Err(format!("{first:?} then {second:?}: {error:#}")),
                    }
                }
                Ok(explored)
            }
        })
        .buffer_unordered(32)
        .collect()
        .await;
    let broken: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(broken.is_empty(), "{saga:?}: {} first crashes have a broken second:\n{broken:#?}", broken.len());
    let explored: usize = outcomes.into_iter().flatten().sum();
    assert!(explored > 300, "only {explored} second crashes were reached");
    format!("pairs of crashes in {saga:?}: {explored} explored, 0 broken")
}

/// The saga's state after each of its mutations was refused for good.
async fn denied(case: impl Into<Case>) -> Vec<String> {
    let world = World::prepare(case, Kind::Sqlite).await.expect("the world can be made");
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
#[ignore = "minutes with the others: part of the campaign, as SQLite has it in the gate"]
async fn no_crash_in_a_rotation_with_two_values_loses_one_or_leaves_an_orphan_on_postgres() {
    println!("{}", sweep(Saga::Dual, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_of_a_rotation_with_two_values_takes_the_new_one_away() {
    // Adding and the first copy unwind; the end of the old value waits for an operator.
    assert_eq!(denied(Saga::Dual).await, ["unwound", "unwound", "paused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_of_a_told_token_loses_one_or_leaves_an_orphan() {
    println!("{}", sweep(Saga::Told, Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes with the others: part of the campaign, as SQLite has it in the gate"]
async fn no_crash_in_a_rotation_of_a_told_token_loses_one_or_leaves_an_orphan_on_postgres() {
    println!("{}", sweep(Saga::Told, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_of_a_deploy_key_loses_one_or_leaves_an_orphan() {
    println!("{}", sweep(Saga::DeployKey, Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes with the others: part of the campaign, as SQLite has it in the gate"]
async fn no_crash_in_a_rotation_of_a_deploy_key_loses_one_or_leaves_an_orphan_on_postgres() {
    println!("{}", sweep(Saga::DeployKey, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_of_a_rotation_of_a_deploy_key_takes_the_new_one_away() {
    // Adding and the first copy unwind; the second copy and the end of the old key wait for an operator.
    assert_eq!(denied(Saga::DeployKey).await, ["unwound", "unwound", "paused", "paused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_of_a_rotation_of_a_told_token_takes_the_new_one_away() {
    // Making and the first copy unwind; the end of the old token waits for an operator.
    assert_eq!(denied(Saga::Told).await, ["unwound", "unwound", "paused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_by_an_engine_loses_a_credential() {
    println!("{}", sweep(Saga::Asked, Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes with the others: part of the campaign, as SQLite has it in the gate"]
async fn no_crash_in_a_rotation_by_an_engine_loses_a_credential_on_postgres() {
    println!("{}", sweep(Saga::Asked, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_of_a_rotation_by_an_engine_unwinds_or_waits() {
    assert_eq!(denied(Saga::Asked).await, ["unwound", "paused", "paused", "paused", "paused", "paused"]);
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
async fn no_crash_in_a_rotation_of_a_named_token_loses_one_or_leaves_an_orphan() {
    println!("{}", sweep(Saga::Named, Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes with the others: part of the campaign, as SQLite has it in the gate"]
async fn no_crash_in_a_rotation_of_a_named_token_loses_one_or_leaves_an_orphan_on_postgres() {
    println!("{}", sweep(Saga::Named, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_of_a_rotation_of_a_named_token_takes_the_new_one_away() {
    // Minting and the first copy unwind; the other copy, the consumers and the end of the old token wait for an operator.
    let states = denied(Saga::Named).await;
    assert_eq!(states[..2], ["unwound", "unwound"]);
    assert_eq!(states[2..], ["paused"; 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_turn_of_two_users_loses_one_or_lets_a_third_in() {
    println!("{}", sweep(Saga::Alternating, Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes with the others: part of the campaign, as SQLite has it in the gate"]
async fn no_crash_in_a_turn_of_two_users_loses_one_or_lets_a_third_in_on_postgres() {
    println!("{}", sweep(Saga::Alternating, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_of_a_turn_of_two_users_takes_the_new_one_away() {
    // Letting the other user in and the first object unwind; the other objects, the restarts and the end of the old one wait for an operator.
    let states = denied(Saga::Alternating).await;
    assert_eq!(states[..2], ["unwound", "unwound"]);
    assert_eq!(states[2..], ["paused"; 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_without_an_issuer_brings_copies_out_of_step() {
    println!("{}", sweep(Saga::CopyOnly, Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes with the others: part of the campaign, as SQLite has it in the gate"]
async fn no_crash_in_a_rotation_without_an_issuer_brings_copies_out_of_step_on_postgres() {
    println!("{}", sweep(Saga::CopyOnly, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_copy_unwinds_before_the_first_and_pauses_after_it() {
    assert_eq!(denied(Saga::CopyOnly).await, ["unwound", "paused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_of_a_certificate_tears_it_from_its_key() {
    println!("{}", sweep(Saga::Reissue, Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes with the others: part of the campaign, as SQLite has it in the gate"]
async fn no_crash_in_a_rotation_of_a_certificate_tears_it_from_its_key_on_postgres() {
    println!("{}", sweep(Saga::Reissue, Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_write_of_a_certificate_unwinds_before_the_first_and_pauses_after_it() {
    assert_eq!(denied(Saga::Reissue).await, ["unwound", "paused", "paused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rotation_of_a_root_locks_its_engine_out() {
    for saga in [Saga::Root, Saga::RootCopied] {
        println!("{}", sweep(saga, Kind::Sqlite).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes with the others: part of the campaign, as SQLite has it in the gate"]
async fn no_crash_in_a_rotation_of_a_root_locks_its_engine_out_on_postgres() {
    for saga in [Saga::Root, Saga::RootCopied] {
        println!("{}", sweep(saga, Kind::Postgres).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_rotation_of_a_root_unwinds() {
    assert_eq!(denied(Saga::RootCopied).await, ["unwound"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_leaves_a_former_value_where_nobody_can_read_it_back() {
    for saga in [Saga::Rotation, Saga::Told] {
        println!("{}", sweep(saga.posted(), Kind::Sqlite).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: part of the campaign"]
async fn no_crash_in_any_saga_leaves_a_former_value_where_nobody_can_read_it_back() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        for saga in posted::SAGAS {
            println!("{}", sweep(saga.posted(), kind).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: part of the campaign"]
async fn no_crash_in_a_rollback_leaves_a_newer_value_where_nobody_can_read_it_back() {
    for stopped in [Stopped::Rotation, Stopped::Told] {
        println!("{}", sweep(Saga::Rollback(stopped).posted(), Kind::Sqlite).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_post_waits_for_an_operator() {
    // Told: making and the first copy unwind; the posted copy and the end of the old token wait.
    assert_eq!(denied(Saga::Told.posted()).await, ["unwound", "unwound", "paused", "paused"]);
    let states = denied(Saga::Rotation.posted()).await;
    assert_eq!(states[0], "unwound");
    assert!(states.len() == 7 && states[1..].iter().all(|state| state == "paused"), "{states:?}");
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
async fn no_crash_in_a_swap_leaves_a_workload_without_an_identity() {
    for saga in [Saga::Swap, Saga::SwapRole, Saga::SwapSeen] {
        println!("{}", sweep(saga, Kind::Sqlite).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes with the others: part of the campaign, as SQLite has it in the gate"]
async fn no_crash_in_a_swap_leaves_a_workload_without_an_identity_on_postgres() {
    for saga in [Saga::Swap, Saga::SwapRole, Saga::SwapSeen] {
        println!("{}", sweep(saga, Kind::Postgres).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_of_a_swap_takes_everything_back() {
    // Both workloads are brought beside and over, then it is suspended and ended; the store's token is not suspended, and its role is made first.
    assert_eq!(denied(Saga::Swap).await, ["unwound"; 6]);
    assert_eq!(denied(Saga::SwapRole).await, ["unwound"; 4]);
}

/// Wherever it stopped before the static credential had ended, everything works as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_is_taken_back_wherever_it_stopped() {
    for (saga, least) in [(Saga::Swap, 28), (Saga::SwapRole, 20)] {
        let world = World::prepare(saga, Kind::Sqlite).await.expect("the world can be made");
        let ways = world.expect("SQLite is built in").take_back_everywhere().await;
        let [by_saga, unwound, over] = ways.unwrap_or_else(|error| panic!("{saga:?}: {error:#}"));
        assert!(by_saga == 0 && unwound >= least && over >= 1, "{saga:?}: {by_saga}, {unwound}, {over}");
        println!("{saga:?}: {unwound} unwound, {over} past the static credential's end");
    }
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
async fn no_crash_in_a_revocation_with_sessions_and_copies_leaves_a_lie() {
    for ended in [Ended::Role, Ended::Key, Ended::Value] {
        println!("{}", sweep(Saga::Ending(ended), Kind::Sqlite).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes with the others: part of the campaign, as SQLite has it in the gate"]
async fn no_crash_in_a_revocation_with_sessions_and_copies_leaves_a_lie_on_postgres() {
    println!("{}", sweep(Saga::Ending(Ended::Role), Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_of_a_revocation_waits_and_what_is_only_wanted_does_not() {
    // What cannot be suspended is ended at once; the end itself, and that of its sessions, wait for an operator; a copy that may not be written is told.
    let states = denied(Saga::Ending(Ended::Role)).await;
    assert_eq!(states[..3], ["done", "paused", "paused"]);
    assert!(states.len() > 5 && states[3..].iter().all(|state| state == "done"), "{states:?}");
    assert_eq!(denied(Saga::Ending(Ended::Key)).await, ["done", "paused", "paused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_leaves_an_account_deleted_or_its_tokens_alive() {
    println!("{}", sweep(Saga::Ending(Ended::Account), Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes with the others: part of the campaign, as SQLite has it in the gate"]
async fn no_crash_leaves_an_account_deleted_or_its_tokens_alive_on_postgres() {
    println!("{}", sweep(Saga::Ending(Ended::Account), Kind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_leaves_a_certificate_with_half_its_rights() {
    println!("{}", sweep(Saga::Ending(Ended::Certificate), Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_leaves_a_pods_tokens_alive_or_ends_its_successor() {
    println!("{}", sweep(Saga::Ending(Ended::Pod), Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_leaves_an_entity_half_ended() {
    println!("{}", sweep(Saga::Ending(Ended::Entity), Kind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_on_an_account_or_a_binding_unwinds_before_the_first_and_waits_after_it() {
    assert_eq!(denied(Saga::Ending(Ended::Account)).await, ["unwound", "paused", "paused"]);
    assert_eq!(denied(Saga::Ending(Ended::Certificate)).await, ["unwound", "paused", "paused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_effect_unwinds_before_the_pivot_and_pauses_after_it() {
    // The first mutation is the pivot: refused, nothing has happened. Every later one comes after it.
    assert_eq!(denied(Saga::Rotation).await, ["unwound", "paused", "paused", "paused", "paused", "paused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_in_a_rollback_loses_a_credential() {
    for stopped in [
        Stopped::Rotation,
        Stopped::Dual,
        Stopped::Told,
        Stopped::DeployKey,
        Stopped::Alternating,
        Stopped::Reissue,
    ] {
        println!("{}", sweep(Saga::Rollback(stopped), Kind::Sqlite).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: part of the campaign"]
async fn no_crash_in_any_rollback_loses_a_credential() {
    for stopped in [Stopped::Minted, Stopped::CopyOnly] {
        println!("{}", sweep(Saga::Rollback(stopped), Kind::Sqlite).await);
    }
    for stopped in [
        Stopped::Rotation,
        Stopped::Dual,
        Stopped::Told,
        Stopped::DeployKey,
        Stopped::Minted,
        Stopped::Alternating,
        Stopped::CopyOnly,
        Stopped::Reissue,
    ] {
        println!("{}", sweep(Saga::Rollback(stopped), Kind::Postgres).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: part of the campaign"]
async fn no_crash_in_the_rollback_of_a_named_token_loses_a_credential() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        println!("{}", sweep(Saga::Rollback(Stopped::Named), kind).await);
    }
}

/// At each point between the first step and the end of the old value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_is_taken_back_wherever_it_stopped() {
    // Of a rotation with two values only two commits lie between the first copy and the end of the old one.
    let expected = [
        (Saga::Rotation, 12, false),
        (Saga::Dual, 2, true),
        (Saga::Told, 2, true),
        (Saga::DeployKey, 4, true),
        (Saga::Minted, 12, true),
        (Saga::Named, 12, true),
        (Saga::Alternating, 12, true),
        (Saga::CopyOnly, 4, false),
        (Saga::Reissue, 6, false),
    ];
    for (saga, least, retires) in expected {
        let world = World::prepare(saga, Kind::Sqlite).await.expect("the world can be made");
        let ways = world.expect("SQLite is built in").take_back_everywhere().await;
        let [by_saga, unwound, over] = ways.unwrap_or_else(|error| panic!("{saga:?}: {error:#}"));
        assert!(by_saga >= least && unwound >= 4, "{saga:?}: {by_saga} by a saga, {unwound} unwound");
        assert!(!retires || over >= 1, "{saga:?}: the end of the old value was never passed");
        println!(
            "{saga:?}: {by_saga} taken back by a saga, {unwound} unwound, {over} past the old value's end"
        );
    }
}

/// vault#28989: a password that the target refuses was tried for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_value_is_replaced_twice_and_never_tried_for_ever() {
    let world = World::prepare(Saga::Rotation, Kind::Sqlite).await.expect("the world can be made");
    let world = world.expect("SQLite is built in");
    let mut replaced = 0;
    for character in ["A", "b", "C", "d", "E", "f", "7", "0", "x", "Q"] {
        let (state, refused) =
            world.run_refusing(character).await.unwrap_or_else(|e| panic!("{character}: {e:#}"));
        match state.as_str() {
            "done" => replaced += usize::from(refused > 0),
            "unwound" => assert_eq!(refused, 3, "it gave up early"),
            other => panic!("{character}: {other}"),
        }
    }
    assert!(replaced > 0, "no value was refused and replaced");
    let every: String = ('!'..='~').collect();
    let (state, refused) = world.run_refusing(&every).await.expect("a rotation that is refused");
    assert_eq!((state.as_str(), refused), ("unwound", 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: part of the campaign"]
async fn no_second_crash_in_the_recovery_from_a_first_loses_a_credential() {
    println!("{}", pairs(Saga::Rotation).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_is_taken_back_too() {
    let world =
        World::prepare(Saga::Rollback(Stopped::Rotation), Kind::Sqlite).await.expect("the world can be made");
    let world = world.expect("SQLite is built in");
    for index in [12, 18, 24, 30] {
        world.change_ones_mind(index).await.unwrap_or_else(|error| panic!("after commit {index}: {error:#}"));
    }
}
