//! When something is due: five-field cron expressions in a time zone, windows, blackouts, jitter. Pure: the time is a parameter.
//!
//! Once per local time. A time that the clock skips in spring comes at the end of the gap; one that it shows twice in autumn counts the first
//! time. A skipped 02:30 that is lost, or a 02:30 that comes twice, is how other schedulers miss or repeat a run.

mod budget;
mod expression;
mod steady;
mod urgency;
mod window;

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use sha2::{Digest as _, Sha256};

pub use self::{
    budget::{Bucket, Budget},
    expression::Expression,
    steady::{SETTLE, Steadiness},
    urgency::Urgency,
    window::{Blackout, Window},
};
use crate::id::CredentialId;

/// What cannot be a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression.
    #[error("`{0}` is no cron expression of five fields (minute hour day-of-month month day-of-week): {1}")]
    Expression(String, String),
    /// The time zone.
    #[error("`{0}` is no time zone of the IANA database, such as `Europe/Berlin`")]
    Zone(String),
    /// The window.
    #[error("`{0}` is no window of local times, such as `22:00-04:00`")]
    Window(String),
}

/// Expression and time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    expression: Expression,
    zone: Tz,
}

/// No zone's clocks go back further, in hours: a day that is lived twice.
const BACK: i32 = 25;

impl Schedule {
    /// The expression in this zone.
    pub fn new(expression: Expression, zone: Tz) -> Self {
        Self { expression, zone }
    }

    /// The first time behind `after`. `None` if it never comes again.
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // What the clocks have shown by now is over. What they show a second time is skipped here, as it came the first time.
        let from = local(self.zone, after);
        self.expression.times_after(from).map(|time| instant(self.zone, time)).find(|time| *time > after)
    }

    /// The last time that is not behind `until`. `None` if there was none.
    pub fn last(&self, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Where the clocks went back lately, they have shown later times than now.
        let hour = TimeDelta::hours(1);
        let shown = (0..=BACK).map(|hours| local(self.zone, until - hour * hours)).max()?;
        let to = shown + hour;
        self.expression.times_before(to).map(|time| instant(self.zone, time)).find(|time| *time <= until)
    }

    /// The time zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.expression.as_str()
    }
}

/// Finds a time zone by its IANA name.
///
/// # Errors
/// [`ScheduleError::Zone`].
pub fn zone(name: &str) -> Result<Tz, ScheduleError> {
    name.parse().map_err(|_| ScheduleError::Zone(name.to_owned()))
}

/// What the clocks of the zone show.
fn local(zone: Tz, time: DateTime<Utc>) -> NaiveDateTime {
    time.with_timezone(&zone).naive_local()
}

/// When the clocks of the zone show this: the first time, or where they skip it, the end of the gap.
fn instant(zone: Tz, time: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&time) {
        LocalResult::Single(found) | LocalResult::Ambiguous(found, _) => found.to_utc(),
        LocalResult::None => after_gap(zone, time),
    }
}

/// Gaps are found by halving: offsets change a few times a year, and never twice within two days.
fn after_gap(zone: Tz, time: NaiveDateTime) -> DateTime<Utc> {
    let day = TimeDelta::days(1);
    let (mut before, mut behind) = (time.and_utc() - day, time.and_utc() + day);
    while behind - before > TimeDelta::seconds(1) {
        let middle = before + (behind - before) / 2;
        if local(zone, middle) < time {
            before = middle;
        } else {
            behind = middle;
        }
    }
    // The instant behind the gap is a whole second.
    DateTime::from_timestamp(behind.timestamp(), 0).unwrap_or(behind)
}

/// A delay of less than `most` that is always the same for a credential, so that what falls due together does not start together.
pub fn jitter(credential: CredentialId, most: TimeDelta) -> TimeDelta {
    let Some(most) = u64::try_from(most.num_seconds()).ok().filter(|most| *most > 0) else {
        return TimeDelta::zero();
    };
    let mut sha = Sha256::new();
    sha.update(b"claviger-jitter/v1\0");
    sha.update(credential.0.as_bytes());
    let digest: [u8; 32] = sha.finalize().into();
    let number = digest[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    TimeDelta::seconds(i64::try_from(number % most).unwrap_or(0))
}

#[cfg(test)]
mod tests;
