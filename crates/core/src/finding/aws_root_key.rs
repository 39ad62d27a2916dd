//! An access key of the account's root user: no policy binds it.
//!
//! Sources: OWASP NHI7:2025 and NHI1:2025; AWS IAM best practices ask for no root access key at all.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "aws-root-key",
    severity: Severity::Critical,
    suggested: "Give its consumers roles, then delete the key; root needs none.",
    frameworks: &[nhi("NHI7:2025"), nhi("NHI1:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let holds = facts::live(credential)
        && credential.kind == CredentialKind::AccessKey
        && facts::flag(&credential.attributes, "root");
    holds.then(|| {
        Draft::of(&credential.at, "The account's root user has an access key")
            .with("state", credential.state.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_root_only() {
        let key = || sample::credential("aws/iam/user/root/access-key/AKIA1", CredentialKind::AccessKey);
        sample::holds(&RULE, key().say("root", true));
        sample::spares(&RULE, &key());
    }
}
