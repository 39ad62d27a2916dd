//! Time as a parameter. Nothing in claviger asks the machine for the time except [`SystemClock`].

use std::sync::Mutex;

use chrono::{DateTime, Duration, SubsecRound, Utc};

/// Source of wall-clock time.
///
/// Wall-clock time is for records that people read. Leases run on database time, and waiting runs on tokio's monotonic timer.
pub trait Clock: Send + Sync {
    /// The present instant in UTC, cut to microseconds, which is what PostgreSQL and SQLite keep.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the ambient clock is read")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// A clock that stands still until it is told to move. For tests and for the simulated estate.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: DateTime<Utc>) -> Self {
        Self(Mutex::new(start))
    }

    /// Moves the clock; a negative duration moves it back.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
