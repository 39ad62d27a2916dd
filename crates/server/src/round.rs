//! Duties that come round: each is done by one process at a time, and not before its time has come, whoever did it last.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
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

    /// The stage of a stop that cuts it off.
    fn cut_at(&self) -> Stage {
        Stage::Draining
    }

    /// When it was last done, as the database knows.
    fn last(
        &self,
        scheduler: &Scheduler,
    ) -> impl Future<Output = claviger_store::Result<Option<DateTime<Utc>>>> + Send {
        async { scheduler.firings.last_round(self.name()).await }
    }

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
        if Instant::now() >= not_before && health.may_start() && is_due(&round, &scheduler, every).await {
            match scheduler.firings.take_duty(name, &scheduler.owner, LEASE).await {
                // Another process may have done it since we looked.
                Ok(true) if is_due(&round, &scheduler, every).await => {
                    let begun = scheduler.engine.clock.now();
                    // Side by side: see `Scheduler::fire`.
                    let well = tokio::select! {
                        well = round.go(&scheduler, &stop) => well,
                        () = keep(&scheduler, name) => false,
                        () = stop.reached(round.cut_at()) => break,
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

async fn is_due(round: &impl Round, scheduler: &Scheduler, every: Duration) -> bool {
    let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
    match round.last(scheduler).await {
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
