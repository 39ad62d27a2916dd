//! Copies of one credential that hold unlike values: some of them cannot be right, so some consumer is broken or about to be.
//!
//! Source: OWASP NHI7:2025 (a rotation that did not reach every copy). The issuer's own proof (verifier, handle, look-up) tells which copies
//! fit; a copy that is only claimed or declared and differs from a proven one is the stale one. Weak values count too: that two places claim to
//! hold one credential does not rest on their fingerprints.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::view::{CopyView, CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "copy-drift",
    severity: Severity::High,
    suggested: "See which value the issuer accepts, put that one everywhere, and restart what had read the other.",
    frameworks: &[nhi("NHI7:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let contradicting =
        || facts::current(detail).filter(|copy| copy.attributes.contains_key("contradicts_declaration"));
    let values = facts::by_fingerprint(detail);
    if values.len() < 2 {
        let count = contradicting().count();
        return (count > 0).then(|| {
            Draft::of(
                &detail.credential.at,
                "The configuration declares another credential for a copy of this one",
            )
            .with("count", count)
            .with("places", facts::refs(contradicting().map(|copy| &copy.at)))
        });
    }
    let stale = values.values().filter(|copies| !copies.iter().any(|copy| is_proven(copy))).flatten();
    let stale: Vec<&CopyView> = stale.copied().collect();
    let draft = Draft::of(
        &detail.credential.at,
        format!("Copies of one credential hold {} unlike values", values.len()),
    )
    .with("values", values.len())
    .with("places", facts::refs(values.values().flatten().map(|copy| &copy.at)));
    Some(if stale.is_empty() || stale.len() == facts::current(detail).count() {
        draft
    } else {
        draft.with("unproven", facts::refs(stale.iter().map(|copy| &copy.at)))
    })
}

fn is_proven(copy: &CopyView) -> bool {
    !matches!(copy.evidence.as_str(), "claimed" | "declared")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{CopyStage, CredentialKind},
    };

    fn proven_and(other: CopyView) -> CredentialDetail {
        let mut proven = sample::copy("vault/secret/app#password");
        proven.evidence = "verifier".to_owned();
        sample::credential("db/role/app", CredentialKind::Password).copied(proven).copied(other)
    }

    #[test]
    fn holds_of_unlike_values_and_names_the_unproven_ones() {
        let mut claimed = sample::copy("prod/web/Secret/db#password").valued("b2");
        claimed.evidence = "claimed".to_owned();
        let found = sample::holds(&RULE, proven_and(claimed));
        assert_eq!(found.evidence["values"], 2);
        assert_eq!(found.evidence["unproven"], serde_json::json!(["prod/web/Secret/db#password"]));
    }

    #[test]
    fn like_values_former_ones_and_unread_ones_do_not_drift() {
        let other = || sample::copy("prod/web/Secret/db#password");
        sample::spares(&RULE, &proven_and(other()));
        sample::spares(&RULE, &proven_and(other().valued("b2").staged(CopyStage::Former)));
        let mut unread = other();
        unread.fingerprint = None;
        sample::spares(&RULE, &proven_and(unread));
    }

    #[test]
    fn a_declaration_that_proof_contradicts_is_drift() {
        let copy =
            sample::copy("prod/web/Secret/db#password").say("contradicts_declaration", "db/role/other");
        sample::holds(&RULE, proven_and(copy));
    }
}
