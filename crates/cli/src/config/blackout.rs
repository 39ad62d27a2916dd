//! `[[blackouts]]`: times in which nothing starts by itself.

use chrono::{NaiveDate, NaiveTime};
use claviger_core::schedule::Blackout;
use serde::{Deserialize, de::Error as _};

use super::exception;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    from: toml::Value,
    to: toml::Value,
}

/// Reads one blackout. Of days, both belong to it (UTC).
pub(super) fn parse(value: toml::Value) -> Result<Blackout, toml::de::Error> {
    let Raw { name, from, to } = Raw::deserialize(value)?;
    let day = from.to_string().trim_matches('"').parse::<NaiveDate>().ok();
    let from = match day {
        Some(day) => day.and_time(NaiveTime::MIN).and_utc(),
        None => exception::moment(&from)?,
    };
    let to = exception::moment(&to)?;
    if to <= from {
        let text = format!("blackout `{name}` ends before it begins");
        return Err(toml::de::Error::custom(text));
    }
    Ok(Blackout { name, from, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blackout(text: &str) -> Result<Blackout, toml::de::Error> {
        let table: toml::Table = text.parse().unwrap();
        parse(toml::Value::Table(table))
    }

    #[test]
    fn days_are_whole_and_times_are_exact() {
        let days = blackout("name = 'holidays'\nfrom = 2026-12-24\nto = 2026-12-26").unwrap();
        let at = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        assert!(days.holds(at("2026-12-24T00:00:00Z")) && days.holds(at("2026-12-26T23:59:59Z")));
        assert!(!days.holds(at("2026-12-23T23:59:59Z")) && !days.holds(at("2026-12-27T00:00:00Z")));
        let times =
            blackout("name = 'release'\nfrom = 2027-01-01T10:00:00+01:00\nto = '2027-01-01T12:00:00Z'")
                .unwrap();
        assert!(times.holds(at("2027-01-01T09:00:00Z")) && !times.holds(at("2027-01-01T12:00:00Z")));
        for bad in [
            "name = 'x'\nfrom = 2027-01-02\nto = 2027-01-01",
            "name = 'x'\nfrom = 2027-01-02",
            "name = 'x'\nfrom = 1\nto = 2",
        ] {
            assert!(blackout(bad).is_err(), "{bad}");
        }
    }
}
