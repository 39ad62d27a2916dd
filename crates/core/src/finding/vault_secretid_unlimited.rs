//! An AppRole secret-id that neither ends nor wears out: a password by another name.
//!
//! Source: OWASP NHI7:2025; AppRole's `secret_id_ttl` and `secret_id_num_uses`, where 0 is "unlimited". One limit of the two is enough.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "vault-secretid-unlimited",
    severity: Severity::High,
    suggested: "Set `secret_id_ttl` or `secret_id_num_uses` at the role, issue new secret-ids, then destroy this one and the tokens that it gave.",
    frameworks: &[nhi("NHI7:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    if !facts::live(credential)
        || credential.kind != CredentialKind::SecretId
        || credential.expires_at.is_some()
    {
        return None;
    }
    let ttl = facts::number(&credential.attributes, "ttl")?;
    let uses = facts::number(&credential.attributes, "num_uses")?;
    (ttl == 0 && uses == 0).then(|| {
        Draft::of(&credential.at, "A secret-id neither ends nor wears out")
            .with("ttl", ttl)
            .with("num_uses", uses)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn needs_both_limits_to_be_off() {
        let limits = |ttl: i64, uses: i64| {
            sample::credential("vault/auth/approle/role/app/secret-id/a", CredentialKind::SecretId)
                .say("ttl", ttl)
                .say("num_uses", uses)
        };
        sample::holds(&RULE, limits(0, 0));
        sample::spares(&RULE, &limits(3600, 0));
        sample::spares(&RULE, &limits(0, 10));
        let unknown = sample::credential("vault/auth/approle/role/app/secret-id/a", CredentialKind::SecretId);
        sample::spares(&RULE, &unknown.say("ttl", 0));
    }
}
