//! An identity is disabled and one of its credentials is not: the offboarding stopped halfway, and enabling the identity again, by mistake or
//! not, brings the credential back.
//!
//! Sources: OWASP NHI1:2025; NIST SP 800-53 r5 PS-4b.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{nhi, sp800_53},
};
use crate::view::{CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "life-partial-offboard",
    severity: Severity::High,
    suggested: "Revoke the credential too, and delete its copies.",
    frameworks: &[nhi("NHI1:2025"), sp800_53("PS-4b")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let identity =
        detail.identity.as_ref().filter(|identity| facts::flag(&identity.attributes, "disabled"))?;
    facts::usable(credential).then(|| {
        Draft::of(&credential.at, "Its identity is disabled and it is not")
            .with("identity", identity.at.as_str())
            .with("state", credential.state.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{CredentialKind, CredentialState, IdentityKind},
    };

    #[test]
    fn holds_of_live_credentials_of_disabled_identities() {
        let of = |disabled: bool| {
            let mut detail = sample::credential("vault/auth/token/accessor/a", CredentialKind::Token);
            let mut identity = sample::identity("vault/identity/entity/e", IdentityKind::VaultToken);
            identity.attributes.insert("disabled".to_owned(), disabled.into());
            detail.identity = Some(identity);
            detail
        };
        sample::holds(&RULE, of(true));
        sample::spares(&RULE, &of(false));
        let mut suspended = of(true);
        suspended.credential.state = CredentialState::Suspended;
        sample::spares(&RULE, &suspended);
        sample::spares(&RULE, &sample::credential("vault/auth/token/accessor/a", CredentialKind::Token));
    }
}
