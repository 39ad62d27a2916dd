//! The runtime's methods.

use std::{sync::Arc, time::Duration};

use claviger_core::reference::Ref;

use super::bench::{Bench, Outcome, Unnamed, failed, must, subject, trial};
use crate::{Adoption, Operation, Runtime, StoreState};

/// Time that a rollout may take.
const ROLLOUT: Duration = Duration::from_secs(60);

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    let mut trials = Vec::new();
    if bench.capability.refresh {
        trials.push(trial(bench, "refresh_twice_with_one_key_is_one_rollout", |bench| async move {
            refresh(&bench).await
        }));
        trials.push(trial(bench, "refresh_of_an_absent_consumer_succeeds", |bench| async move {
            let it = subject(&bench.fixture.absent_consumer, "absent_consumer")?;
            failed("refresh", bench.runtime()?.refresh(&bench.operation(), &it.at, it.how).await)
        }));
    }
    if bench.capability.adopted {
        trials.push(trial(bench, "adopted_of_an_absent_consumer_is_adopted", |bench| async move {
            let it = subject(&bench.fixture.absent_consumer, "absent_consumer")?;
            let adoption = failed("adopted", bench.runtime()?.adopted(&bench.operation(), &it.at).await)?;
            must(matches!(adoption, Adoption::Adopted(_)), format!("{adoption:?}"))
        }));
        trials.push(trial(bench, "standing_asks_for_no_operation", |bench| async move {
            let (runtime, op) = (bench.runtime()?, bench.operation());
            let absent = subject(&bench.fixture.absent_consumer, "absent_consumer")?;
            let standing = failed("standing", runtime.standing(&absent.at).await)?;
            must(matches!(standing, Adoption::Adopted(_)), format!("absent: {standing:?}"))?;
            // One that nobody has refreshed with this key has not adopted, and stands as it stands.
            let it = subject(&bench.fixture.consumer, "consumer")?;
            let adoption = failed("adopted", runtime.adopted(&op, &it.at).await)?;
            must(matches!(adoption, Adoption::Pending(_)), format!("never asked for: {adoption:?}"))?;
            let standing = failed("standing", runtime.standing(&it.at).await)?;
            must(!matches!(standing, Adoption::Failing(_)), format!("{standing:?}"))
        }));
    }
    if bench.capability.repoint {
        trials.push(trial(
            bench,
            "repoint_twice_with_one_key_is_one_rollout_and_goes_back",
            |bench| async move { repoint(&bench).await },
        ));
        trials.push(trial(bench, "repoint_of_an_absent_consumer_succeeds", |bench| async move {
            let it = subject(&bench.fixture.absent_consumer, "absent_consumer")?;
            let (from, to) = subject(&bench.fixture.objects, "objects")?;
            let (runtime, op) = (bench.runtime()?, bench.operation());
            failed("repoint", runtime.repoint(&op, &it.at, from, to).await)?;
            must(
                failed("repointed", runtime.repointed(&op, &it.at).await)?,
                "it says that something is left to do",
            )
        }));
    }
    trials
}

async fn refresh(bench: &Bench) -> Outcome {
    let runtime = bench.runtime()?;
    let it = subject(&bench.fixture.consumer, "consumer")?;
    let count = subject(&bench.fixture.rollouts, "rollouts")?;
    let (before, op) = (count(), bench.operation());
    for _ in 0..2 {
        failed("refresh", runtime.refresh(&op, &it.at, it.how).await)?;
    }
    must(count() == before + 1, format!("{} rollouts for one key", count() - before))?;
    if bench.capability.adopted {
        adopts(runtime, &op, &it.at).await?;
    }
    failed("refresh with another key", runtime.refresh(&bench.operation(), &it.at, it.how).await)?;
    must(count() == before + 2, "another key made no rollout of its own")
}

async fn adopts(runtime: &dyn Runtime, op: &Operation, at: &Ref) -> Outcome {
    let until = tokio::time::Instant::now() + ROLLOUT;
    loop {
        match failed("adopted", runtime.adopted(op, at).await)? {
            Adoption::Adopted(_) => return Ok(()),
            Adoption::Failing(why) => return Err(format!("the rollout fails: {why}")),
            Adoption::Pending(why) if tokio::time::Instant::now() > until => {
                return Err(format!("not adopted in a minute: {why}"));
            }
            Adoption::Pending(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

async fn repoint(bench: &Bench) -> Outcome {
    let runtime = bench.runtime()?;
    let it = subject(&bench.fixture.consumer, "consumer")?;
    let (from, to) = subject(&bench.fixture.objects, "objects")?;
    let count = subject(&bench.fixture.rollouts, "rollouts")?;
    let named = subject(&bench.fixture.named, "named")?;
    let state = failed("repointable", runtime.repointable(&it.at, from).await)?;
    must(state == StoreState::Writable, format!("{state:?}"))?;
    must(named() == *from, format!("it names {} before anything was asked for", named()))?;
    let (before, op) = (count(), bench.operation());
    must(
        !failed("repointed", runtime.repointed(&op, &it.at).await)?,
        "it took place before it was asked for",
    )?;
    for _ in 0..2 {
        failed("repoint", runtime.repoint(&op, &it.at, from, to).await)?;
    }
    let outcome = async {
        must(count() == before + 1, format!("{} rollouts for one key", count() - before))?;
        must(named() == *to, format!("it names {}", named()))?;
        must(
            failed("repointed", runtime.repointed(&op, &it.at).await)?,
            "it took place, and says that it did not",
        )?;
        adopts(runtime, &op, &it.at).await
    }
    .await;
    let op = bench.operation();
    failed("repoint back", runtime.repoint(&op, &it.at, to, from).await)?;
    outcome?;
    must(named() == *from, format!("it names {} and not what it named", named()))?;
    adopts(runtime, &op, &it.at).await?;
    // What it does not name it need not be turned away from.
    let op = bench.operation();
    failed("repoint from what it does not name", runtime.repoint(&op, &it.at, to, from).await)?;
    must(named() == *from, format!("it names {}", named()))?;
    adopts(runtime, &op, &it.at).await
}
