//! It ends within 30 days, and so does whatever relies on it.
//!
//! Source: OWASP NHI7:2025, and availability. Four steps (30, 14, 7, 1 days). Nothing is said before two thirds of a lifetime are over, so
//! that certificates that are renewed in time by a machine stay quiet, and nothing of short-lived credentials.

use chrono::TimeDelta;

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::view::{CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "exp-soon",
    severity: Severity::Medium,
    suggested: "Rotate it before that day; if a machine should have renewed it, see why it did not.",
    frameworks: &[nhi("NHI7:2025")],
    check: Check::Credential(check),
};

const STEPS: [i64; 4] = [1, 7, 14, 30];

fn check(detail: &CredentialDetail, context: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let end = credential.expires_at.filter(|end| *end > context.now)?;
    let left = end - context.now;
    let step = STEPS.into_iter().find(|days| left <= TimeDelta::days(*days))?;
    let early = facts::value_since(credential).is_some_and(|since| left * 3 > end - since);
    let renews =
        facts::said(detail, "period").any(|period| period.as_i64().is_some_and(|seconds| seconds > 0));
    let holds = facts::usable(credential) && credential.long_lived && !early && !renews;
    holds.then(|| {
        Draft::of(&credential.at, format!("It ends on {}", facts::day(end)))
            .with("expires_at", facts::instant(end))
            .with("within_days", step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    fn certificate(made_days_ago: i64, days_left: i64) -> CredentialDetail {
        let mut detail = sample::credential("prod/web/Secret/tls#tls.crt", CredentialKind::Certificate)
            .made(sample::days_ago(made_days_ago));
        detail.credential.expires_at = Some(sample::days_ago(-days_left));
        detail
    }

    #[test]
    fn names_the_nearest_step() {
        for (left, step) in [(1, 1), (2, 7), (10, 14), (30, 30)] {
            assert_eq!(sample::holds(&RULE, certificate(335, left)).evidence["within_days"], step, "{left}");
        }
        sample::spares(&RULE, &certificate(335, 31));
        sample::spares(&RULE, &certificate(335, -1));
    }

    #[test]
    fn says_nothing_early_in_a_short_life_nor_of_what_renews_itself() {
        sample::spares(&RULE, &certificate(3, 27));
        sample::holds(&RULE, certificate(61, 29));
        sample::spares(&RULE, &certificate(335, 5).say("period", 86_400));
        let mut short = certificate(335, 5);
        short.credential.long_lived = false;
        sample::spares(&RULE, &short);
        sample::spares(
            &RULE,
            &sample::credential("prod/web/Secret/tls#tls.crt", CredentialKind::Certificate),
        );
    }
}
