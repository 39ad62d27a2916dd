//! Its issuer knows when it was last used, and that is long ago, or knows that it never was.
//!
//! Sources: OWASP NHI1:2025; NIST SP 800-53 r5 AC-2(3)d. An issuer that keeps no record proves nothing: `never_used` is set only by issuers that
//! do. Access keys have a rule of their own.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{nhi, sp800_53},
};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "life-unused",
    severity: Severity::Medium,
    suggested: "Ask its owner; if nobody objects, quarantine it for a while, then revoke it.",
    frameworks: &[nhi("NHI1:2025"), sp800_53("AC-2(3)d")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, context: &Context) -> Option<Draft> {
    if detail.credential.kind == CredentialKind::AccessKey {
        return None;
    }
    facts::disuse(detail, context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialState};

    fn token() -> CredentialDetail {
        sample::credential("vault/auth/token/accessor/a", CredentialKind::Token)
    }

    #[test]
    fn a_known_date_counts_and_an_unknown_one_does_not() {
        let mut used = token().made(sample::days_ago(900));
        sample::spares(&RULE, &used);
        used.credential.last_used_at = Some(sample::days_ago(91));
        sample::holds(&RULE, used.clone());
        used.credential.last_used_at = Some(sample::days_ago(89));
        sample::spares(&RULE, &used);
    }

    #[test]
    fn never_used_needs_the_issuers_word_and_a_month() {
        sample::holds(&RULE, token().made(sample::days_ago(31)).say("never_used", true));
        sample::spares(&RULE, &token().made(sample::days_ago(29)).say("never_used", true));
        sample::spares(&RULE, &token().say("never_used", true));
    }

    #[test]
    fn what_cannot_be_used_is_not_unused() {
        let mut suspended = token();
        suspended.credential.last_used_at = Some(sample::days_ago(400));
        suspended.credential.state = CredentialState::Suspended;
        sample::spares(&RULE, &suspended);
    }
}
