//! A scan could not read something: whatever lies there is not in the inventory.
//!
//! Sources: NIST SP 800-53 r5 CA-7; NIST CSF 2.0 ID.AM-02. A store that never shows its values is a blind spot by design, so it is low.

use super::{
    Check, Context, Draft, Rule,
    framework::{csf, sp800_53},
};
use crate::{
    model::ScopeStatus,
    reference::Ref,
    view::{BackendScanView, ScopeView, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "cov-adapter-blind",
    severity: Severity::High,
    suggested: "Grant the permission that is missing (`claviger doctor` names it) or repair the connection, then scan again.",
    frameworks: &[sp800_53("CA-7"), csf("ID.AM-02")],
    check: Check::Coverage(check),
};

fn check(backend: &BackendScanView, _: &Context) -> Vec<Draft> {
    let unread = backend.scopes.iter().filter(|scope| scope.status != ScopeStatus::Complete);
    let mut drafts: Vec<Draft> = unread.map(|scope| blind_scope(backend, scope)).collect();
    // A backend may fail before it names its first scope.
    if backend.status == "failed" && drafts.iter().all(|draft| draft.severity.is_some()) {
        let whole = Draft::of(&Ref::new(&backend.name, [""; 0]), "The backend could not be scanned")
            .with("status", "failed");
        drafts.push(match &backend.error {
            Some(error) => whole.with("reason", error.as_str()),
            None => whole,
        });
    }
    drafts
}

fn blind_scope(backend: &BackendScanView, scope: &ScopeView) -> Draft {
    let (title, severity) = match scope.status {
        ScopeStatus::Denied => ("The scan was refused here", None),
        ScopeStatus::Unreadable => ("The store never shows the values that lie here", Some(Severity::Low)),
        ScopeStatus::Failed | ScopeStatus::Complete => ("The scan broke off here", None),
    };
    let draft =
        Draft::of(&Ref::new(&backend.name, [&scope.scope]), title).with("status", scope.status.as_str());
    let draft = match &scope.reason {
        Some(reason) => draft.with("reason", reason.as_str()),
        None => draft,
    };
    Draft { severity, ..draft }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, view::Counts};

    fn drafts(status: &str, scopes: &[(&str, ScopeStatus)]) -> Vec<Draft> {
        let scopes = scopes.iter().map(|(scope, status)| ScopeView {
            scope: (*scope).to_owned(),
            status: *status,
            reason: Some("403".to_owned()),
        });
        let backend = BackendScanView {
            name: "prod".to_owned(),
            kind: "kubernetes".to_owned(),
            status: status.to_owned(),
            error: None,
            scopes: scopes.collect(),
            counts: Counts::default(),
            duration_ms: 1,
        };
        check(&backend, &Context::new(sample::now()))
    }

    #[test]
    fn each_unread_scope_is_named() {
        let found = drafts("partial", &[("web", ScopeStatus::Complete), ("vip", ScopeStatus::Denied)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].subject.as_str(), "prod/vip");
        assert_eq!(found[0].evidence["reason"], "403");
        assert_eq!(found[0].severity, None);
        assert!(drafts("complete", &[("web", ScopeStatus::Complete)]).is_empty());
    }

    #[test]
    fn write_only_stores_are_low_and_a_dead_backend_is_named_itself() {
        assert_eq!(drafts("partial", &[("forge", ScopeStatus::Unreadable)])[0].severity, Some(Severity::Low));
        let dead = drafts("failed", &[]);
        assert_eq!(dead.len(), 1);
        assert_eq!(dead[0].subject.as_str(), "prod");
        assert_eq!(drafts("failed", &[("web", ScopeStatus::Failed)]).len(), 1);
    }
}
