//! What claviger itself logs in with may do everything: who takes claviger takes the target.
//!
//! Source: NIST SP 800-53 r5 AC-6.

use super::{Check, Context, Draft, Rule, facts, framework::sp800_53};
use crate::view::{CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "self-overpriv",
    severity: Severity::High,
    suggested: "Give claviger the least that its flows need; `claviger doctor` names each permission.",
    frameworks: &[sp800_53("AC-6")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let all_powerful =
        ["superuser", "root"].into_iter().find(|key| facts::flag(&credential.attributes, key))?;
    let holds = facts::live(credential) && facts::flag(&credential.attributes, "own");
    holds.then(|| {
        Draft::of(&credential.at, "Claviger's own credential may do everything at this target")
            .with(all_powerful, true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    #[test]
    fn holds_of_our_own_only() {
        let role = || sample::credential("db/role/postgres", CredentialKind::Password).say("superuser", true);
        sample::holds(&RULE, role().say("own", true));
        sample::spares(&RULE, &role());
        sample::spares(
            &RULE,
            &sample::credential("db/role/claviger", CredentialKind::Password).say("own", true),
        );
    }
}
