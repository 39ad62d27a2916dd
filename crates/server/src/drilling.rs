//! Drills, each in one backend, in turn.

use std::sync::Arc;

use claviger_engine::{firing::Scheduler, saga::RunOptions};

use crate::{Metrics, Stage, Stop, round::Round};

pub(crate) struct Drilling {
    name: String,
    backend: String,
    run: RunOptions,
    metrics: Arc<Metrics>,
}

impl Drilling {
    pub(crate) fn new(backend: &str, run: RunOptions, metrics: Arc<Metrics>) -> Self {
        Self { name: format!("drilling/{backend}"), backend: backend.to_owned(), run, metrics }
    }
}

impl Round for Drilling {
    fn name(&self) -> &str {
        &self.name
    }

    /// A decoy is not left behind where there is time to take it away.
    fn cut_at(&self) -> Stage {
        Stage::Aborting
    }

    async fn go(&self, scheduler: &Scheduler, stop: &Stop) -> bool {
        match scheduler.engine.drill(&self.backend, &self.run, stop).await {
            Ok(drill) => {
                let (backend, milliseconds) = (&self.backend, drill.time_to_proof_ms);
                if drill.passed {
                    tracing::info!(backend, milliseconds, "a drill passed");
                } else {
                    let reason = drill.reason.as_deref().unwrap_or_default();
                    tracing::error!(backend, reason, "a drill failed");
                }
                self.metrics.drilled(drill.passed, milliseconds);
                // A drill that failed has told something; held again at once it would tell the same.
                true
            }
            Err(error) => {
                tracing::warn!(backend = self.backend, %error, "a drill could not be held");
                false
            }
        }
    }
}
