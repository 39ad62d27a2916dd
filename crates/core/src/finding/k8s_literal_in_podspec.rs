//! A secret written into a workload's specification (`env`, `args`, `command`): everybody who may read Deployments or Pods reads it, and it
//! stays in old ReplicaSets and in the audit log.
//!
//! Sources: OWASP NHI2:2025; PCI DSS 4.0.1, 8.6.2 (not hard coded in configuration files).

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{nhi, pci_dss},
};
use crate::{
    model::Place,
    view::{CopyView, CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-literal-in-podspec",
    severity: Severity::High,
    suggested: "Put the value into a Secret, mount it as a file, then rotate it: old revisions and audit logs still hold this one.",
    frameworks: &[nhi("NHI2:2025"), pci_dss("8.6.2")],
    check: Check::Credential(check),
};

/// Kinds that carry a pod template, or are a pod.
const WORKLOADS: &[&str] = &[
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
    "CronJob",
];

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let literals = || facts::current(detail).filter(|copy| in_pod_specification(copy));
    let count = literals().count();
    (count > 0).then(|| {
        Draft::of(&detail.credential.at, "A secret is written into a workload's specification")
            .with("count", count)
            .with("places", facts::refs(literals().map(|copy| &copy.at)))
    })
}

fn in_pod_specification(copy: &CopyView) -> bool {
    copy.place == Place::Literal && facts::document_kind(copy).is_some_and(|kind| WORKLOADS.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    #[test]
    fn holds_of_literals_in_workloads() {
        let key = || sample::credential("aws/iam/user/ci/access-key/AKIA1", CredentialKind::AccessKey);
        let at = "prod/web/Deployment/app#containers/app/env/AWS_SECRET_ACCESS_KEY";
        sample::holds(&RULE, key().copied(sample::copy(at).placed(Place::Literal)));
        sample::spares(&RULE, &key().copied(sample::copy("repo/.env#KEY").placed(Place::Literal)));
        sample::spares(&RULE, &key().copied(sample::copy("prod/web/Secret/aws#key")));
    }
}
