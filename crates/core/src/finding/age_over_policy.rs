//! A value older than its class may be.
//!
//! Sources: OWASP NHI7:2025; NIST SP 800-53 r5 IA-5f; PCI DSS 4.0.1 8.6.3; ISO/IEC 27001:2022 A.5.17. A policy that names a due date decides by
//! that date; else the configured maximum does. What carries its own end (certificates, bound tokens) is looked at by its end.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{iso_27001, nhi, pci_dss, sp800_53},
};
use crate::view::{CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "age-over-policy",
    severity: Severity::High,
    suggested: "Rotate it, and give it a policy with a schedule.",
    frameworks: &[nhi("NHI7:2025"), sp800_53("IA-5f"), pci_dss("8.6.3"), iso_27001("A.5.17")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, context: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let since = facts::value_since(credential)?;
    let limit = context.limit_days(credential.kind);
    let allowed = credential.next_due_at.is_some_and(|due| due > context.now);
    if !facts::ages(credential) || allowed || !facts::older_than(since, limit, context.now) {
        return None;
    }
    let draft = Draft::of(
        &credential.at,
        format!("The value has not changed since {}; {limit} days are allowed", facts::day(since)),
    )
    .with("since", facts::instant(since))
    .with("limit_days", limit);
    Some(match &credential.policy {
        Some(policy) => draft.with("policy", policy.as_str()),
        None => draft,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{CredentialKind, CredentialState},
    };

    fn password() -> CredentialDetail {
        sample::credential("db/role/app", CredentialKind::Password)
    }

    #[test]
    fn counts_from_the_last_rotation_else_from_the_making() {
        let found = sample::holds(&RULE, password().made(sample::days_ago(91)));
        assert_eq!(found.evidence["limit_days"], 90);
        sample::spares(&RULE, &password().made(sample::days_ago(90)));
        let mut rotated = password().made(sample::days_ago(900));
        rotated.credential.last_rotated_at = Some(sample::days_ago(10));
        sample::spares(&RULE, &rotated);
    }

    #[test]
    fn an_unknown_age_is_no_age() {
        sample::spares(&RULE, &password());
    }

    #[test]
    fn a_policy_with_a_later_due_date_decides() {
        let mut detail = password().made(sample::days_ago(120));
        detail.credential.policy = Some("yearly".to_owned());
        detail.credential.next_due_at = Some(sample::days_ago(-200));
        sample::spares(&RULE, &detail);
        detail.credential.next_due_at = Some(sample::days_ago(1));
        assert_eq!(sample::holds(&RULE, detail).evidence["policy"], "yearly");
    }

    #[test]
    fn key_pairs_may_be_older_and_certificates_are_not_judged_by_age() {
        let key = sample::credential("prod/web/Secret/k#key", CredentialKind::SshKey);
        sample::spares(&RULE, &key.clone().made(sample::days_ago(200)));
        sample::holds(&RULE, key.made(sample::days_ago(400)));
        let certificate = sample::credential("prod/web/Secret/k#tls.crt", CredentialKind::Certificate);
        sample::spares(&RULE, &certificate.made(sample::days_ago(4000)));
        let mut expired = password().made(sample::days_ago(400));
        expired.credential.state = CredentialState::Expired;
        sample::spares(&RULE, &expired);
    }
}
