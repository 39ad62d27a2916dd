//! A private SSH key that is stored without a passphrase: reading it is having it.
//!
//! Source: OWASP NHI2:2025. The key's container says whether it is encrypted.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CopyView, CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "ssh-unencrypted-key",
    severity: Severity::Medium,
    suggested: "Use short-lived SSH certificates or deploy tokens; else keep the key in a secret store only.",
    frameworks: &[nhi("NHI2:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    if !facts::live(credential) || credential.kind != CredentialKind::SshKey {
        return None;
    }
    let open = || facts::current(detail).filter(|copy| is_open(copy));
    let count = open().count();
    (count > 0).then(|| {
        Draft::of(&credential.at, "A private SSH key is stored without a passphrase")
            .with("count", count)
            .with("places", facts::refs(open().map(|copy| &copy.at)))
    })
}

fn is_open(copy: &CopyView) -> bool {
    let is_encrypted = copy.attributes.get("encrypted").and_then(serde_json::Value::as_bool);
    is_encrypted == Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_keys_in_the_clear() {
        let at = "prod/ci/Secret/deploy#ssh-privatekey";
        let key = |encrypted: bool| {
            sample::credential(at, CredentialKind::SshKey)
                .copied(sample::copy(at).say("encrypted", encrypted))
        };
        sample::holds(&RULE, key(false));
        sample::spares(&RULE, &key(true));
        sample::spares(&RULE, &sample::credential(at, CredentialKind::SshKey).copied(sample::copy(at)));
    }
}
