//! May something be started? A process that cannot write, or whose clock cannot be believed, starts nothing and says so.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use serde::Serialize;
use tokio::time::Instant;

/// How long the answer of a probe holds.
const FRESH: Duration = Duration::from_secs(5);
/// How far the database's clock and ours may be apart.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// One thing that has to be well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Is it well?
    pub ok: bool,
    /// What is missing.
    pub detail: Option<String>,
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `claviger.readiness/v1`
    pub schema: &'static str,
    /// Is all of it well?
    pub ready: bool,
    /// Each by itself.
    pub checks: Vec<Check>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When the newest probe that ended well was begun, and how far the database's clock was ahead.
    probed: Option<(Instant, TimeDelta)>,
    /// Why the newest probe failed.
    failed: Option<String>,
    jump: Option<TimeDelta>,
    draining: bool,
}

/// What was seen last.
#[derive(Debug, Default)]
pub struct Health(Mutex<Seen>);

impl Health {
    /// A probe that was begun then ended well.
    pub fn written(&self, begun: Instant, skew: TimeDelta) {
        self.with(|seen| {
            seen.probed = Some((begun, skew));
            seen.failed = None;
        });
    }

    /// A probe failed.
    pub fn failed(&self, why: String) {
        self.with(|seen| seen.failed = Some(why));
    }

    /// What the clock did.
    pub fn clock(&self, jump: Option<TimeDelta>) {
        self.with(|seen| seen.jump = jump);
    }

    /// It is about to stop.
    pub fn draining(&self) {
        self.with(|seen| seen.draining = true);
    }

    /// May something be started?
    pub fn may_start(&self) -> bool {
        self.report().ready
    }

    /// What is well and what is missing.
    pub fn report(&self) -> Report {
        self.with(|seen| {
            let database = match (&seen.failed, seen.probed) {
                (Some(why), _) => {
                    Some(format!("nothing can be written, or the audit log cannot be appended to: {why}"))
                }
                (None, Some((begun, _))) if begun.elapsed() <= FRESH => None,
                (None, Some(_)) => Some("the database has not answered for more than 5 s".to_owned()),
                (None, None) => Some("the database has not answered yet".to_owned()),
            };
            let skew = seen.probed.map(|(_, skew)| skew).filter(|skew| skew.abs() > SKEW);
            let clock = match (seen.jump, skew) {
                (Some(jump), _) => Some(format!(
                    "the clock jumped by {} s: nothing starts until it has gone steadily for ten minutes",
                    jump.num_seconds()
                )),
                (None, Some(skew)) => {
                    Some(format!("the database's clock is {} s ahead of ours", skew.num_seconds()))
                }
                (None, None) => None,
            };
            let draining = seen.draining.then(|| "it is about to stop".to_owned());
            let check = |name, detail: Option<String>| Check { name, ok: detail.is_none(), detail };
            let checks = vec![check("database", database), check("clock", clock), check("running", draining)];
            Report { schema: "claviger.readiness/v1", ready: checks.iter().all(|check| check.ok), checks }
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Seen) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(health: &Health) -> Vec<&'static str> {
        health.report().checks.into_iter().filter(|check| !check.ok).map(|check| check.name).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_answer_a_failure_and_a_doubtful_clock_start_nothing() {
        let health = Health::default();
        assert_eq!(missing(&health), ["database"], "nobody has asked yet");
        health.written(Instant::now(), TimeDelta::zero());
        assert!(health.may_start());
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(missing(&health), ["database"], "it hangs");
        health.written(Instant::now(), TimeDelta::minutes(-6));
        assert_eq!(missing(&health), ["clock"]);
        health.written(Instant::now(), TimeDelta::seconds(2));
        health.clock(Some(TimeDelta::hours(1)));
        assert_eq!(missing(&health), ["clock"]);
        health.clock(None);
        health.failed("disk full".to_owned());
        assert_eq!(missing(&health), ["database"]);
        health.written(Instant::now(), TimeDelta::zero());
        assert!(health.may_start(), "without a restart");
        health.draining();
        assert_eq!(missing(&health), ["running"]);
    }
}
