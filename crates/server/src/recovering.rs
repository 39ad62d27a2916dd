//! What was begun and is driven by nobody is taken up: what a crash left, what was recorded with `--detach`, and what waited for a time that has come.

use std::{sync::Arc, time::Duration};

use claviger_engine::{
    Error,
    saga::{RunOptions, SagaOutcome},
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{Current, Health, Metrics, Settings, Stage, Stop};

/// Passes at a time. A pass lasts for as long as the slowest of what it has taken up: what is told of meanwhile does not wait for that.
const PASSES: usize = 4;
/// Between two passes that hints ask for: what each worker gives up at once must not go round among them without a rest.
const REST: Duration = Duration::from_secs(1);
/// How soon it is looked whether there is room for another pass.
const LOOK: Duration = Duration::from_millis(250);

/// `hinted`: there may be something that nobody drives.
pub(crate) async fn run(
    current: Current,
    settings: Settings,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    hinted: Arc<Notify>,
    stop: Stop,
) {
    // What another worker has is its own.
    let options = RunOptions { patience: Duration::ZERO, ..settings.run };
    let (mut passes, mut told) = (JoinSet::new(), false);
    let mut begun: Option<Instant> = None;
    while stop.stage() == Stage::Running {
        let since = |least: Duration| begun.is_none_or(|at| at.elapsed() >= least);
        if (since(settings.recover) || (told && since(REST))) && passes.len() < PASSES && health.may_start() {
            (told, begun) = (false, Some(Instant::now()));
            passes.spawn(pass(current.clone(), options, Arc::clone(&metrics), stop.clone()));
        }
        let now = Instant::now();
        let next = begun.unwrap_or(now) + if told { REST } else { settings.recover };
        tokio::select! {
            Some(pass) = passes.join_next(), if !passes.is_empty() => report(pass),
            () = sleep_until(next.max(now + LOOK)) => {}
            () = hinted.notified() => told = true,
            () = stop.reached(Stage::Draining) => {}
        }
    }
    while let Some(pass) = passes.join_next().await {
        report(pass);
    }
}

/// Takes up what is there, and waits until it has come as far as it can.
async fn pass(current: Current, options: RunOptions, metrics: Arc<Metrics>, stop: Stop) {
    match current.now().engine.resume(None, &options, &stop).await {
        Ok(answers) => {
            let (mut open, mut operator) = (0, 0);
            for answer in answers {
                match answer {
                    Ok(outcome) if needs_operator(&outcome) => operator += 1,
                    Ok(outcome) => open += u64::from(!is_over(&outcome)),
                    Err(Error::Busy(_) | Error::Store(claviger_store::Error::Fenced)) => open += 1,
                    Err(error) => tracing::warn!(%error, "what was left could not be taken up"),
                }
            }
            metrics.unfinished(open, operator);
        }
        Err(error) => tracing::warn!(%error, "what is unfinished could not be read"),
    }
}

fn needs_operator(outcome: &SagaOutcome) -> bool {
    matches!(outcome.state.as_str(), "paused" | "stuck")
}

fn is_over(outcome: &SagaOutcome) -> bool {
    let over = matches!(outcome.state.as_str(), "done" | "unwound" | "rolled-back" | "closed");
    if over {
        tracing::info!(subject = %outcome.at, state = outcome.state, "taken up");
    }
    over
}

/// A bug in one pass ends that one: the leases of what it had end, and the next one takes it up.
fn report(pass: Result<(), tokio::task::JoinError>) {
    if let Err(error) = pass {
        tracing::error!(%error, "a pass over what was left ended badly");
    }
}
