//! A value that was never changed since it was made, and is older than one period of its class.
//!
//! Source: OWASP NHI7:2025. Known only where the source shows both dates, or where a value of this kind cannot change (access keys and token
//! Secrets are replaced, never changed).

use chrono::TimeDelta;

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, CredentialView, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "age-never-rotated",
    severity: Severity::Medium,
    suggested: "Rotate it once by hand: what was never rotated breaks something when it has to be.",
    frameworks: &[nhi("NHI7:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, context: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let made = credential.created_at?;
    let holds = facts::ages(credential)
        && is_first_value(credential)
        && facts::older_than(made, context.limit_days(credential.kind), context.now);
    holds.then(|| {
        Draft::of(
            &credential.at,
            format!("The value was never changed since it was made on {}", facts::day(made)),
        )
        .with("created_at", facts::instant(made))
    })
}

fn is_first_value(credential: &CredentialView) -> bool {
    let made_once =
        matches!(credential.kind, CredentialKind::AccessKey | CredentialKind::ServiceAccountToken);
    match (credential.created_at, credential.last_rotated_at) {
        // Stores write the two dates within one request.
        (Some(made), Some(rotated)) => rotated <= made + TimeDelta::minutes(1),
        (Some(_), None) => made_once,
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn needs_both_dates_or_a_kind_that_cannot_change() {
        let password = |rotated: Option<i64>| {
            let mut detail = sample::credential("vault/secret/app#password", CredentialKind::Password)
                .made(sample::days_ago(400));
            detail.credential.last_rotated_at = rotated.map(sample::days_ago);
            detail
        };
        sample::holds(&RULE, password(Some(400)));
        sample::spares(&RULE, &password(Some(399)));
        sample::spares(&RULE, &password(None));
        let key = |days| {
            sample::credential("aws/iam/user/ci/access-key/A", CredentialKind::AccessKey)
                .made(sample::days_ago(days))
        };
        sample::holds(&RULE, key(91));
        sample::spares(&RULE, &key(30));
    }
}
