//! The inventory is kept fresh: by one process at a time, of all that schedule.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use claviger_engine::{firing::Scheduler, scan::ScanOptions};
use tokio::{sync::Notify, time::Instant};

use crate::{Current, Health, Metrics, Stage, Stop};

const DUTY: &str = "scanning";
const LEASE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(5);
/// After a scan that failed whole, before the next one.
const AFTER_FAILURE: Duration = Duration::from_secs(300);

pub(crate) async fn run(
    current: Current,
    every: Duration,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    changed: Arc<Notify>,
    stop: Stop,
) {
    let mut not_before = Instant::now();
    while stop.stage() == Stage::Running {
        let scheduler = current.now();
        if Instant::now() >= not_before && health.may_start() && is_due(&scheduler, every).await {
            match scheduler.firings.take_duty(DUTY, &scheduler.owner, LEASE).await {
                // Another process may have scanned since we looked.
                Ok(true) if is_due(&scheduler, every).await => {
                    let complete = tokio::select! {
                        complete = scan(&scheduler, &stop) => complete,
                        () = stop.reached(Stage::Draining) => break,
                    };
                    metrics.scanned(complete);
                    if complete.is_none() {
                        not_before = Instant::now() + AFTER_FAILURE.min(every);
                    }
                    changed.notify_one();
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "scanning"),
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
    match scheduler.engine.ports.inventory.last_scan().await {
        Ok(Some(last)) => scheduler.engine.clock.now() - last.started_at >= every,
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Scans and keeps the duty meanwhile. Was everything read? `None`: it failed whole.
async fn scan(scheduler: &Scheduler, stop: &Stop) -> Option<bool> {
    let (options, begun) = (ScanOptions::default(), Instant::now());
    // Side by side: see `Scheduler::fire`.
    tokio::select! {
        answer = scheduler.engine.scan(&options, stop) => match answer {
            Ok(view) => {
                tracing::info!(complete = view.complete, took = ?begun.elapsed(), "scanned");
                Some(view.complete)
            }
            Err(error) => {
                tracing::warn!(%error, "a scan failed");
                None
            }
        },
        () = keep(scheduler) => None,
    }
}

/// Keeps the duty for as long as it is polled.
async fn keep(scheduler: &Scheduler) {
    loop {
        tokio::time::sleep(LEASE / 3).await;
        let _ = scheduler.firings.take_duty(DUTY, &scheduler.owner, LEASE).await;
    }
}
