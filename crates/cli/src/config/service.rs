//! `[budgets.NAME]`, `[scan]`, `[verify]`, `[reprobe]`, `[drills.NAME]` and `[service]`: what runs by itself, and how much of it.

use std::{num::NonZeroU32, num::NonZeroUsize, path::PathBuf, time::Duration};

use claviger_core::schedule;
use claviger_server::Settings;
use serde::Deserialize;

use super::{Config, policy};
use crate::error::{Failure, Result};

/// `[budgets.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    concurrency: Option<NonZeroUsize>,
    per_minute: Option<NonZeroU32>,
}

/// `[scan]`, `[verify]`, `[reprobe]` and `[drills.NAME]`: what comes round.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Round {
    every: Option<String>,
}

/// `[service]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Service {
    at_once: Option<NonZeroUsize>,
    /// Whether notifications of PostgreSQL are heard; they are where nothing is said.
    hints: Option<bool>,
    /// The API may listen beyond this machine without TLS.
    pub(crate) plaintext: bool,
    /// Chain of certificates that the service shows, in PEM.
    pub(crate) certificate: Option<PathBuf>,
    /// Its key, in PEM.
    pub(crate) key: Option<PathBuf>,
    /// Who says who somebody is.
    pub(crate) oidc: Option<super::access::Oidc>,
    /// Whose ServiceAccounts are known.
    pub(crate) kubernetes: Option<super::access::Cluster>,
}

impl Service {
    /// Are hints of other processes heard?
    pub(crate) fn hears(&self) -> bool {
        self.hints.unwrap_or(true)
    }
}

pub(super) fn budgets(config: &Config) -> Result<Vec<schedule::Budget>> {
    let read = |(name, budget): (&String, &Budget)| {
        if !config.backends.contains_key(name) {
            return Err(Failure::config(37, format!("`[budgets.{name}]`: no backend is called `{name}`"))
                .hint("a budget has the name of a backend of this file"));
        }
        let usual = schedule::Budget::usual(name);
        Ok(schedule::Budget {
            concurrency: budget.concurrency.map_or(usual.concurrency, NonZeroUsize::get),
            per_minute: budget.per_minute.map(NonZeroU32::get),
            ..usual
        })
    };
    config.budgets.iter().map(read).collect()
}

pub(super) fn settings(config: &Config) -> Result<Settings> {
    let mut settings = Settings::default();
    if let Some(seconds) = config.lease_seconds {
        settings.run.lease = Duration::from_secs(seconds.clamp(3, 3600));
    }
    if let Some(at_once) = config.service.at_once {
        settings.at_once = at_once.get();
    }
    settings.scan_every = every("scan", config.scan.every.as_deref())?;
    settings.verify_every = every("verify", config.verify.every.as_deref())?;
    settings.reprobe_every = every("reprobe", config.reprobe.every.as_deref())?;
    for (name, round) in &config.drills {
        let table = format!("drills.{name}");
        if !config.backends.contains_key(name) {
            return Err(Failure::config(38, format!("`[{table}]`: no backend is called `{name}`"))
                .hint("drills are held in a backend of this file"));
        }
        settings.drills.extend(every(&table, round.every.as_deref())?.map(|every| (name.clone(), every)));
    }
    Ok(settings)
}

/// A length of time, at least a minute.
fn every(table: &str, text: Option<&str>) -> Result<Option<Duration>> {
    let Some(text) = text else { return Ok(None) };
    let every = policy::age(text).ok().filter(|every| every.num_minutes() > 0);
    let every = every.and_then(|every| every.to_std().ok()).ok_or_else(|| {
        Failure::config(38, format!("`every` of `[{table}]`: `{text}` is no length of time"))
            .hint("write e.g. `1h`, `30m` or `1d`; without it the service leaves that to you")
    })?;
    Ok(Some(every))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).expect("TOML")
    }

    #[test]
    fn what_runs_by_itself_is_read_or_refused() {
        let text = "[backends.db]\nkind = 'postgresql'\nurl = 'x'\n[budgets.db]\nconcurrency = 2\nper_minute = 30\n[scan]\nevery = '1h'\n[verify]\nevery = '6h'\n[service]\nat_once = 4";
        let read = config(text);
        let budgets = budgets(&read).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!((budgets[0].concurrency, budgets[0].per_minute), (2, Some(30)));
        let settings = settings(&read).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!((settings.at_once, settings.scan_every), (4, Some(Duration::from_secs(3600))));
        assert_eq!(settings.verify_every, Some(Duration::from_secs(6 * 3600)));
        let drills = config(
            "[backends.db]\nkind = 'postgresql'\nurl = 'x'\n[drills.db]\nevery = '7d'\n[reprobe]\nevery = '6h'",
        );
        let rounds = super::settings(&drills).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(rounds.drills, [("db".to_owned(), Duration::from_secs(7 * 86_400))]);
        assert_eq!(rounds.reprobe_every, Some(Duration::from_secs(6 * 3600)));
        assert!(super::settings(&config("[drills.nobody]\nevery = '7d'")).is_err());
        assert!(super::budgets(&config("[budgets.nobody]\nconcurrency = 2")).is_err());
        assert!(toml::from_str::<Config>("[budgets.db]\nconcurrency = 0").is_err());
        for bad in ["0h", "soon", "-1h"] {
            for table in ["scan", "verify", "reprobe"] {
                assert!(
                    super::settings(&config(&format!("[{table}]\nevery = '{bad}'"))).is_err(),
                    "{table} {bad}"
                );
            }
        }
    }
}
