//! Times at which something may start, and times at which nothing may.

use std::fmt;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{ScheduleError, instant, local};

/// Local times of every day between which something may start; the end does not belong to it. It may go over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    from: NaiveTime,
    to: NaiveTime,
    zone: Tz,
}

impl Window {
    /// Reads `22:00-04:00`.
    ///
    /// # Errors
    /// [`ScheduleError::Window`]; also where it is empty.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, ScheduleError> {
        let fail = || ScheduleError::Window(text.to_owned());
        let time = |text: &str| NaiveTime::parse_from_str(text.trim(), "%H:%M").map_err(|_| fail());
        let (from, to) = text.split_once('-').ok_or_else(fail)?;
        let (from, to) = (time(from)?, time(to)?);
        if from == to {
            return Err(fail());
        }
        Ok(Self { from, to, zone })
    }

    /// The time zone whose clocks count.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// May something start then?
    pub fn holds(&self, time: DateTime<Utc>) -> bool {
        let shown = local(self.zone, time).time();
        if self.from < self.to {
            self.from <= shown && shown < self.to
        } else {
            self.from <= shown || shown < self.to
        }
    }

    /// The first moment not before `time` at which something may start.
    pub fn opens(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        if self.holds(time) {
            return time;
        }
        let today = local(self.zone, time).date();
        let opening = |days: i64| {
            let date = today.checked_add_signed(TimeDelta::days(days))?;
            // Where the clocks skip its beginning, it begins behind the gap.
            Some(instant(self.zone, date.and_time(self.from)))
        };
        // A day that the zone leaves out has no opening, hence the third.
        let mut openings = (0..3).filter_map(opening);
        openings.find(|open| *open >= time && self.holds(*open)).unwrap_or(time)
    }
}

/// As [`Window::parse`] reads it; the time zone is not part of it.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from.format("%H:%M"), self.to.format("%H:%M"))
    }
}

/// A time in which nothing starts: a holiday, a freeze before a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blackout {
    /// What it is called.
    pub name: String,
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// The first moment behind it.
    pub to: DateTime<Utc>,
}

impl Blackout {
    /// Does it hold then?
    pub fn holds(&self, time: DateTime<Utc>) -> bool {
        self.from <= time && time < self.to
    }
}
