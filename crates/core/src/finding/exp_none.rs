//! A credential of a kind that can have an end, and its issuer says that it has none.
//!
//! Source: OWASP NHI7:2025. Only the issuer's word counts: a copy of a token of unknown make has an unknown end. Vault tokens and secret-ids
//! have rules of their own.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "exp-none",
    severity: Severity::Medium,
    suggested: "Set an end (`VALID UNTIL`, an expiry date) a little after the next rotation, so that a forgotten one dies by itself.",
    frameworks: &[nhi("NHI7:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    if !facts::usable(credential) || credential.expires_at.is_some() {
        return None;
    }
    let endless = match credential.kind {
        // A role that was read from the catalogue: no end in it means none.
        CredentialKind::Password if credential.attributes.contains_key("password_method") => {
            facts::text(&credential.attributes, "password_method").is_some_and(|method| method != "none")
                && facts::text(&credential.attributes, "valid_until").is_none_or(|until| until == "infinity")
        }
        CredentialKind::SecretId | CredentialKind::ServiceAccountToken => false,
        CredentialKind::Token if facts::is_vault_token(credential) => false,
        _ => facts::said_true(detail, "no_expiry"),
    };
    endless.then(|| {
        Draft::of(&credential.at, "It could have an end and has none")
            .with("kind", credential.kind.as_str())
            .with("expires_at", serde_json::Value::Null)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_roles_without_valid_until() {
        let role = || {
            sample::credential("db/role/app", CredentialKind::Password)
                .say("password_method", "scram-sha-256")
        };
        sample::holds(&RULE, role());
        sample::holds(&RULE, role().say("valid_until", "infinity"));
        sample::spares(&RULE, &role().say("valid_until", "2026-09-01T00:00:00Z"));
        let mut ending = role();
        ending.credential.expires_at = Some(sample::days_ago(-30));
        sample::spares(&RULE, &ending);
    }

    #[test]
    fn what_no_issuer_says_is_unknown() {
        sample::spares(&RULE, &sample::credential("prod/web/Secret/db#password", CredentialKind::Password));
        let token = || sample::credential("forge/users/ci/tokens/1", CredentialKind::ApiKey);
        sample::spares(&RULE, &token());
        sample::holds(&RULE, token().say("no_expiry", true));
        let user = sample::credential("vault/auth/userpass/users/ci", CredentialKind::Password);
        sample::holds(&RULE, user.say("no_expiry", true));
    }
}
