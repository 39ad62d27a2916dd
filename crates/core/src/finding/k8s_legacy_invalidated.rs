//! The cleaner has labelled a token Secret `kubernetes.io/legacy-token-invalid-since`: the API server refuses it, and it can be purged. Taking
//! the label away makes the token valid again at once.
//!
//! Sources: OWASP NHI1:2025; Kubernetes documentation, "Legacy ServiceAccount token cleaner".

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-legacy-invalidated",
    severity: Severity::Info,
    suggested: "Delete the Secret: whoever may write labels can bring the token back.",
    frameworks: &[nhi("NHI1:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    if !facts::live(credential) || credential.kind != CredentialKind::ServiceAccountToken {
        return None;
    }
    let since = facts::said(detail, "invalid_since").next()?;
    Some(
        Draft::of(&credential.at, "An invalidated token Secret still lies in the cluster")
            .with("invalid_since", since.clone()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_labelled_tokens() {
        let token =
            || sample::credential("prod/web/Secret/web-token-x7", CredentialKind::ServiceAccountToken);
        sample::holds(&RULE, token().say("invalid_since", "2026-05-01"));
        sample::spares(&RULE, &token());
    }
}
