//! Duties that come round: each is done by one process at a time, and not before its time has come, whoever did it last.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use claviger_engine::firing::Scheduler;
use tokio::time::Instant;

use crate::{Current, Health, Stage, Stop};

const LEASE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(5);
/// After a round that failed, before the next one.
const AFTER_FAILURE: Duration = Duration::from_secs(300);

/// What is done each time.
pub(crate) trait Round: Send + Sync + 'static {
    /// Its name in the database. Never changed, and nobody else's.
    fn name(&self) -> &str;

    /// Does it. `false`: it failed, and comes again before its time.
    fn go(&self, scheduler: &Scheduler, stop: &Stop) -> impl Future<Output = bool> + Send;
}

/// Does it each time that it has come round, until it is told to stop.
pub(crate) async fn run(
    round: impl Round,
    every: Duration,
    current: Current,
    health: Arc<Health>,
    stop: Stop,
) {
    let (name, mut not_before) = (round.name(), Instant::now());
    while stop.stage() == Stage::Running {
        let scheduler = current.now();
        if Instant::now() >= not_before && health.may_start() && is_due(&scheduler, name, every).await {
            match scheduler.firings.take_duty(name, &scheduler.owner, LEASE).await {
                // Another process may have done it since we looked.
                Ok(true) if is_due(&scheduler, name, every).await => {
                    let begun = scheduler.engine.clock.now();
                    // Side by side: see `Scheduler::fire`.
                    let well = tokio::select! {
                        well = round.go(&scheduler, &stop) => well,
                        () = keep(&scheduler, name) => false,
                        () = stop.reached(Stage::Aborting) => break,
                    };
                    if well && let Err(error) = scheduler.firings.end_round(name, begun).await {
                        tracing::warn!(%error, name, "that a round was done was not noted: it comes again before its time");
                    }
                    not_before = Instant::now() + if well { LOOK } else { AFTER_FAILURE.min(every) };
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, name, "a duty could not be taken"),
            }
            let _ = scheduler.firings.leave_duty(name, &scheduler.owner).await;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK.min(every)) => {}
            () = stop.reached(Stage::Draining) => {}
        }
    }
    let scheduler = current.now();
    let _ = scheduler.firings.leave_duty(name, &scheduler.owner).await;
}

async fn is_due(scheduler: &Scheduler, name: &str, every: Duration) -> bool {
    let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
    match scheduler.firings.last_round(name).await {
        Ok(Some(last)) => scheduler.engine.clock.now() - last >= every,
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Keeps the duty for as long as it is polled.
async fn keep(scheduler: &Scheduler, name: &str) {
    loop {
        tokio::time::sleep(LEASE / 3).await;
        let _ = scheduler.firings.take_duty(name, &scheduler.owner, LEASE).await;
    }
}
