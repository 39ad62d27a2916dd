//! Images are pulled with a registry password that lies in the cluster and does not end.
//!
//! Source: OWASP NHI7:2025. Tokens that end within a day (ECR, GAR, ACR) are left out.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::{ConsumerHow, CredentialKind},
    view::{CopyView, CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "registry-static-pull",
    severity: Severity::Medium,
    suggested: "Let the kubelet's credential provider fetch short-lived tokens with the node's or workload's cloud identity.",
    frameworks: &[nhi("NHI7:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let pulls = detail.consumers.iter().filter(|consumer| consumer.how == ConsumerHow::ImagePull).count();
    let holds = facts::live(credential)
        && credential.kind == CredentialKind::Registry
        && credential.long_lived
        && (pulls > 0 || facts::current(detail).any(is_pull_secret));
    holds.then(|| {
        Draft::of(&credential.at, "Images are pulled with a static registry password")
            .with("pulling", pulls)
            .with("places", facts::refs(facts::current(detail).map(|copy| &copy.at)))
    })
}

fn is_pull_secret(copy: &CopyView) -> bool {
    facts::text(&copy.attributes, "secret_type").is_some_and(|kind| kind.starts_with("kubernetes.io/dockerc"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_long_lived_pull_secrets() {
        let copy = |kind: &str| {
            sample::copy("prod/web/Secret/pull#.dockerconfigjson/auths/r/password").say("secret_type", kind)
        };
        let registry = || {
            sample::credential(
                "prod/web/Secret/pull#.dockerconfigjson/auths/r/password",
                CredentialKind::Registry,
            )
        };
        sample::holds(&RULE, registry().copied(copy("kubernetes.io/dockerconfigjson")));
        sample::holds(&RULE, registry().copied(copy("kubernetes.io/dockercfg")));
        sample::spares(&RULE, &registry().copied(copy("Opaque")));
        let mut short = registry().copied(copy("kubernetes.io/dockerconfigjson"));
        short.credential.long_lived = false;
        sample::spares(&RULE, &short);
    }
}
