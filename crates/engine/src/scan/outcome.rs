//! What became of one backend in a scan.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use claviger_backend::{Backend, BackendInfo};
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
    /// What ended in the phase that is being read.
    ended_in_phase: BTreeSet<Scope>,
    /// What ended in each phase that failed as a whole; none if no phase did.
    vouched: Option<BTreeSet<Scope>>,
}

impl BackendOutcome {
    pub(super) fn begin(&mut self, scope: &Scope) {
        if !self.ended.contains_key(scope) && !self.open.contains(scope) {
            self.open.insert(scope.clone());
        }
    }

    pub(super) fn end(&mut self, scope: Scope, status: ScopeStatus, reason: Option<String>) {
        self.open.remove(&scope);
        self.ended_in_phase.insert(scope.clone());
        // A scope may end once in each phase; the worse end counts.
        let entry = self.ended.entry(scope).or_insert((ScopeStatus::Complete, None));
        if status != ScopeStatus::Complete {
            *entry = (status, reason);
        }
    }

    /// Ends a phase, `failed` if the backend broke off in it. One scope may have pages in both phases, so that its end in the other phase
    /// says nothing of what this one would have shown of it.
    pub(super) fn end_phase(&mut self, failed: bool) {
        let ended = std::mem::take(&mut self.ended_in_phase);
        if failed {
            self.vouched = Some(match self.vouched.take() {
                Some(vouched) => vouched.intersection(&ended).cloned().collect(),
                None => ended,
            });
        }
    }

    /// Ends the reading: a scope that a failed phase did not get to is not complete, whatever the other phase said.
    pub(super) fn settle(&mut self) {
        let Some(vouched) = &self.vouched else { return };
        for (scope, end) in &mut self.ended {
            if end.0 == ScopeStatus::Complete && !vouched.contains(scope) {
                *end = (ScopeStatus::Failed, Some("it was not read to its end".to_owned()));
            }
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

    /// Of the scopes that this scan did not name, those that nothing unread may hide: they are gone. Where the backend failed as a whole,
    /// nothing that is missing means anything.
    pub(super) fn gone(&self, missing: Vec<Scope>, backend: &dyn Backend) -> Vec<Scope> {
        if self.failure.is_some() || !self.open.is_empty() {
            return Vec::new();
        }
        let unread: Vec<&Scope> = self
            .ended
            .iter()
            .filter(|(_, (status, _))| *status != ScopeStatus::Complete)
            .map(|(scope, _)| scope)
            .collect();
        missing.into_iter().filter(|one| !unread.iter().any(|unread| backend.may_hide(unread, one))).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(area: &str) -> Scope {
        Scope { area: area.to_owned(), part: String::new() }
    }

    fn ends(outcome: &BackendOutcome) -> Vec<(&str, ScopeStatus)> {
        outcome.ends().map(|(scope, status, _)| (scope.area.as_str(), status)).collect()
    }

    #[test]
    fn a_scope_that_a_failed_phase_did_not_reach_is_not_complete() {
        let mut outcome = BackendOutcome::default();
        outcome.end(scope("in both"), ScopeStatus::Complete, None);
        outcome.end(scope("in the first"), ScopeStatus::Complete, None);
        outcome.end_phase(false);
        outcome.end(scope("in the second"), ScopeStatus::Complete, None);
        outcome.fail("the server is gone".to_owned());
        outcome.end_phase(true);
        outcome.settle();
        // `in both` and `in the first` look the same here: neither may be believed.
        assert_eq!(
            ends(&outcome),
            [
                ("in both", ScopeStatus::Failed),
                ("in the first", ScopeStatus::Failed),
                ("in the second", ScopeStatus::Complete),
            ]
        );
    }

    #[test]
    fn a_first_phase_that_failed_is_not_made_good_by_the_second() {
        let mut outcome = BackendOutcome::default();
        outcome.end(scope("read"), ScopeStatus::Complete, None);
        outcome.fail("the server is gone".to_owned());
        outcome.end_phase(true);
        outcome.end(scope("read"), ScopeStatus::Complete, None);
        outcome.end(scope("missed"), ScopeStatus::Complete, None);
        outcome.end_phase(false);
        outcome.settle();
        assert_eq!(ends(&outcome), [("missed", ScopeStatus::Failed), ("read", ScopeStatus::Complete)]);
    }
}
