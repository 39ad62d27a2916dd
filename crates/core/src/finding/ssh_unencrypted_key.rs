//! A private SSH key that lies in a place for configuration or in a file without a passphrase: reading it is having it.
//!
//! Source: OWASP NHI2:2025. The cipher `none` of the key's container says so.

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
    facts::text(&copy.attributes, "cipher") == Some("none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_keys_in_the_clear() {
        let at = "prod/ci/Secret/deploy#ssh-privatekey";
        let key = |cipher: &str| {
            sample::credential(at, CredentialKind::SshKey).copied(sample::copy(at).say("cipher", cipher))
        };
        sample::holds(&RULE, key("none"));
        sample::spares(&RULE, &key("aes256-ctr"));
        sample::spares(&RULE, &sample::credential(at, CredentialKind::SshKey).copied(sample::copy(at)));
    }
}
