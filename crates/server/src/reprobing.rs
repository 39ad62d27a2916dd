//! What was revoked is tried again, and what is back is revoked again where a policy says so.

use std::sync::Arc;

use claviger_core::view::Reprobe;
use claviger_engine::{firing::Scheduler, reprobe::Again, saga::RunOptions};

use crate::{Metrics, Stop, round::Round};

pub(crate) struct Reprobing {
    pub(crate) run: RunOptions,
    pub(crate) metrics: Arc<Metrics>,
}

impl Round for Reprobing {
    fn name(&self) -> &str {
        "reprobing"
    }

    async fn go(&self, scheduler: &Scheduler, stop: &Stop) -> bool {
        let engine = &scheduler.engine;
        let tried = match engine.reprobe(None).await {
            Ok(tried) => tried,
            Err(error) => {
                tracing::warn!(%error, "what was revoked could not be tried again");
                return false;
            }
        };
        let unknown = tried.iter().filter(|one| one.answer == Reprobe::Unknown).count();
        let back: Vec<_> = tried.iter().filter(|one| one.answer.is_back()).collect();
        for one in &back {
            tracing::error!(subject = %one.at, answer = one.answer.as_str(), evidence = %one.evidence, "what was revoked is back");
        }
        tracing::info!(tried = tried.len(), back = back.len(), unknown, "tried what was revoked");
        self.metrics.reprobed(tried.len() - back.len() - unknown, back.len(), unknown);
        if back.is_empty() {
            return true;
        }
        match engine.re_revoke(&tried, &self.run, stop).await {
            Ok(Again::Nothing) => {}
            Ok(Again::Waits { plan, needs }) => {
                tracing::warn!(plan = %plan, reasons = %needs.reasons.join("; "), "what is back waits for an approval");
            }
            Ok(Again::Ended { answers, refused }) => {
                for (at, answer) in answers {
                    match answer {
                        Ok(outcome) => {
                            let verdict = outcome.receipts.last().map(|receipt| receipt.verdict.as_str());
                            tracing::warn!(subject = %at, state = outcome.state, verdict, "revoked again");
                        }
                        Err(error) => {
                            tracing::error!(subject = %at, %error, "what is back was not revoked again")
                        }
                    }
                }
                for refusal in refused {
                    tracing::error!(subject = %refusal.at, code = refusal.code, reason = %refusal.reason, "what is back is not revoked again");
                }
            }
            Err(error) => {
                tracing::error!(%error, "what is back was not revoked again");
                return false;
            }
        }
        true
    }
}
