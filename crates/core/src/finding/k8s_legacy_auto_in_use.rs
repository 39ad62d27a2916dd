//! A token Secret that the control plane made by itself before Kubernetes 1.24, and that somebody still uses: the cleaner will not take it.
//!
//! Sources: OWASP NHI7:2025; Kubernetes documentation, "Legacy ServiceAccount token cleaner" (label `kubernetes.io/legacy-token-last-used`,
//! which has the granularity of a day).

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-legacy-auto-in-use",
    severity: Severity::High,
    suggested: "Find who presents it (the API server's audit log names the caller), give that one a bound token, then revoke this one.",
    frameworks: &[nhi("NHI7:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, context: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let used = credential.last_used_at?;
    let holds = facts::usable(credential)
        && credential.kind == CredentialKind::ServiceAccountToken
        && facts::said_true(detail, "auto")
        && !facts::older_than(used, context.unused_days, context.now);
    holds.then(|| {
        Draft::of(
            &credential.at,
            format!(
                "A token Secret that the control plane made is still in use, last on {}",
                facts::day(used)
            ),
        )
        .with("last_used_at", facts::instant(used))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn needs_a_recent_use_of_a_generated_token() {
        let used = |days| {
            let mut token =
                sample::credential("prod/web/Secret/web-token-x7", CredentialKind::ServiceAccountToken);
            token.credential.last_used_at = Some(sample::days_ago(days));
            token
        };
        sample::holds(&RULE, used(3).say("auto", true));
        sample::spares(&RULE, &used(300).say("auto", true));
        sample::spares(&RULE, &used(3).say("manual", true));
        let unknown = sample::credential("prod/web/Secret/web-token-x7", CredentialKind::ServiceAccountToken);
        sample::spares(&RULE, &unknown.say("auto", true));
    }
}
