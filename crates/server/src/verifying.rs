//! Copies are read and logged in with at intervals. What no longer fits is a finding, a line in the log and a metric before it is an outage.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use claviger_core::agreement::Login;
use claviger_engine::firing::Scheduler;
use tokio::time::Instant;

use crate::{Metrics, Stop, round::Round};

pub(crate) struct Verifying {
    pub(crate) metrics: Arc<Metrics>,
}

impl Round for Verifying {
    fn name(&self) -> &str {
        "verifying"
    }

    /// One that was asked for by hand counts.
    async fn last(&self, scheduler: &Scheduler) -> claviger_store::Result<Option<DateTime<Utc>>> {
        scheduler.engine.ports.inventory.last_verification().await
    }

    async fn go(&self, scheduler: &Scheduler, _: &Stop) -> bool {
        let begun = Instant::now();
        let budgets = scheduler.estate_budgets();
        match scheduler.engine.verify(None, &budgets).await {
            Ok(verified) => {
                let (refused, unknown) = (verified.logins(Login::Refused), verified.logins(Login::Unknown));
                self.metrics.verified(true);
                self.metrics.copies(verified.logins(Login::Accepted), refused, unknown);
                self.metrics.broken(verified.broken());
                tracing::info!(credentials = verified.items.len(), refused, unknown, took = ?begun.elapsed(), "verified");
                true
            }
            Err(error) => {
                self.metrics.verified(false);
                tracing::warn!(%error, "a verification failed");
                false
            }
        }
    }
}
