//! A Helm release Secret holds every rendered manifest, compressed: the values in it outlive the Secrets that they were rendered into.
//!
//! Source: OWASP NHI2:2025; Helm stores releases as Secrets of type `helm.sh/release.v1`.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::view::{CopyView, CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-helm-release",
    severity: Severity::Medium,
    suggested: "Let the chart refer to a Secret that Helm does not render, and prune old releases (`--history-max`).",
    frameworks: &[nhi("NHI2:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let releases = || detail.copies.iter().filter(|copy| in_release(copy));
    let count = releases().count();
    (count > 0).then(|| {
        Draft::of(&detail.credential.at, "A Helm release holds the rendered value")
            .with("count", count)
            .with("places", facts::refs(releases().map(|copy| &copy.at)))
    })
}

/// Of any stage: Helm keeps former releases.
fn in_release(copy: &CopyView) -> bool {
    facts::text(&copy.attributes, "secret_type") == Some("helm.sh/release.v1")
        || copy.attributes.contains_key("helm_release")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    #[test]
    fn holds_of_releases() {
        let password = || sample::credential("prod/web/Secret/db#password", CredentialKind::Password);
        let release = sample::copy("prod/web/Secret/sh.helm.release.v1.web.v3#release/0");
        sample::holds(&RULE, password().copied(release.clone().say("secret_type", "helm.sh/release.v1")));
        sample::spares(&RULE, &password().copied(release.say("secret_type", "Opaque")));
    }
}
