//! It has ended and still lies in a store or is mounted: dead weight at best, an outage at worst.
//!
//! Source: OWASP NHI1:2025.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::view::{CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "exp-still-served",
    severity: Severity::Medium,
    suggested: "Remove the copies, or rotate it if something still needs it.",
    frameworks: &[nhi("NHI1:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, context: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let end = credential.expires_at.filter(|end| *end <= context.now)?;
    let copies = facts::current(detail).count();
    let holds = facts::live(credential) && (copies > 0 || !detail.consumers.is_empty());
    holds.then(|| {
        Draft::of(&credential.at, format!("It ended on {} and is still stored", facts::day(end)))
            .with("expires_at", facts::instant(end))
            .with("copies", copies)
            .with("consumers", detail.consumers.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{CredentialKind, CredentialState},
    };

    #[test]
    fn needs_an_end_in_the_past_and_a_copy() {
        let ended = |days| {
            let mut detail = sample::credential("prod/web/Secret/tls#tls.crt", CredentialKind::Certificate);
            detail.credential.expires_at = Some(sample::days_ago(days));
            detail.credential.state = CredentialState::Expired;
            detail
        };
        let copy = || sample::copy("prod/web/Secret/tls#tls.crt");
        sample::holds(&RULE, ended(1).copied(copy()));
        sample::spares(&RULE, &ended(-1).copied(copy()));
        sample::spares(&RULE, &ended(1));
    }
}
