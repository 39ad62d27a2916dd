//! `[policies.NAME]`.

use chrono::TimeDelta;
use claviger_core::{
    password::Rules,
    saga::Evidence,
    schedule::{self, Expression, Schedule, Window},
};
use claviger_engine::{policy::Policy, selector::Selector, timing::Timing};
use serde::{Deserialize, de::Error as _};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    r#match: Option<String>,
    r#where: Option<String>,
    max_age: Option<String>,
    strategy: Option<String>,
    #[serde(default)]
    approvals: u32,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    re_revoke: bool,
    password: Option<Password>,
    grace: Option<String>,
    evidence: Option<String>,
    consumers_at_once: Option<std::num::NonZeroUsize>,
    schedule: Option<String>,
    timezone: Option<String>,
    window: Option<String>,
    jitter: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    length: Option<usize>,
    alphabet: Option<String>,
}

/// Reads one policy.
pub(crate) fn parse(name: &str, value: toml::Value) -> Result<Policy, toml::de::Error> {
    let raw = Raw::deserialize(value)?;
    let selector = selector(raw.r#match.as_deref(), raw.r#where.as_deref())?;
    let max_age = raw.max_age.as_deref().map(age).transpose()?;
    if let Some(strategy) = raw.strategy.as_deref()
        && !matches!(strategy, "replace" | "dual" | "alternating" | "copy-only" | "reissue" | "swap")
    {
        return Err(toml::de::Error::custom(format!(
            "strategy `{strategy}` is none of replace, dual, alternating, copy-only, reissue, swap"
        )));
    }
    let grace = raw.grace.as_deref().map(age).transpose()?;
    let evidence = raw.evidence.as_deref().map(grade).transpose()?;
    let timing = timing(&raw)?;
    let password = raw.password.map(rules).transpose()?;
    Ok(Policy {
        name: name.to_owned(),
        selector,
        max_age,
        strategy: raw.strategy,
        approvals: raw.approvals,
        retain: raw.retain,
        re_revoke: raw.re_revoke,
        password,
        grace,
        evidence,
        consumers_at_once: raw.consumers_at_once,
        timing,
    })
}

fn timing(raw: &Raw) -> Result<Timing, toml::de::Error> {
    let name = raw.timezone.as_deref().unwrap_or("UTC");
    let zone = schedule::zone(name).map_err(toml::de::Error::custom)?;
    let expression = raw.schedule.as_deref().map(Expression::parse).transpose();
    let window = raw.window.as_deref().map(|text| Window::parse(text, zone)).transpose();
    Ok(Timing {
        schedule: expression.map_err(toml::de::Error::custom)?.map(|found| Schedule::new(found, zone)),
        window: window.map_err(toml::de::Error::custom)?,
        jitter: raw.jitter.as_deref().map(age).transpose()?.unwrap_or_default(),
    })
}

/// `match`, `where`, or both.
pub(super) fn selector(words: Option<&str>, condition: Option<&str>) -> Result<Selector, toml::de::Error> {
    if words.is_none() && condition.is_none() {
        return Err(toml::de::Error::custom("it needs a `match`, or a `where` with a condition in CEL"));
    }
    Selector::parse_with(words.unwrap_or_default(), condition).map_err(toml::de::Error::custom)
}

fn rules(raw: Password) -> Result<Rules, toml::de::Error> {
    let length = raw.length.unwrap_or(32);
    Rules::new(length, raw.alphabet.as_deref().unwrap_or("A-Za-z0-9_-")).map_err(toml::de::Error::custom)
}

fn grade(word: &str) -> Result<Evidence, toml::de::Error> {
    let text = || toml::de::Error::custom(format!("evidence `{word}` is none of measured, sampled, blind"));
    Evidence::parse(word).ok_or_else(text)
}

pub(super) fn age(text: &str) -> Result<TimeDelta, toml::de::Error> {
    let parsed = || {
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let number: i64 = number.parse().ok()?;
        match unit {
            "d" => TimeDelta::try_days(number),
            "h" => TimeDelta::try_hours(number),
            "m" => TimeDelta::try_minutes(number),
            _ => None,
        }
    };
    parsed()
        .ok_or_else(|| toml::de::Error::custom(format!("`{text}` is no age: write `90d`, `12h` or `30m`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_has_three_words() {
        assert_eq!(grade("blind").ok(), Some(Evidence::Blind));
        assert!(grade("Blind").is_err() && grade("none").is_err());
    }

    #[test]
    fn ages_have_units() {
        assert_eq!(age("90d").ok(), TimeDelta::try_days(90));
        assert_eq!(age("12h").ok(), TimeDelta::try_hours(12));
        for bad in ["", "90", "d", "9w", "-1d", "99999999999999999999d"] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }
}
