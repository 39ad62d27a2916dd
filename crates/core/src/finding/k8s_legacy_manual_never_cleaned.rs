//! A token Secret made by hand: the cluster's cleaner looks only at generated ones, so this one stays until somebody deletes it.
//!
//! Sources: OWASP NHI7:2025 and NHI1:2025; the legacy token cleaner of kube-controller-manager, which takes only Secrets that their
//! ServiceAccount's `secrets` lists.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-legacy-manual-never-cleaned",
    severity: Severity::High,
    suggested: "Nothing but you will ever remove it: revoke it once its consumers have bound tokens, and never use its name again.",
    frameworks: &[nhi("NHI7:2025"), nhi("NHI1:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let holds = facts::live(credential)
        && credential.kind == CredentialKind::ServiceAccountToken
        && facts::said_true(detail, "manual");
    holds.then(|| {
        let draft =
            Draft::of(&credential.at, "A token Secret made by hand is never cleaned up by the cluster");
        match credential.created_at {
            Some(made) => draft.with("created_at", facts::instant(made)),
            None => draft.with("manual", true),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_only_where_the_source_says_by_hand() {
        let token = || sample::credential("prod/web/Secret/ci-token", CredentialKind::ServiceAccountToken);
        let found = sample::holds(&RULE, token().say("manual", true).made(sample::days_ago(400)));
        assert_eq!(found.evidence["created_at"], "2025-04-27T12:00:00Z");
        sample::spares(&RULE, &token().say("auto", true));
        sample::spares(&RULE, &token());
    }
}
