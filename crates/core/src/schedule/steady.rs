//! Can the wall clock be believed? A clock that jumps would make everything due at once, or everything late.
//!
//! Within one process the wall clock must go as fast as the monotonic one. After a jump, either way, nothing starts until it has gone steadily for
//! [`SETTLE`]: most jumps are mistakes that somebody takes back, and what is late by ten minutes is not late.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// How long a clock has to go steadily after a jump.
pub const SETTLE: Duration = Duration::from_secs(600);
/// Corrections of this size are usual: a clock that is set by the network, a leap second, a process that was not scheduled.
const TOLERANCE: TimeDelta = TimeDelta::seconds(90);

/// Watches one process's clocks.
#[derive(Debug, Clone, Default)]
pub struct Steadiness {
    last: Option<(DateTime<Utc>, Duration)>,
    jumped: Option<(Duration, TimeDelta)>,
}

impl Steadiness {
    /// Takes the wall clock and the monotonic time since any fixed moment, read together. `Some` is how far it jumped (back, if negative) while
    /// that is not long enough ago.
    pub fn observe(&mut self, wall: DateTime<Utc>, monotonic: Duration) -> Option<TimeDelta> {
        if let Some((last_wall, last_monotonic)) = self.last {
            let gone = monotonic.saturating_sub(last_monotonic);
            let jump = (wall - last_wall) - TimeDelta::from_std(gone).unwrap_or(TimeDelta::MAX);
            if jump.abs() > TOLERANCE {
                self.jumped = Some((monotonic, jump));
            }
        }
        self.last = Some((wall, monotonic));
        let (since, jump) = self.jumped?;
        if monotonic.saturating_sub(since) < SETTLE {
            return Some(jump);
        }
        self.jumped = None;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range")
    }

    #[test]
    fn a_steady_clock_is_believed_and_a_jump_is_sat_out() {
        let mut steady = Steadiness::default();
        let second = Duration::from_secs;
        assert_eq!(steady.observe(at(0), second(0)), None);
        assert_eq!(steady.observe(at(60), second(61)), None, "the network sets it a little");
        assert_eq!(steady.observe(at(4000), second(70)), Some(TimeDelta::seconds(3931)));
        assert_eq!(steady.observe(at(4300), second(370)), Some(TimeDelta::seconds(3931)), "not yet");
        assert_eq!(steady.observe(at(380), second(380)), Some(TimeDelta::seconds(-3930)), "and back");
        assert_eq!(steady.observe(at(979), second(979)), Some(TimeDelta::seconds(-3930)));
        assert_eq!(steady.observe(at(980), second(980)), None);
        assert_eq!(steady.observe(at(981), second(981)), None);
    }
}
