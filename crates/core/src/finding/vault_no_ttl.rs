//! A token or secret-id of Vault or OpenBao that never ends by itself. Periodic tokens count as ending: they die when nobody renews them.
//!
//! Source: OWASP NHI7:2025. Root tokens have a rule of their own.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "vault-no-ttl",
    severity: Severity::High,
    suggested: "Log in with Kubernetes, JWT or AppRole auth instead, or set a TTL (`secret_id_ttl`, a periodic token); then revoke this one.",
    frameworks: &[nhi("NHI7:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let holds = facts::live(credential)
        && (facts::is_vault_token(credential) || credential.kind == CredentialKind::SecretId)
        && facts::flag(&credential.attributes, "no_expiry")
        && !facts::flag(&credential.attributes, "root");
    holds.then(|| {
        let draft =
            Draft::of(&credential.at, "It opens the secret manager and never ends").with("no_expiry", true);
        match credential.attributes.get("policies") {
            Some(policies) => draft.with("policies", policies.clone()),
            None => draft,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_tokens_without_an_end() {
        let token = || sample::credential("vault/auth/token/accessor/a", CredentialKind::Token);
        sample::holds(&RULE, token().say("no_expiry", true));
        sample::spares(&RULE, &token().say("no_expiry", true).say("root", true));
        sample::spares(&RULE, &token());
        let secret_id =
            sample::credential("vault/auth/approle/role/ci/secret-id/a", CredentialKind::SecretId);
        sample::holds(&RULE, secret_id.clone().say("no_expiry", true));
        sample::spares(&RULE, &secret_id.say("no_expiry", false));
        sample::spares(
            &RULE,
            &sample::credential("forge/users/a/tokens/1", CredentialKind::Token).say("no_expiry", true),
        );
    }
}
