//! A bootstrap token past its window, or one that has none: whoever holds it can join a node.
//!
//! Sources: OWASP NHI7:2025; CIS Kubernetes 1.10, 3.1.3. Expired ones are deleted by the token cleaner only where that controller runs.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{cis_kubernetes, nhi},
};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-bootstrap-live",
    severity: Severity::High,
    suggested: "Delete it (`kubeadm token delete`); make one that ends within the hour when a node has to join.",
    frameworks: &[nhi("NHI7:2025"), cis_kubernetes("3.1.3")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, context: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let is_bootstrap =
        credential.kind == CredentialKind::Token && facts::flag(&credential.attributes, "bootstrap");
    if !facts::live(credential) || !is_bootstrap {
        return None;
    }
    match credential.expires_at {
        None => Some(
            Draft::of(&credential.at, "A bootstrap token has no end")
                .with("expires_at", serde_json::Value::Null),
        ),
        Some(end) if end <= context.now => Some(
            Draft::of(
                &credential.at,
                format!("A bootstrap token ended on {} and is still there", facts::day(end)),
            )
            .with("expires_at", facts::instant(end)),
        ),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn a_token_within_its_window_is_fine() {
        let token = |end: Option<i64>| {
            let mut token =
                sample::credential("prod/kube-system/Secret/bootstrap-token-a", CredentialKind::Token);
            token.credential.expires_at = end.map(sample::days_ago);
            token
        };
        sample::holds(&RULE, token(None).say("bootstrap", true));
        sample::holds(&RULE, token(Some(1)).say("bootstrap", true));
        sample::spares(&RULE, &token(Some(-1)).say("bootstrap", true));
        sample::spares(&RULE, &token(None));
    }
}
