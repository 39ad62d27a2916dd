//! The runtime's methods.

use std::{sync::Arc, time::Duration};

use super::bench::{Bench, Outcome, Unnamed, failed, must, subject, trial};
use crate::Adoption;

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
        let until = tokio::time::Instant::now() + ROLLOUT;
        loop {
            match failed("adopted", runtime.adopted(&op, &it.at).await)? {
                Adoption::Adopted(_) => break,
                Adoption::Failing(why) => return Err(format!("the rollout fails: {why}")),
                Adoption::Pending(why) if tokio::time::Instant::now() > until => {
                    return Err(format!("not adopted in a minute: {why}"));
                }
                Adoption::Pending(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }
    failed("refresh with another key", runtime.refresh(&bench.operation(), &it.at, it.how).await)?;
    must(count() == before + 2, "another key made no rollout of its own")
}
