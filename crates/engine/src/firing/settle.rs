//! What becomes of a firing by what became of its rotation.

use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::id::SagaId;
use claviger_store::FiringEnd;

use super::Scheduler;
use crate::{Error, Result};

/// Five minutes after the first try that came to nothing, then twice as long each time, at most a day.
pub(super) fn put_off(attempts: u32) -> TimeDelta {
    TimeDelta::minutes(5 << attempts.min(9)).min(TimeDelta::days(1))
}

/// By the word of the rotation's state.
pub(super) fn end_of(
    saga: SagaId,
    state: &str,
    reason: Option<String>,
    attempts: u32,
    now: DateTime<Utc>,
) -> FiringEnd {
    match state {
        "done" => FiringEnd::Done { saga },
        // Taken back, or ended by an operator: it is as due as before.
        "unwound" | "rolled-back" | "closed" => FiringEnd::Again {
            at: now + put_off(attempts),
            outcome: state.to_owned(),
            detail: Some(
                reason.map_or_else(|| format!("rotation {saga}"), |why| format!("rotation {saga}: {why}")),
            ),
        },
        open => FiringEnd::Open { saga, outcome: open.to_owned(), detail: reason },
    }
}

impl Scheduler {
    /// Looks after firings whose rotation was not over when its worker left it. Gives how many are over now.
    ///
    /// # Errors
    /// The database.
    pub async fn settle_open(&self) -> Result<usize> {
        let mut over = 0;
        for firing in self.firings.open_firings().await? {
            let now = self.engine.clock.now();
            let end = match firing.rotation_id {
                Some(id) => match self.engine.outcome(id).await {
                    Ok(outcome) => end_of(id, &outcome.state, outcome.reason, firing.attempts, now),
                    Err(Error::NoSaga(_)) => FiringEnd::Superseded,
                    Err(error) => return Err(error),
                },
                None => FiringEnd::Superseded,
            };
            if let FiringEnd::Open { outcome, .. } = &end {
                if firing.outcome.as_deref() == Some(outcome.as_str()) {
                    continue;
                }
            } else {
                over += 1;
            }
            self.firings.settle_open(now, firing.id, &end).await?;
        }
        Ok(over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_that_came_to_nothing_is_tried_again_later_and_later() {
        assert_eq!(put_off(0), TimeDelta::minutes(5));
        assert_eq!(put_off(3), TimeDelta::minutes(40));
        assert_eq!(put_off(9), TimeDelta::days(1));
        assert_eq!(put_off(u32::MAX), TimeDelta::days(1));
        let saga = SagaId(uuid::Uuid::nil());
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert_eq!(end_of(saga, "done", None, 0, now), FiringEnd::Done { saga });
        for state in ["unwound", "rolled-back", "closed"] {
            assert!(
                matches!(end_of(saga, state, None, 1, now), FiringEnd::Again { at, .. } if at == now + TimeDelta::minutes(10))
            );
        }
        for state in ["waiting", "paused", "stuck", "running", "planned", "unwinding"] {
            assert!(matches!(end_of(saga, state, None, 1, now), FiringEnd::Open { .. }), "{state}");
        }
    }
}
