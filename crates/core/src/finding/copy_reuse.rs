//! One credential that workloads of several namespaces or clusters use: nobody can tell their actions apart, and it cannot be revoked for one
//! of them alone.
//!
//! Sources: OWASP NHI9:2025; NIST SP 800-53 r5 IA-5i. Pulling images with a shared registry account is left out: the kubelet does it.

use std::collections::BTreeSet;

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{nhi, sp800_53},
};
use crate::{
    model::ConsumerHow,
    view::{ConsumerView, CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "copy-reuse",
    severity: Severity::High,
    suggested: "Give each service its own identity and credential, then rotate the shared one.",
    frameworks: &[nhi("NHI9:2025"), sp800_53("IA-5i")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let consumers: Vec<&ConsumerView> =
        detail.consumers.iter().filter(|consumer| consumer.how != ConsumerHow::ImagePull).collect();
    let homes: BTreeSet<&str> =
        consumers.iter().filter_map(|consumer| facts::namespace_of(&consumer.at)).collect();
    (homes.len() >= 2).then(|| {
        Draft::of(
            &detail.credential.at,
            format!("Workloads of {} namespaces use the same credential", homes.len()),
        )
        .with("namespaces", homes.iter().copied().collect::<Vec<_>>())
        .with("consumers", facts::refs(consumers.iter().map(|consumer| &consumer.at)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    fn used_by(workloads: &[&str], how: ConsumerHow) -> CredentialDetail {
        let detail = sample::credential("db/role/app", CredentialKind::Password);
        workloads.iter().fold(detail, |detail, at| detail.consumed(at, "prod/web/Secret/db#password", how))
    }

    #[test]
    fn holds_across_namespaces_only() {
        let across = ["prod/web/Deployment/a", "prod/batch/CronJob/b"];
        let found = sample::holds(&RULE, used_by(&across, ConsumerHow::Volume));
        assert_eq!(found.evidence["namespaces"], serde_json::json!(["prod/batch", "prod/web"]));
        sample::spares(
            &RULE,
            &used_by(&["prod/web/Deployment/a", "prod/web/Deployment/b"], ConsumerHow::Volume),
        );
        sample::spares(&RULE, &used_by(&across, ConsumerHow::ImagePull));
    }
}
