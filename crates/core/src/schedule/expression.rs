//! Cron expressions of five fields, as POSIX (`crontab`) has them, with steps, names and day 7 as everybody has them.

use std::{fmt, str::FromStr as _};

use chrono::{DateTime, NaiveDateTime, Utc};

use super::ScheduleError;

/// Minute, hour, day of month, month, day of week; in local time.
///
/// Where both days are restricted, either is enough (POSIX). A field that begins with `*` restricts nothing in this sense (as in Vixie's cron),
/// so `*/2` and a weekday must both hold.
#[derive(Clone)]
pub struct Expression {
    text: String,
    /// One, or two of which either is enough.
    parts: Vec<cron::Schedule>,
}

const NAMES: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Expression {
    /// Reads five fields.
    ///
    /// # Errors
    /// [`ScheduleError::Expression`] says what is wrong. An expression that can never come (30 February) is one.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let fail = |why: &str| ScheduleError::Expression(text.to_owned(), why.to_owned());
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(fail(&format!("it has {} fields", fields.len())));
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | ',' | '-' | '/');
        if let Some(other) = text.chars().find(|c| !allowed(*c) && !c.is_ascii_whitespace()) {
            return Err(fail(&format!("`{other}` has no meaning in it")));
        }
        for field in [minute, hour, day] {
            if field.contains(|c: char| c.is_ascii_alphabetic()) {
                return Err(fail(&format!("`{field}` is no number")));
            }
        }
        let weekday = weekdays(weekday).map_err(|why| fail(&why))?;
        // The library wants seconds first, numbers Sunday 1 and lets both days hold: each is handed over in its own terms.
        let read = |day: &str, weekday: &str| {
            cron::Schedule::from_str(&format!("0 {minute} {hour} {day} {month} {weekday}"))
                .map_err(|error| fail(&error.to_string()))
        };
        let either = !day.starts_with('*') && !fields[4].starts_with('*');
        let parts =
            if either { vec![read(day, "*")?, read("*", &weekday)?] } else { vec![read(day, &weekday)?] };
        let found = Self { text: text.to_owned(), parts };
        // The 29th of February comes within eight years, whatever the weekday within forty.
        if found.times_after(NaiveDateTime::default()).next().is_none() {
            return Err(fail("there is no such day"));
        }
        Ok(found)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Local times behind this one, in order.
    pub(super) fn times_after(&self, after: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        let mut last = after;
        std::iter::from_fn(move || {
            let next = self.parts.iter().filter_map(|part| part.after(&stand_in(last)).next()).min()?;
            last = next.naive_utc();
            Some(last)
        })
    }

    /// Local times before this one, the latest first.
    pub(super) fn times_before(&self, before: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        let mut last = before;
        std::iter::from_fn(move || {
            let next = self.parts.iter().filter_map(|part| part.after(&stand_in(last)).next_back()).max()?;
            last = next.naive_utc();
            Some(last)
        })
    }
}

/// The library reckons in UTC, which has no changes: they are ours to deal with.
fn stand_in(local: NaiveDateTime) -> DateTime<Utc> {
    local.and_utc()
}

/// The days of a weekday field by their names: 0 and 7 are Sunday.
fn weekdays(field: &str) -> Result<String, String> {
    if field == "*" {
        return Ok(field.to_owned());
    }
    let mut days = [false; 7];
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => match step.parse::<usize>() {
                Ok(step) if step > 0 => (range, step),
                _ => return Err(format!("`{step}` is no step")),
            },
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (0, 6),
            Some((from, to)) => (weekday(from)?, weekday(to)?),
            // `2/3` is `2-6/3`.
            None if part.contains('/') => (weekday(range)?, 6),
            None => (weekday(range)?, weekday(range)?),
        };
        // A range may end on Sunday by its name too.
        let to = if to == 0 && from > 0 { 7 } else { to };
        if from > to {
            return Err(format!("`{range}` ends before it begins"));
        }
        (from..=to).step_by(step).for_each(|day| days[day % 7] = true);
    }
    let named: Vec<_> = NAMES.iter().zip(days).filter_map(|(name, on)| on.then_some(*name)).collect();
    Ok(named.join(","))
}

fn weekday(word: &str) -> Result<usize, String> {
    let upper = word.to_ascii_uppercase();
    let named = NAMES.iter().position(|name| *name == upper);
    let number = word.parse::<usize>().ok().filter(|number| *number <= 7);
    named.or(number).ok_or_else(|| format!("`{word}` is no day of the week"))
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}
