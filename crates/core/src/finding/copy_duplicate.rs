//! One value in several places that nothing keeps in step: a rotation has to know all of them, and each is one more place to leak from.
//!
//! Source: OWASP NHI9:2025. Places that an operator keeps in step with their source (an ExternalSecret, a Secrets Store CSI class) and places
//! that the configuration declares are not counted; deployment tools (Helm, Argo CD) write what they were given, so theirs are. Several
//! fields of one object are one place.

use std::collections::BTreeSet;

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    reference::Ref,
    view::{CopyView, CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "copy-duplicate",
    severity: Severity::Medium,
    suggested: "Keep one source and let the others be synchronised from it, or give each consumer a credential of its own.",
    frameworks: &[nhi("NHI9:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let (shared, objects) = facts::by_fingerprint(detail)
        .into_values()
        .map(|copies| {
            let unsynchronised: Vec<&CopyView> =
                copies.into_iter().filter(|copy| !is_synchronised(copy)).collect();
            let objects: BTreeSet<Ref> = unsynchronised.iter().map(|copy| copy.at.object()).collect();
            (unsynchronised, objects.len())
        })
        .max_by_key(|(_, objects)| *objects)?;
    (objects >= 2).then(|| {
        Draft::of(
            &detail.credential.at,
            format!("The same value lies in {objects} places that nothing keeps in step"),
        )
        .with("count", objects)
        .with("places", facts::refs(shared.iter().map(|copy| &copy.at)))
    })
}

fn is_synchronised(copy: &CopyView) -> bool {
    let system = facts::text(&copy.attributes, "managed_by").unwrap_or_default();
    let kind = system.split('/').next().unwrap_or_default();
    copy.evidence == "declared" || SYNCHRONISERS.contains(&kind)
}

/// Kinds of owners and names of systems that fetch a value again and again.
const SYNCHRONISERS: &[&str] = &[
    "ExternalSecret",
    "ClusterExternalSecret",
    "external-secrets",
    "secrets-store-csi",
    "SecretProviderClassPodStatus",
    "VaultStaticSecret",
    "VaultDynamicSecret",
    "InfisicalSecret",
    "OnePasswordItem",
    "Certificate",
    "cert-manager",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{CopyStage, CredentialKind},
    };

    fn password() -> CredentialDetail {
        sample::credential("db/role/app", CredentialKind::Password)
            .copied(sample::copy("vault/secret/app#password"))
    }

    #[test]
    fn holds_of_one_value_in_two_objects() {
        let found = sample::holds(&RULE, password().copied(sample::copy("prod/web/Secret/db#password")));
        assert_eq!(found.evidence["count"], 2);
        assert_eq!(
            found.evidence["places"],
            serde_json::json!(["prod/web/Secret/db#password", "vault/secret/app#password"])
        );
    }

    #[test]
    fn spares_synchronised_former_and_differing_copies_and_fields_of_one_object() {
        let other = || sample::copy("prod/web/Secret/db#password");
        sample::spares(&RULE, &password());
        sample::spares(&RULE, &password().copied(other().say("managed_by", "ExternalSecret/db")));
        sample::holds(&RULE, password().copied(other().say("managed_by", "helm/web")));
        sample::spares(&RULE, &password().copied(other().staged(CopyStage::Former)));
        sample::spares(&RULE, &password().copied(other().valued("b2")));
        sample::spares(&RULE, &password().copied(sample::copy("vault/secret/app#url")));
        let mut unread = other();
        unread.fingerprint = None;
        sample::spares(&RULE, &password().copied(unread));
    }
}
