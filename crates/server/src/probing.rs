//! Can something be written, and can the clock be believed? Asked all the time, so that what starts things need not wait for the answer.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use claviger_core::schedule::Steadiness;
use claviger_engine::firing::Scheduler;
use tokio::time::Instant;

use crate::{Health, Metrics, Stage, Stop};

const EVERY: Duration = Duration::from_millis(1500);
/// With the pause before it, what is missing is known within five seconds.
const DEADLINE: Duration = Duration::from_secs(3);

pub(crate) async fn run(scheduler: Scheduler, health: Arc<Health>, metrics: Arc<Metrics>, stop: Stop) {
    let (started, mut steady) = (Instant::now(), Steadiness::default());
    while stop.stage() < Stage::Aborting {
        let begun = Instant::now();
        let now = scheduler.engine.clock.now();
        health.clock(steady.observe(now, started.elapsed()));
        match tokio::time::timeout(DEADLINE, scheduler.firings.probe(now)).await {
            Ok(Ok(skew)) => {
                // The answer came somewhere between the question and now: that is no difference of the clocks.
                let took = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
                let skew = if (0..=took).contains(&skew) { 0 } else { skew };
                health.written(begun, TimeDelta::milliseconds(skew));
            }
            Ok(Err(error)) => health.failed(error.to_string()),
            Err(_) => health.failed("no answer within 3 s".to_owned()),
        }
        let report = health.report();
        metrics.ready(report.ready);
        for check in report.checks.iter().filter(|check| !check.ok) {
            tracing::warn!(
                check = check.name,
                detail = check.detail.as_deref(),
                "not ready: nothing is started"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.reached(Stage::Aborting) => {}
        }
    }
}
