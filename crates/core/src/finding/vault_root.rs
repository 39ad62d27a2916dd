//! A root token of Vault or OpenBao lives: it may do everything, and policies do not bind it.
//!
//! Sources: OWASP NHI7:2025; the vendors' production hardening guides ask to revoke root tokens after set-up.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "vault-root",
    severity: Severity::Critical,
    suggested: "Revoke it; `generate-root` makes a new one when there is need.",
    frameworks: &[nhi("NHI7:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let holds = facts::live(credential)
        && credential.kind == CredentialKind::Token
        && facts::flag(&credential.attributes, "root");
    holds.then(|| {
        let draft = Draft::of(&credential.at, "A root token lives").with("root", true);
        match credential.created_at {
            Some(made) => draft.with("created_at", facts::instant(made)),
            None => draft,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_root_tokens() {
        let token = || sample::credential("vault/auth/token/accessor/a", CredentialKind::Token);
        sample::holds(&RULE, token().say("root", true));
        sample::spares(&RULE, &token().say("root", false));
        sample::spares(&RULE, &token());
    }
}
