//! `[exceptions.NAME]`: what is waived, by whom, why, and until when. All of it must be given: a waiver without an end is no exception.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use claviger_engine::exception::{Exception, Waived};
use serde::{Deserialize, de::Error as _};

use super::policy;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    r#match: Option<String>,
    r#where: Option<String>,
    waives: Vec<String>,
    approver: String,
    reason: String,
    expires: toml::Value,
}

/// Reads one exception.
pub(super) fn parse(name: &str, value: toml::Value) -> Result<Exception, toml::de::Error> {
    let raw = Raw::deserialize(value)?;
    let selector = policy::selector(raw.r#match.as_deref(), raw.r#where.as_deref())?;
    if raw.waives.is_empty() {
        return Err(toml::de::Error::custom("`waives` is empty: write `max-age` or `finding:<slug>`"));
    }
    let waives = raw.waives.iter().map(|word| waived(word)).collect::<Result<_, _>>()?;
    for (key, text) in [("approver", &raw.approver), ("reason", &raw.reason)] {
        if text.trim().is_empty() {
            return Err(toml::de::Error::custom(format!(
                "`{key}` is empty: an exception is somebody's decision"
            )));
        }
    }
    let expires = moment(&raw.expires)?;
    Ok(Exception {
        name: name.to_owned(),
        selector,
        waives,
        approver: raw.approver,
        reason: raw.reason,
        expires,
    })
}

fn waived(word: &str) -> Result<Waived, toml::de::Error> {
    match word.split_once(':') {
        None if word == "max-age" => Ok(Waived::MaxAge),
        Some(("finding", slug)) if !slug.is_empty() => Ok(Waived::Finding(slug.to_owned())),
        _ => Err(toml::de::Error::custom(format!(
            "`{word}` cannot be waived: write `max-age`, or `finding:` and a slug or a glob of slugs"
        ))),
    }
}

/// A date means its end in UTC: what expires on a day holds on that day.
pub(super) fn moment(value: &toml::Value) -> Result<DateTime<Utc>, toml::de::Error> {
    let text = match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Datetime(moment) => moment.to_string(),
        _ => String::new(),
    };
    if let Ok(moment) = DateTime::parse_from_rfc3339(&text) {
        return Ok(moment.to_utc());
    }
    let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().and_then(|day| day.succ_opt());
    day.map(|next| next.and_time(NaiveTime::MIN).and_utc()).ok_or_else(|| {
        toml::de::Error::custom(
            "it is no time: write a date such as `2027-03-31`, or an RFC 3339 time with its zone",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Exception, String> {
        let value = toml::Value::Table(text.parse::<toml::Table>().expect("TOML"));
        parse("x", value).map_err(|error| error.to_string())
    }

    #[test]
    fn an_exception_says_who_why_and_until_when() {
        let rest = "match = 'kind=password'\nwaives = ['max-age', 'finding:k8s-*']\napprover = 'dana'\nreason = 'vendor'\n";
        let read_until = |expires: &str| read(&format!("{rest}expires = {expires}"));
        for (expires, until) in [
            ("2027-03-31", "2027-04-01T00:00:00Z"),
            ("'2027-03-31'", "2027-04-01T00:00:00Z"),
            ("2027-03-31T12:00:00+02:00", "2027-03-31T10:00:00Z"),
        ] {
            let exception = read_until(expires).expect(expires);
            assert_eq!(exception.expires, until.parse::<DateTime<Utc>>().expect("a time"), "{expires}");
            assert_eq!(exception.waives, [Waived::MaxAge, Waived::Finding("k8s-*".to_owned())]);
            assert!(exception.in_force(exception.expires - chrono::TimeDelta::seconds(1)));
            assert!(!exception.in_force(exception.expires), "it ends by itself");
        }
        for expires in ["'never'", "5", "'2027-02-30'", "2027-03-31T12:00:00"] {
            assert!(read_until(expires).is_err(), "{expires}");
        }
    }

    #[test]
    fn an_exception_that_is_not_whole_is_refused() {
        let whole = "match = 'kind=password'\nwaives = ['max-age']\napprover = 'dana'\nreason = 'vendor'\nexpires = 2027-03-31";
        assert!(read(whole).is_ok());
        for line in whole.lines() {
            let without: String =
                whole.lines().filter(|other| *other != line).map(|other| format!("{other}\n")).collect();
            assert!(read(&without).is_err(), "without `{line}`");
        }
        for (from, to) in [("'dana'", "' '"), ("['max-age']", "['retain']"), ("['max-age']", "[]")] {
            assert!(read(&whole.replace(from, to)).is_err(), "{to}");
        }
    }
}
