//! Nobody answers for it: neither the credential nor its identity has a person or team.
//!
//! Sources: OWASP NHI1:2025; NIST CSF 2.0 GV.RR-02; NIST SP 800-53 r5 AC-2b; ISO/IEC 27001:2022 A.5.9 and A.5.16.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{csf, iso_27001, nhi, sp800_53},
};
use crate::view::{CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "own-missing",
    severity: Severity::High,
    suggested: "Name an owner: a label or annotation `owner` or `team` at the source, or a rule in the configuration.",
    frameworks: &[
        nhi("NHI1:2025"),
        csf("GV.RR-02"),
        sp800_53("AC-2b"),
        iso_27001("A.5.9"),
        iso_27001("A.5.16"),
    ],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let named = |owner: &Option<String>| owner.as_ref().is_some_and(|owner| !owner.trim().is_empty());
    let owned =
        named(&credential.owner) || detail.identity.as_ref().is_some_and(|identity| named(&identity.owner));
    if !facts::live(credential) || owned || facts::flag(&credential.attributes, "own") {
        return None;
    }
    let draft = Draft::of(&credential.at, "Nobody is named who answers for it")
        .with("hints", detail.owners.iter().map(|hint| hint.source.clone()).collect::<Vec<_>>());
    Some(match &credential.identity {
        Some(identity) => draft.with("identity", identity.as_str()),
        None => draft,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{CredentialKind, IdentityKind},
    };

    #[test]
    fn an_owner_of_the_identity_is_enough() {
        let mut nobody = sample::credential("db/role/app", CredentialKind::Password);
        nobody.credential.owner = None;
        sample::holds(&RULE, nobody.clone());
        let mut blank = nobody.clone();
        blank.credential.owner = Some("  ".to_owned());
        sample::holds(&RULE, blank);
        let mut role = sample::identity("db/role/app", IdentityKind::DatabaseRole);
        role.owner = Some("payments".to_owned());
        let mut owned = nobody;
        owned.identity = Some(role);
        sample::spares(&RULE, &owned);
        sample::spares(&RULE, &sample::credential("db/role/app", CredentialKind::Password));
    }
}
