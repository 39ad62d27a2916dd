//! What is measured. Every metric is declared in [`DECLARED`], and `metrics.md` documents the same list: a test compares both with what is exported.

use std::{collections::BTreeMap, sync::atomic::AtomicU64, time::Duration};

use chrono::{DateTime, Utc};
use claviger_core::firing::FiringCounts;
use claviger_store::{FiringEnd, NotificationEnd};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// A metric's declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared {
    /// Its name, with `_total` where it counts.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn declare(
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Declared {
    Declared { name, kind, labels, help }
}

/// All metrics. No label ever has a value that comes from outside.
pub const DECLARED: &[Declared] = &[
    declare(
        "claviger_ready",
        "gauge",
        &[],
        "1 if something may be started, else 0; /readyz says what is missing",
    ),
    declare(
        "claviger_firings",
        "gauge",
        &["state"],
        "Firings by state: planned, startable, paused, claimed, open",
    ),
    declare(
        "claviger_firing_lag_seconds",
        "gauge",
        &[],
        "How long the firing that waits longest could have started",
    ),
    declare("claviger_firings_claimed_total", "counter", &[], "Firings that this process took"),
    declare(
        "claviger_firings_settled_total",
        "counter",
        &["outcome"],
        "Firings that this process settled, by what came of them",
    ),
    declare("claviger_firings_running", "gauge", &[], "Firings that this process carries out now"),
    declare(
        "claviger_sagas_unfinished",
        "gauge",
        &["waits_for"],
        "Unfinished rotations and revocations when this process last looked: time or operator",
    ),
    declare(
        "claviger_hints_total",
        "counter",
        &["kind"],
        "Hints of work that this process heard from the database: firing, saga, plan",
    ),
    declare("claviger_undecided", "gauge", &[], "Credentials of which cannot be decided when they are due"),
    declare(
        "claviger_scans_total",
        "counter",
        &["result"],
        "Scans of this process: complete, incomplete, failed",
    ),
    declare(
        "claviger_revoked",
        "gauge",
        &["answer"],
        "Revoked credentials by what their newest trial came to: dead, back, unknown",
    ),
    declare("claviger_drills_total", "counter", &["result"], "Drills of this process: passed, failed"),
    declare(
        "claviger_drill_proof_seconds",
        "gauge",
        &[],
        "From knowing to proof, in the newest drill of this process that passed",
    ),
    declare(
        "claviger_verifications_total",
        "counter",
        &["result"],
        "Verifications of copies by this process: done, failed",
    ),
    declare(
        "claviger_copies",
        "gauge",
        &["login"],
        "Copies by what a login with them came to when this process last verified: accepted, refused, unknown",
    ),
    declare(
        "claviger_credentials_broken",
        "gauge",
        &[],
        "Credentials of which a copy is refused, or copies hold unlike values, when this process last verified",
    ),
    declare(
        "claviger_own_credentials_ending",
        "gauge",
        &[],
        "Credentials of our own backends that end and that this process cannot renew",
    ),
    declare(
        "claviger_notifications",
        "gauge",
        &["state"],
        "What others are to be told and were not yet: pending, or dead, which was given up",
    ),
    declare(
        "claviger_notifications_sent_total",
        "counter",
        &["result"],
        "Attempts of this process to tell others something: sent, failed, dead",
    ),
    declare("claviger_http_requests_total", "counter", &["route", "status"], "Answers over HTTP"),
    declare("claviger_http_request_seconds", "histogram", &["route"], "How long an answer took"),
];

type Labels = Vec<(&'static str, String)>;

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    ready: Gauge,
    firings: Family<Labels, Gauge>,
    lag: Gauge,
    claimed: Counter,
    settled: Family<Labels, Counter>,
    running: Gauge,
    unfinished: Family<Labels, Gauge>,
    hints: Family<Labels, Counter>,
    undecided: Gauge,
    scans: Family<Labels, Counter>,
    revoked: Family<Labels, Gauge>,
    drills: Family<Labels, Counter>,
    drill_proof: Gauge<f64, AtomicU64>,
    verifications: Family<Labels, Counter>,
    copies: Family<Labels, Gauge>,
    broken: Gauge,
    own_ending: Gauge,
    notifications: Family<Labels, Gauge>,
    notified: Family<Labels, Counter>,
    requests: Family<Labels, Counter>,
    took: Family<Labels, Histogram, fn() -> Histogram>,
}

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            ready: Gauge::default(),
            firings: Family::default(),
            lag: Gauge::default(),
            claimed: Counter::default(),
            settled: Family::default(),
            running: Gauge::default(),
            unfinished: Family::default(),
            hints: Family::default(),
            undecided: Gauge::default(),
            scans: Family::default(),
            revoked: Family::default(),
            drills: Family::default(),
            drill_proof: Gauge::default(),
            verifications: Family::default(),
            copies: Family::default(),
            broken: Gauge::default(),
            own_ending: Gauge::default(),
            notifications: Family::default(),
            notified: Family::default(),
            requests: Family::default(),
            took: Family::new_with_constructor(seconds),
        };
        for Declared { name, help, .. } in DECLARED {
            // The library adds what a counter's name ends with.
            let short = name.strip_suffix("_total").unwrap_or(name);
            let registry = &mut metrics.registry;
            match *name {
                "claviger_ready" => registry.register(short, *help, metrics.ready.clone()),
                "claviger_firings" => registry.register(short, *help, metrics.firings.clone()),
                "claviger_firing_lag_seconds" => registry.register(short, *help, metrics.lag.clone()),
                "claviger_firings_claimed_total" => registry.register(short, *help, metrics.claimed.clone()),
                "claviger_firings_settled_total" => registry.register(short, *help, metrics.settled.clone()),
                "claviger_firings_running" => registry.register(short, *help, metrics.running.clone()),
                "claviger_sagas_unfinished" => registry.register(short, *help, metrics.unfinished.clone()),
                "claviger_hints_total" => registry.register(short, *help, metrics.hints.clone()),
                "claviger_undecided" => registry.register(short, *help, metrics.undecided.clone()),
                "claviger_scans_total" => registry.register(short, *help, metrics.scans.clone()),
                "claviger_revoked" => registry.register(short, *help, metrics.revoked.clone()),
                "claviger_drills_total" => registry.register(short, *help, metrics.drills.clone()),
                "claviger_drill_proof_seconds" => {
                    registry.register(short, *help, metrics.drill_proof.clone())
                }
                "claviger_verifications_total" => {
                    registry.register(short, *help, metrics.verifications.clone())
                }
                "claviger_copies" => registry.register(short, *help, metrics.copies.clone()),
                "claviger_credentials_broken" => registry.register(short, *help, metrics.broken.clone()),
                "claviger_own_credentials_ending" => {
                    registry.register(short, *help, metrics.own_ending.clone())
                }
                "claviger_notifications" => registry.register(short, *help, metrics.notifications.clone()),
                "claviger_notifications_sent_total" => {
                    registry.register(short, *help, metrics.notified.clone())
                }
                "claviger_http_requests_total" => registry.register(short, *help, metrics.requests.clone()),
                "claviger_http_request_seconds" => registry.register(short, *help, metrics.took.clone()),
                _ => {}
            }
        }
        metrics
    }
}

impl Metrics {
    /// OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    pub(crate) fn firings(&self, counts: &FiringCounts, now: DateTime<Utc>) {
        let FiringCounts { planned, startable, paused, claimed, open, oldest } = *counts;
        for (state, count) in [
            ("planned", planned),
            ("startable", startable),
            ("paused", paused),
            ("claimed", claimed),
            ("open", open),
        ] {
            self.firings.get_or_create(&one("state", state)).set(whole(count));
        }
        self.lag.set(oldest.map_or(0, |oldest| (now - oldest).num_seconds().max(0)));
    }

    pub(crate) fn claimed(&self, count: usize) {
        self.claimed.inc_by(u64::try_from(count).unwrap_or(0));
    }

    pub(crate) fn settled(&self, end: Option<&FiringEnd>) {
        let outcome = match end {
            None => "lost",
            Some(FiringEnd::Done { .. }) => "done",
            Some(FiringEnd::Open { outcome, .. } | FiringEnd::Again { outcome, .. }) => outcome,
            Some(FiringEnd::Later { .. }) => "later",
            Some(FiringEnd::Superseded) => "superseded",
        };
        self.settled.get_or_create(&one("outcome", outcome)).inc();
    }

    pub(crate) fn running(&self, count: usize) {
        self.running.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn unfinished(&self, time: u64, operator: u64) {
        self.unfinished.get_or_create(&one("waits_for", "time")).set(whole(time));
        self.unfinished.get_or_create(&one("waits_for", "operator")).set(whole(operator));
    }

    pub(crate) fn hinted(&self, kind: &'static str) {
        self.hints.get_or_create(&one("kind", kind)).inc();
    }

    pub(crate) fn undecided(&self, count: usize) {
        self.undecided.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn scanned(&self, complete: Option<bool>) {
        let result = match complete {
            Some(true) => "complete",
            Some(false) => "incomplete",
            None => "failed",
        };
        self.scans.get_or_create(&one("result", result)).inc();
    }

    pub(crate) fn reprobed(&self, dead: usize, back: usize, unknown: usize) {
        for (answer, count) in [("dead", dead), ("back", back), ("unknown", unknown)] {
            self.revoked.get_or_create(&one("answer", answer)).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn drilled(&self, passed: bool, milliseconds: Option<i64>) {
        let result = if passed { "passed" } else { "failed" };
        self.drills.get_or_create(&one("result", result)).inc();
        if let Some(took) = milliseconds.and_then(|took| u64::try_from(took).ok()).filter(|_| passed) {
            self.drill_proof.set(Duration::from_millis(took).as_secs_f64());
        }
    }

    pub(crate) fn verified(&self, done: bool) {
        let result = if done { "done" } else { "failed" };
        self.verifications.get_or_create(&one("result", result)).inc();
    }

    pub(crate) fn copies(&self, accepted: usize, refused: usize, unknown: usize) {
        for (login, count) in [("accepted", accepted), ("refused", refused), ("unknown", unknown)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.copies.get_or_create(&one("login", login)).set(count);
        }
    }

    pub(crate) fn own_ending(&self, count: usize) {
        self.own_ending.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn broken(&self, count: usize) {
        self.broken.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn notifications(&self, counts: &BTreeMap<String, u64>) {
        for (state, count) in counts {
            self.notifications.get_or_create(&one("state", state)).set(whole(*count));
        }
    }

    pub(crate) fn notified(&self, end: &NotificationEnd) {
        let result = match end {
            NotificationEnd::Sent => "sent",
            NotificationEnd::Again { .. } => "failed",
            NotificationEnd::Dead { .. } => "dead",
        };
        self.notified.get_or_create(&one("result", result)).inc();
    }

    pub(crate) fn answered(&self, route: &str, status: u16, took: Duration) {
        let labels = vec![("route", route.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
        self.took.get_or_create(&one("route", route)).observe(took.as_secs_f64());
    }
}

fn one(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `| name | kind | labels | help |`
    fn documented() -> Vec<(String, String, String, String)> {
        let rows = include_str!("../metrics.md").lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [name, kind, labels, help] = cells[..] else { panic!("{row}") };
            (name.trim_matches('`').to_owned(), kind.to_owned(), labels.to_owned(), help.to_owned())
        })
        .collect()
    }

    #[test]
    fn what_is_declared_documented_and_exported_is_the_same() {
        let metrics = Metrics::default();
        metrics.firings(&FiringCounts::default(), DateTime::UNIX_EPOCH);
        metrics.settled(None);
        metrics.unfinished(1, 2);
        metrics.hinted("saga");
        metrics.scanned(Some(true));
        metrics.reprobed(3, 0, 1);
        metrics.drilled(true, Some(1500));
        metrics.verified(true);
        metrics.copies(3, 1, 2);
        metrics.notifications(&BTreeMap::from([("dead".to_owned(), 1)]));
        metrics.notified(&NotificationEnd::Sent);
        metrics.answered("/healthz", 200, Duration::from_millis(3));
        let text = metrics.text();
        for declared in DECLARED {
            let short = declared.name.strip_suffix("_total").unwrap_or(declared.name);
            assert!(text.contains(&format!("# TYPE {short} {}\n", declared.kind)), "{short}\n{text}");
            let sample = text.lines().find(|line| line.starts_with(declared.name) && !line.starts_with('#'));
            let sample = sample.unwrap_or_else(|| panic!("{} has no sample\n{text}", declared.name));
            for label in declared.labels {
                assert!(sample.contains(&format!("{label}=\"")), "{sample}");
            }
        }
        let exported = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!(exported, DECLARED.len(), "{text}");
        let declared: Vec<_> = DECLARED
            .iter()
            .map(|one| (one.name.to_owned(), one.kind.to_owned(), one.labels.join(", "), one.help.to_owned()))
            .collect();
        assert_eq!(documented(), declared);
    }
}
