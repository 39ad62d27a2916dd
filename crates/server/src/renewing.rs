//! What we log in with ourselves is renewed before it ends. Every process looks at its own.

use std::{sync::Arc, time::Duration};

use crate::{Current, Health, Metrics, Stage, Stop};

const LOOK: Duration = Duration::from_secs(10);

pub(crate) async fn run(current: Current, health: Arc<Health>, metrics: Arc<Metrics>, stop: Stop) {
    // What was told once is told again when it changes.
    let mut told = Vec::new();
    while stop.stage() == Stage::Running {
        if health.may_start() {
            match current.now().engine.keep_own().await {
                Ok(reports) => {
                    for report in &reports {
                        if report.renewed {
                            tracing::info!(backend.name = %report.backend, until = ?report.expires_at, "our own credential was renewed");
                        }
                        if let Some(warning) = report.warning.as_deref()
                            && !told.contains(&(report.backend.clone(), warning.to_owned()))
                        {
                            tracing::warn!(
                                event = "own-credential",
                                backend.name = %report.backend,
                                until = ?report.expires_at,
                                "our own credential: {warning}"
                            );
                        }
                    }
                    told = reports
                        .iter()
                        .filter_map(|report| Some((report.backend.clone(), report.warning.clone()?)))
                        .collect();
                    metrics.own_ending(told.len());
                }
                Err(error) => tracing::warn!(%error, "our own credentials"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.reached(Stage::Draining) => {}
        }
    }
}
