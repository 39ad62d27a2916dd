//! A client certificate in a kubeconfig: Kubernetes has no way to revoke one, so whoever copied it stays in until it ends.
//!
//! Sources: OWASP NHI4:2025; CIS Kubernetes 1.10, 3.1.1. Certificates of `system:masters` have a rule of their own.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{cis_kubernetes, nhi},
};
use crate::{
    model::{Attributes, CredentialKind},
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-client-cert-user",
    severity: Severity::High,
    suggested: "Log in through OIDC or with bound tokens; the certificate's rights end only with its bindings.",
    frameworks: &[nhi("NHI4:2025"), cis_kubernetes("3.1.1")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let is_key_pair = matches!(credential.kind, CredentialKind::Certificate | CredentialKind::PrivateKey);
    if !facts::live(credential) || !is_key_pair {
        return None;
    }
    let in_kubeconfig = || {
        facts::current(detail).filter(|copy| facts::text(&copy.attributes, "format") == Some("kubeconfig"))
    };
    let names_user = in_kubeconfig().any(|copy| copy.attributes.contains_key("certificate_subject"));
    let is_master = in_kubeconfig().any(|copy| is_of_masters(&copy.attributes));
    let holds = names_user && !is_master;
    holds.then(|| {
        let draft = Draft::of(
            &credential.at,
            "A kubeconfig logs in with a client certificate, which cannot be revoked",
        )
        .with("places", facts::refs(in_kubeconfig().map(|copy| &copy.at)));
        match credential.expires_at {
            Some(end) => draft.with("expires_at", facts::instant(end)),
            None => draft,
        }
    })
}

fn is_of_masters(attributes: &Attributes) -> bool {
    let organizations = attributes.get("organizations").and_then(serde_json::Value::as_array);
    organizations.is_some_and(|names| names.iter().any(|name| name == "system:masters"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_client_certificates_in_kubeconfigs() {
        let at = "prod/ci/Secret/kubeconfig#config/users/ci/client-certificate-data";
        let certificate = |group: &str| {
            sample::copy(at)
                .say("format", "kubeconfig")
                .say("certificate_subject", "CN=ci")
                .say("organizations", vec![group])
        };
        let credential = || sample::credential(at, CredentialKind::Certificate);
        sample::holds(&RULE, credential().copied(certificate("developers")));
        sample::spares(&RULE, &credential().copied(certificate("system:masters")));
        sample::spares(&RULE, &credential().copied(certificate("developers").say("format", "pem")));
    }
}
