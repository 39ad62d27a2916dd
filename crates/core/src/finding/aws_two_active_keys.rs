//! A user with two active access keys: a rotation that was never finished, or a key that two parties share out between them. The quota is
//! two, so the next rotation cannot begin.
//!
//! Sources: OWASP NHI7:2025 and NHI1:2025.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::{CredentialKind, CredentialState},
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "aws-two-active-keys",
    severity: Severity::Medium,
    suggested: "See which one is still used, move its consumers to the newer key, then delete the older.",
    frameworks: &[nhi("NHI7:2025"), nhi("NHI1:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let keys = facts::number(&credential.attributes, "active_keys_of_user").filter(|keys| *keys >= 2)?;
    let holds = credential.kind == CredentialKind::AccessKey && credential.state == CredentialState::Active;
    holds.then(|| Draft::of(&credential.at, "Its user has two active access keys").with("active_keys", keys))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn counts_active_keys_only() {
        let key = |keys| {
            sample::credential("aws/iam/user/ci/access-key/AKIA1", CredentialKind::AccessKey)
                .say("active_keys_of_user", keys)
        };
        sample::holds(&RULE, key(2));
        sample::spares(&RULE, &key(1));
        let mut suspended = key(2);
        suspended.credential.state = CredentialState::Suspended;
        sample::spares(&RULE, &suspended);
    }
}
