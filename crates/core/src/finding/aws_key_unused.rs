//! An active access key that IAM has not seen for long, or never.
//!
//! Sources: OWASP NHI7:2025 and NHI1:2025. IAM tells for each key when it was last used, and says so where it never was.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "aws-key-unused",
    severity: Severity::Medium,
    suggested: "Set it Inactive, wait for a complaint, then delete it.",
    frameworks: &[nhi("NHI7:2025"), nhi("NHI1:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, context: &Context) -> Option<Draft> {
    if detail.credential.kind != CredentialKind::AccessKey {
        return None;
    }
    facts::disuse(detail, context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialState};

    #[test]
    fn holds_of_active_keys_with_a_known_disuse() {
        let key = || sample::credential("aws/iam/user/ci/access-key/AKIA1", CredentialKind::AccessKey);
        let mut stale = key();
        stale.credential.last_used_at = Some(sample::days_ago(120));
        sample::holds(&RULE, stale.clone());
        stale.credential.state = CredentialState::Suspended;
        sample::spares(&RULE, &stale);
        sample::holds(&RULE, key().made(sample::days_ago(60)).say("never_used", true));
        sample::spares(&RULE, &key().made(sample::days_ago(60)));
        let mut password = sample::credential("db/role/app", CredentialKind::Password);
        password.credential.last_used_at = Some(sample::days_ago(120));
        sample::spares(&RULE, &password);
    }
}
