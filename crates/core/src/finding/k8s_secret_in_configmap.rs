//! A secret in a ConfigMap: ConfigMaps are readable far more widely than Secrets, are not encrypted at rest by the usual configuration, and
//! appear in support bundles.
//!
//! Sources: OWASP NHI2:2025; Kubernetes documentation, "ConfigMaps": not for confidential data.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::Place,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-secret-in-configmap",
    severity: Severity::High,
    suggested: "Move the value into a Secret or an external store, let the workload read it from there, then rotate it: it was readable.",
    frameworks: &[nhi("NHI2:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let in_config_maps = || {
        facts::current(detail).filter(|copy| {
            copy.place != Place::SecretStore && facts::document_kind(copy) == Some("ConfigMap")
        })
    };
    let count = in_config_maps().count();
    (count > 0).then(|| {
        Draft::of(&detail.credential.at, "A secret lies in a ConfigMap")
            .with("count", count)
            .with("places", facts::refs(in_config_maps().map(|copy| &copy.at)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{CopyStage, CredentialKind},
    };

    #[test]
    fn holds_of_what_a_config_map_shows_now() {
        let password = || sample::credential("db/role/app", CredentialKind::Password);
        let place = || sample::copy("prod/web/ConfigMap/app#database-url").placed(Place::Configuration);
        let found = sample::holds(
            &RULE,
            password().copied(place()).copied(sample::copy("prod/web/Secret/db#password")),
        );
        assert_eq!(found.evidence["places"], serde_json::json!(["prod/web/ConfigMap/app#database-url"]));
        sample::spares(&RULE, &password().copied(sample::copy("prod/web/Secret/db#password")));
        sample::spares(&RULE, &password().copied(place().staged(CopyStage::Former)));
    }

    #[test]
    fn a_manifest_says_what_its_documents_are() {
        let copy = sample::copy("repo/k8s/app.yaml#data/url").placed(Place::Configuration);
        let password = sample::credential("repo/k8s/app.yaml#data/url", CredentialKind::Password);
        sample::spares(&RULE, &password.clone().copied(copy.clone()));
        sample::holds(&RULE, password.copied(copy.say("object_kind", "ConfigMap")));
    }
}
