//! A scanner has found the value where it does not belong, in a repository, and it is still in use.
//!
//! Sources: OWASP NHI2:2025; PCI DSS 8.6.2 (not hard coded in source). That the scanner says so is a fact; whether somebody took it, nobody knows.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{nhi, pci_dss},
};
use crate::view::{CopyView, CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "leak-git",
    severity: Severity::Critical,
    suggested: "Revoke it now (`claviger revoke`, with `--replace` where it is needed); taking it out of the repository does not call it back.",
    frameworks: &[nhi("NHI2:2025"), pci_dss("8.6.2")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::usable(&detail.credential) {
        return None;
    }
    let leaks: Vec<&CopyView> =
        detail.copies.iter().filter(|copy| facts::flag(&copy.attributes, "leaked")).collect();
    let public = leaks.iter().any(|copy| facts::flag(&copy.attributes, "publicly_leaked"));
    (!leaks.is_empty()).then(|| {
        let title =
            if public { "Its value was found in public" } else { "Its value was found in a repository" };
        Draft::of(&detail.credential.at, title)
            .with("at", facts::refs(leaks.iter().map(|copy| &copy.at)))
            .with("public", public)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        finding::sample,
        model::{CopyStage, CredentialKind, CredentialState},
    };

    const ALERT: &str = "forge/acme/shop/secret-scanning/alerts/1#secret";

    fn leaked(public: bool) -> CredentialDetail {
        let mut copy = sample::copy(ALERT);
        copy.stage = CopyStage::Former;
        copy.attributes.insert("leaked".to_owned(), json!(true));
        copy.attributes.insert("publicly_leaked".to_owned(), json!(public));
        sample::credential("db/role/app", CredentialKind::Password).copied(copy)
    }

    #[test]
    fn holds_of_what_was_found_and_still_works() {
        let found = sample::holds(&RULE, leaked(true));
        assert_eq!((&found.evidence["at"], &found.evidence["public"]), (&json!([ALERT]), &json!(true)));
        let found = sample::holds(&RULE, leaked(false));
        assert_eq!(found.title, "Its value was found in a repository");
    }

    #[test]
    fn spares_what_is_dead_and_what_lies_where_it_belongs() {
        let mut dead = leaked(true);
        dead.credential.state = CredentialState::RevokedProven;
        sample::spares(&RULE, &dead);
        let kept = sample::credential("db/role/app", CredentialKind::Password).copied(sample::copy("kv/a#b"));
        sample::spares(&RULE, &kept);
    }
}
