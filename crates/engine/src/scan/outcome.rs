//! What became of one backend in a scan.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use claviger_backend::BackendInfo;
use claviger_core::{
    model::{Scope, ScopeStatus},
    view::{BackendScanView, Counts, ScopeView},
};

/// Scopes, their ends, and a failure of the whole.
#[derive(Debug, Default)]
pub(super) struct BackendOutcome {
    open: BTreeSet<Scope>,
    ended: BTreeMap<Scope, (ScopeStatus, Option<String>)>,
    failure: Option<String>,
    duration: Duration,
}

impl BackendOutcome {
    pub(super) fn begin(&mut self, scope: &Scope) {
        if !self.ended.contains_key(scope) && !self.open.contains(scope) {
            self.open.insert(scope.clone());
        }
    }

    pub(super) fn end(&mut self, scope: Scope, status: ScopeStatus, reason: Option<String>) {
        self.open.remove(&scope);
        // A scope may end once in each phase; the worse end counts.
        let entry = self.ended.entry(scope).or_insert((ScopeStatus::Complete, None));
        if status != ScopeStatus::Complete {
            *entry = (status, reason);
        }
    }

    pub(super) fn unended(&self) -> Vec<Scope> {
        self.open.iter().cloned().collect()
    }

    /// How each scope ended.
    pub(super) fn ends(&self) -> impl Iterator<Item = (&Scope, ScopeStatus, Option<&str>)> {
        self.ended.iter().map(|(scope, (status, reason))| (scope, *status, reason.as_deref()))
    }

    pub(super) fn fail(&mut self, reason: String) {
        self.failure.get_or_insert(reason);
    }

    pub(super) fn fail_with(&mut self, error: &claviger_backend::Error) {
        let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        self.fail(format!("{}{hint}", error.message()));
    }

    pub(super) fn took(&mut self, duration: Duration) {
        self.duration += duration;
    }

    /// True if it failed as a whole before a scope could be read: the next phase would only wait for the same failure.
    pub(super) fn is_broken(&self) -> bool {
        self.failure.is_some() && self.ended.is_empty()
    }

    /// True if every scope was read.
    pub(super) fn is_complete(&self) -> bool {
        self.failure.is_none()
            && self.open.is_empty()
            && self.ended.values().all(|(status, _)| *status == ScopeStatus::Complete)
    }

    /// True if the backend's list of scopes is whole, so that a scope that it no longer names is gone. Where anything was refused or broke
    /// off, what lies behind it could not be named, and nothing that is missing means anything.
    pub(super) fn enumerated(&self) -> bool {
        self.is_complete()
    }

    pub(super) fn view(&self, info: &BackendInfo, counts: Counts) -> BackendScanView {
        let mut areas: BTreeMap<&str, (ScopeStatus, Vec<String>)> = BTreeMap::new();
        for (scope, (status, reason)) in &self.ended {
            let area = areas.entry(scope.area.as_str()).or_insert((ScopeStatus::Complete, Vec::new()));
            area.0 = area.0.max(*status);
            if *status != ScopeStatus::Complete {
                let reason = reason.as_deref().unwrap_or("no reason was given");
                area.1.push(if scope.part.is_empty() {
                    reason.to_owned()
                } else {
                    format!("{}: {reason}", scope.part)
                });
            }
        }
        let scopes = areas
            .into_iter()
            .map(|(area, (status, reasons))| ScopeView {
                scope: area.to_owned(),
                status,
                reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
            })
            .collect();
        let status = match (self.is_complete(), self.is_broken()) {
            (true, _) => "complete",
            (_, true) => "failed",
            _ => "partial",
        };
        BackendScanView {
            name: info.name.clone(),
            kind: info.kind.to_owned(),
            status: status.to_owned(),
            error: self.failure.clone(),
            scopes,
            counts,
            duration_ms: u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The view of a backend that could not even be built.
pub(super) fn broken(
    name: &str,
    kind: &str,
    error: &claviger_backend::Error,
    counts: Counts,
) -> BackendScanView {
    let mut outcome = BackendOutcome::default();
    outcome.fail_with(error);
    BackendScanView {
        name: name.to_owned(),
        kind: kind.to_owned(),
        status: "failed".to_owned(),
        error: outcome.failure,
        scopes: Vec::new(),
        counts,
        duration_ms: 0,
    }
}
