//! A ServiceAccount token in a Secret: readable by whoever reads Secrets, valid for every audience, without an end.
//!
//! Sources: OWASP NHI7:2025; CIS Kubernetes 1.10, 5.1.6; Kubernetes documentation, "Managing Service Accounts", which asks for bound
//! tokens instead. A token that carries the cleaner's `invalid-since` label is no longer accepted: `k8s-legacy-invalidated` says that.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{cis_kubernetes, nhi},
};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-legacy-token",
    severity: Severity::High,
    suggested: "Move its consumers to bound tokens (projected volumes, TokenRequest), then revoke it and the ServiceAccount's other token Secrets.",
    frameworks: &[nhi("NHI7:2025"), cis_kubernetes("5.1.6")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let holds = facts::live(credential)
        && credential.kind == CredentialKind::ServiceAccountToken
        && credential.long_lived
        && facts::said(detail, "invalid_since").next().is_none();
    holds.then(|| {
        Draft::of(&credential.at, "A ServiceAccount token without an end lies in a Secret")
            .with("consumers", detail.consumers.len())
            .with("places", facts::refs(facts::current(detail).map(|copy| &copy.at)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_token_secrets_and_not_of_bound_or_invalidated_tokens() {
        let token = || sample::credential("prod/web/Secret/ci-token", CredentialKind::ServiceAccountToken);
        sample::holds(&RULE, token());
        sample::spares(&RULE, &token().say("invalid_since", "2026-05-01"));
        sample::spares(&RULE, &sample::credential("prod/web/Pod/x", CredentialKind::BoundToken));
    }
}
