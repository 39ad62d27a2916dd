//! Copies are read and logged in with at intervals: by one process at a time, of all that schedule. What no longer fits is a finding, a line in the log and a
//! metric before it is an outage.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use claviger_core::agreement::Login;
use claviger_engine::firing::Scheduler;
use tokio::time::Instant;

use crate::{Current, Health, Metrics, Stage, Stop};

const DUTY: &str = "verifying";
const LEASE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(5);

pub(crate) async fn run(
    current: Current,
    every: Duration,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    stop: Stop,
) {
    while stop.stage() == Stage::Running {
        let scheduler = current.now();
        if health.may_start() && is_due(&scheduler, every).await {
            match scheduler.firings.take_duty(DUTY, &scheduler.owner, LEASE).await {
                // Another process may have verified since we looked.
                Ok(true) if is_due(&scheduler, every).await => {
                    tokio::select! {
                        () = verify(&scheduler, &metrics) => {}
                        () = stop.reached(Stage::Draining) => break,
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "verifying"),
            }
            let _ = scheduler.firings.leave_duty(DUTY, &scheduler.owner).await;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK.min(every)) => {}
            () = stop.reached(Stage::Draining) => {}
        }
    }
    let scheduler = current.now();
    let _ = scheduler.firings.leave_duty(DUTY, &scheduler.owner).await;
}

async fn is_due(scheduler: &Scheduler, every: Duration) -> bool {
    let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
    match scheduler.engine.ports.inventory.last_verification().await {
        Ok(Some(last)) => scheduler.engine.clock.now() - last >= every,
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Verifies, and keeps the duty meanwhile.
async fn verify(scheduler: &Scheduler, metrics: &Metrics) {
    let begun = Instant::now();
    let budgets = scheduler.estate_budgets();
    tokio::select! {
        answer = scheduler.engine.verify(None, &budgets) => match answer {
            Ok(verified) => {
                let (refused, unknown) = (verified.logins(Login::Refused), verified.logins(Login::Unknown));
                metrics.verified(true);
                metrics.copies(verified.logins(Login::Accepted), refused, unknown);
                metrics.broken(verified.broken());
                tracing::info!(credentials = verified.items.len(), refused, unknown, took = ?begun.elapsed(), "verified");
            }
            Err(error) => {
                metrics.verified(false);
                tracing::warn!(%error, "a verification failed: the next one is tried when it is due");
            }
        },
        () = keep(scheduler) => {}
    }
}

/// Keeps the duty for as long as it is polled.
async fn keep(scheduler: &Scheduler) {
    loop {
        tokio::time::sleep(LEASE / 3).await;
        let _ = scheduler.firings.take_duty(DUTY, &scheduler.owner, LEASE).await;
    }
}
