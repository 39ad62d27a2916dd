//! A login role is superuser without being the one that `initdb` made, or a workload logs in as a superuser: no privilege check binds it, and
//! it reads every other role's verifier.
//!
//! Source: OWASP NHI5:2025. The bootstrap superuser cannot lose its rights, so it counts only where a workload uses it.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "db-shared-superuser",
    severity: Severity::High,
    suggested: "Give its users a role that owns what they need, and take SUPERUSER away.",
    frameworks: &[nhi("NHI5:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let bootstrap = facts::flag(&credential.attributes, "bootstrap");
    let holds = facts::live(credential)
        && credential.kind == CredentialKind::Password
        && facts::flag(&credential.attributes, "superuser")
        && (!bootstrap || !detail.consumers.is_empty());
    holds.then(|| {
        let title = if detail.consumers.is_empty() {
            "A login role besides the first is superuser"
        } else {
            "Workloads log in as a database superuser"
        };
        Draft::of(&credential.at, title)
            .with("superuser", true)
            .with("bootstrap", bootstrap)
            .with("consumers", facts::refs(detail.consumers.iter().map(|consumer| &consumer.at)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::ConsumerHow};

    #[test]
    fn the_bootstrap_role_counts_only_where_a_workload_uses_it() {
        let role = || sample::credential("db/role/admin", CredentialKind::Password);
        sample::holds(&RULE, role().say("superuser", true));
        let bootstrap = || role().say("superuser", true).say("bootstrap", true);
        sample::spares(&RULE, &bootstrap());
        sample::holds(
            &RULE,
            bootstrap().consumed("prod/web/Deployment/a", "prod/web/Secret/db#password", ConsumerHow::Volume),
        );
        sample::spares(&RULE, &role().say("superuser", false));
        sample::spares(&RULE, &role());
    }
}
