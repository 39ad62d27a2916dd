use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Call;
use crate::{Effect, Error, Result, Retry};

/// When and how often to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all; 1 is no retry.
    pub attempts: u32,
    /// Wait before the second attempt; it doubles from there.
    pub first_wait: Duration,
    /// Longest wait of our own. What the target asks for is waited for even if it is longer, as long as the deadline allows.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    /// Four attempts, 200 ms, at most 5 s.
    fn default() -> Self {
        Self { attempts: 4, first_wait: Duration::from_millis(200), longest_wait: Duration::from_secs(5) }
    }
}

impl RetryPolicy {
    /// The wait after the failed attempt number `attempt`, counted from 1.
    fn wait(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        let own = self
            .first_wait
            .saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)))
            .min(self.longest_wait);
        asked.map_or(own, |asked| asked.max(own))
    }
}

/// Tries until it succeeds, fails for good, or attempts or time are used up.
pub(super) async fn retried<T, F>(
    policy: &RetryPolicy,
    call: &Call<'_>,
    deadline: Instant,
    attempt: impl Fn() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut number = 1;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if !may_repeat(&error) {
            return Err(error);
        }
        let wait = policy.wait(number, error.retry_after());
        if number >= policy.attempts || Instant::now() + wait >= deadline {
            return Err(error.with_retry(Retry::Persistent));
        }
        tracing::debug!(
            operation.name = call.name,
            retry.attempt = number,
            retry.wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            error.kind = ?error.kind(),
            "trying again"
        );
        sleep(wait).await;
        number += 1;
    }
}

fn may_repeat(error: &Error) -> bool {
    error.retry() == Retry::Temporary && error.effect() == Effect::NotApplied
}
