//! What is due is planned: by one process at a time, of all that have this role.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};

use crate::{Current, Health, Metrics, Settings, Stage, Stop};

const DUTY: &str = "planning";
/// How long it stays with a process that is gone.
const LEASE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(3);

/// `changed`: the inventory is another one, so that everything is planned anew at once.
pub(crate) async fn run(
    mut current: Current,
    settings: Settings,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    changed: Arc<Notify>,
    stop: Stop,
) {
    let (mut planned, mut ours): (Option<Instant>, Option<Instant>) = (None, None);
    while stop.stage() == Stage::Running {
        let scheduler = current.now();
        if health.may_start() {
            if ours.is_none_or(|since| since.elapsed() >= LEASE / 3) {
                ours = match scheduler.firings.take_duty(DUTY, &scheduler.owner, LEASE).await {
                    Ok(true) => Some(Instant::now()),
                    Ok(false) => None,
                    Err(error) => {
                        tracing::warn!(%error, "planning");
                        None
                    }
                };
            }
            if ours.is_some() {
                if planned.is_none_or(|at| at.elapsed() >= settings.replan) {
                    match scheduler.plan_ahead().await {
                        Ok(ahead) => {
                            tracing::debug!(?ahead, "planned");
                            metrics.undecided(ahead.undecided.len());
                            planned = Some(Instant::now());
                        }
                        Err(error) => tracing::warn!(%error, "planning failed: it is tried again"),
                    }
                }
                match scheduler.settle_open().await {
                    // What is over may be due again.
                    Ok(over) if over > 0 => planned = None,
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "open firings"),
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = changed.notified() => planned = None,
            () = current.changed() => planned = None,
            () = stop.reached(Stage::Draining) => {}
        }
    }
    let scheduler = current.now();
    let _ = scheduler.firings.leave_duty(DUTY, &scheduler.owner).await;
}
