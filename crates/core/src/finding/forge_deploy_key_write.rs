//! A deploy key may write: whoever has its private half changes what is built and deployed, and it is nobody's.
//!
//! Source: OWASP NHI5:2025. Most deploy keys are for reading.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "forge-deploy-key-write",
    severity: Severity::Medium,
    suggested: "Register it again for reading only; what has to write gets a token of an identity that somebody answers for.",
    frameworks: &[nhi("NHI5:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let writes = credential.attributes.get("read_only").and_then(serde_json::Value::as_bool) == Some(false);
    let holds = facts::usable(credential) && credential.kind == CredentialKind::SshKey && writes;
    holds.then(|| {
        Draft::of(&credential.at, "The deploy key may write to its repository").with("read_only", false)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_keys_that_write_and_of_no_others() {
        let key = || sample::credential("forge/acme/shop/deploy-keys/3", CredentialKind::SshKey);
        sample::holds(&RULE, key().say("read_only", false));
        sample::spares(&RULE, &key().say("read_only", true));
        sample::spares(&RULE, &key());
    }
}
