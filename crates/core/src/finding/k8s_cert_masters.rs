//! A client certificate of the group `system:masters`: it passes every authorizer, and Kubernetes cannot revoke it before it ends.
//!
//! Sources: OWASP NHI5:2025; CIS Kubernetes 1.10, 5.1.7.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{cis_kubernetes, nhi},
};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-cert-masters",
    severity: Severity::Critical,
    suggested: "Replace it by an identity that RBAC binds; only a new cluster CA ends this one before its time.",
    frameworks: &[nhi("NHI5:2025"), cis_kubernetes("5.1.7")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let is_key_pair = matches!(
        credential.kind,
        CredentialKind::Certificate | CredentialKind::PrivateKey | CredentialKind::Kubeconfig
    );
    let in_masters = facts::said(detail, "organizations")
        .filter_map(serde_json::Value::as_array)
        .flatten()
        .any(|organization| organization == "system:masters");
    (facts::live(credential) && is_key_pair && in_masters).then(|| {
        let draft = Draft::of(&credential.at, "A client certificate carries the group system:masters")
            .with("organization", "system:masters");
        match credential.expires_at {
            Some(end) => draft.with("expires_at", facts::instant(end)),
            None => draft,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_the_group_masters() {
        let certificate = |group: &str| {
            let at = "prod/ci/Secret/kubeconfig#config/users/0";
            sample::credential(at, CredentialKind::Certificate)
                .copied(sample::copy(at).say("organizations", vec![group]))
        };
        sample::holds(&RULE, certificate("system:masters"));
        sample::spares(&RULE, &certificate("developers"));
    }
}
