//! What was begun and is driven by nobody is taken up: what a crash left, what was recorded with `--detach`, and what waited for a time that has come.

use std::{sync::Arc, time::Duration};

use claviger_engine::{Error, saga::RunOptions};

use crate::{Current, Health, Metrics, Settings, Stage, Stop};

pub(crate) async fn run(
    current: Current,
    settings: Settings,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    stop: Stop,
) {
    // What another worker has is its own.
    let options = RunOptions { patience: Duration::ZERO, ..settings.run };
    while stop.stage() == Stage::Running {
        if health.may_start() {
            match current.now().engine.resume(None, &options, &stop).await {
                Ok(answers) => {
                    let (mut open, mut operator) = (0, 0);
                    for answer in answers {
                        match answer {
                            Ok(outcome) => match outcome.state.as_str() {
                                "paused" | "stuck" => operator += 1,
                                "done" | "unwound" | "rolled-back" | "closed" => {
                                    tracing::info!(subject = %outcome.at, state = outcome.state, "taken up");
                                }
                                _ => open += 1,
                            },
                            Err(Error::Busy(_) | Error::Store(claviger_store::Error::Fenced)) => open += 1,
                            Err(error) => tracing::warn!(%error, "what was left could not be taken up"),
                        }
                    }
                    metrics.unfinished(open, operator);
                }
                Err(error) => tracing::warn!(%error, "what is unfinished could not be read"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(settings.recover) => {}
            () = stop.reached(Stage::Draining) => {}
        }
    }
}
