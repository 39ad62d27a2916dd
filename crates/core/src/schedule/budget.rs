//! How much may start at a backend: so many at a time, and so many a minute.
//!
//! The rate is a bucket that drains by the clock. A clock that goes back drains nothing until it has passed again where it was set back to; one
//! that jumps ahead empties the bucket once, which is what an idle minute would have done.

use chrono::{DateTime, TimeDelta, Utc};

/// What a backend may be asked to do by schedules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The backend's name.
    pub backend: String,
    /// Rotations at a time; at least 1.
    pub concurrency: usize,
    /// Starts in any minute; `None` for no limit.
    pub per_minute: Option<u32>,
}

impl Budget {
    /// Rotations at a time where nothing is said.
    pub const CONCURRENCY: usize = 8;

    /// What holds for a backend of which nothing is said.
    pub fn usual(backend: impl Into<String>) -> Self {
        Self { backend: backend.into(), concurrency: Self::CONCURRENCY, per_minute: None }
    }
}

/// The starts of about the last minute. Fits between processes: whoever has the row has the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Starts that have not drained, in microseconds of the time that they take to drain.
    pub level: i64,
    /// As of when.
    pub at: DateTime<Utc>,
}

const MINUTE: i64 = 60_000_000;
/// Clocks of processes may differ by this. By more, a clock was set back, and the bucket drains from its time on.
const SKEW: TimeDelta = TimeDelta::minutes(5);

impl Bucket {
    /// One that has seen no start.
    pub fn empty(now: DateTime<Utc>) -> Self {
        Self { level: 0, at: now }
    }

    /// The bucket as it is at this time, and how many may start. Half of a minute's starts may come at once and the rest spread over the minute, so
    /// that any minute, wherever it begins, has no more than `per_minute`.
    pub fn room(self, per_minute: u32, now: DateTime<Utc>) -> (Self, usize) {
        let passed = (now - self.at).max(TimeDelta::zero());
        let passed = passed.num_microseconds().unwrap_or(i64::MAX);
        // Of two processes one has the later clock. What drained by that one must not drain once more for the other.
        let ahead = self.at - now;
        let at = if ahead > TimeDelta::zero() && ahead <= SKEW { self.at } else { now };
        let drained = Self { level: self.level.saturating_sub(passed).max(0), at };
        let one = drain_time(per_minute);
        let room = (burst(per_minute) * one - drained.level) / one;
        (drained, usize::try_from(room).unwrap_or(0))
    }

    /// The bucket after so many starts.
    pub fn after(self, per_minute: u32, starts: usize) -> Self {
        let starts = i64::try_from(starts).unwrap_or(i64::MAX);
        Self { level: self.level.saturating_add(starts.saturating_mul(drain_time(per_minute))), at: self.at }
    }
}

/// Starts that may come together.
fn burst(per_minute: u32) -> i64 {
    i64::from(per_minute.max(1)).div_euclid(2).max(1)
}

/// How long one start takes to drain: the burst and what drains within a minute are a minute's starts together.
fn drain_time(per_minute: u32) -> i64 {
    let most = i64::from(per_minute.max(1));
    let steady = (most - burst(per_minute)).max(1);
    // Rounded up: a minute never drains one more.
    (MINUTE + steady - 1) / steady
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(1_800_000_000_000_000 + micros).expect("in range")
    }

    #[test]
    fn an_idle_bucket_takes_half_a_minute_s_starts_at_once() {
        let (bucket, room) = Bucket::empty(at(0)).room(60, at(0));
        assert_eq!(room, 30);
        let full = bucket.after(60, 30);
        assert_eq!(full.room(60, at(0)).1, 0);
        assert_eq!(full.room(60, at(2_000_000)).1, 1, "one every two seconds");
        assert_eq!(full.room(60, at(MINUTE)).1, 30);
        assert_eq!(Bucket::empty(at(0)).room(1, at(0)).1, 1);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let full = Bucket::empty(at(0)).after(60, 30);
        let (back, room) = full.room(60, at(-MINUTE * 60));
        assert_eq!(room, 0);
        assert_eq!(back.room(60, at(-MINUTE * 60 + 2_000_000)).1, 1, "it drains from there");
    }

    #[test]
    fn two_clocks_that_differ_drain_it_once() {
        let mut bucket = Bucket::empty(at(0)).after(60, 30);
        let mut starts = 0;
        // Ten seconds, in which both ask every tenth of one. One clock is three seconds ahead.
        for tenth in 0..100 {
            for skew in [3_000_000, 0] {
                let (drained, room) = bucket.room(60, at(tenth * 100_000 + skew));
                bucket = drained.after(60, room);
                starts += room;
            }
        }
        assert!(
            (4..=6).contains(&starts),
            "{starts} in ten seconds, of one every two, and three seconds more by the first clock"
        );
    }

    proptest! {
        /// A million that are due in one second, or whatever else wants to start: no minute has more than the budget.
        #[test]
        fn no_minute_has_more_than_its_budget(
            per_minute in 1_u32..400,
            gaps in prop::collection::vec(0_i64..9_000_000, 1..300),
            wanted in prop::sample::select(vec![1_usize, 7, 1_000_000]),
        ) {
            let mut bucket = Bucket::empty(at(0));
            let (mut now, mut starts) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                let (drained, room) = bucket.room(per_minute, at(now));
                let taken = room.min(wanted);
                bucket = drained.after(per_minute, taken);
                starts.extend(std::iter::repeat_n(now, taken));
            }
            for (index, first) in starts.iter().enumerate() {
                let within = starts[index..].iter().take_while(|start| **start < first + MINUTE).count();
                prop_assert!(within <= usize::try_from(per_minute).unwrap_or(usize::MAX), "{within} of {per_minute}");
            }
        }
    }
}
