//! Firings are taken and carried out, as many at a time as the settings and the budgets let it.

use std::sync::Arc;

use tokio::{sync::Notify, task::JoinSet};

use crate::{Current, Health, Metrics, Settings, Stage, Stop};

/// `hinted`: there may be something to be taken at once.
pub(crate) async fn run(
    current: Current,
    settings: Settings,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    hinted: Arc<Notify>,
    stop: Stop,
) {
    let mut running = JoinSet::new();
    while stop.stage() == Stage::Running {
        let scheduler = current.now();
        let room = settings.at_once.saturating_sub(running.len());
        if room > 0 && health.may_start() {
            match scheduler.claim(settings.run.lease, room).await {
                Ok(claims) => {
                    metrics.claimed(claims.len());
                    for claim in claims {
                        let (scheduler, metrics, stop) =
                            (scheduler.clone(), Arc::clone(&metrics), stop.clone());
                        let options = settings.run;
                        running.spawn(async move {
                            tracing::info!(subject = %claim.subject, due_at = %claim.due_at, "fires");
                            let end = scheduler.fire(&claim, &options, &stop).await;
                            tracing::info!(subject = %claim.subject, ?end, "fired");
                            metrics.settled(end.as_ref());
                        });
                    }
                }
                Err(error) => tracing::warn!(%error, "no firing could be taken"),
            }
        }
        metrics.running(running.len());
        tokio::select! {
            () = tokio::time::sleep(settings.tick) => {}
            () = hinted.notified() => {}
            Some(ended) = running.join_next(), if !running.is_empty() => report(ended),
            () = stop.reached(Stage::Draining) => {}
        }
    }
    while let Some(ended) = running.join_next().await {
        report(ended);
    }
}

/// A bug in one rotation ends that one: its lease ends, and it is taken up.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a firing ended badly");
    }
}
