//! Somebody may do everything in a whole cluster.
//!
//! Sources: OWASP NHI5:2025; CIS Kubernetes 1.10, 5.1.1; NIST SP 800-53 r5 AC-6(5). What the API server binds by itself and `system:` names
//! are left out; a role that allows everything counts whatever it is called.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{cis_kubernetes, nhi, sp800_53},
};
use crate::view::{GrantView, IdentityView, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "priv-cluster-admin",
    severity: Severity::Critical,
    suggested: "Bind a role with just the verbs, resources and namespaces that it uses, then remove this binding.",
    frameworks: &[nhi("NHI5:2025"), cis_kubernetes("5.1.1"), sp800_53("AC-6(5)")],
    check: Check::Identity(check),
};

fn check(identity: &IdentityView, _: &Context) -> Option<Draft> {
    if facts::is_system(identity) {
        return None;
    }
    let mut grants = identity.grants.iter().filter(|grant| gives_everything(grant)).peekable();
    grants.peek()?;
    Some(
        Draft::of(&identity.at, "It may do everything in the cluster")
            .with("credentials", identity.credentials)
            .with("bindings", facts::refs(grants.map(|grant| &grant.source))),
    )
}

/// Cluster-wide, not from the API server itself, and without a limit.
pub(super) fn gives_everything(grant: &GrantView) -> bool {
    let everything = || {
        let risks = grant.attributes.get("risks").and_then(serde_json::Value::as_array);
        risks.is_some_and(|risks| risks.iter().any(|risk| risk == "everything"))
    };
    grant.reach == "*"
        && !facts::flag(&grant.attributes, "default_binding")
        && (grant.privilege == "ClusterRole/cluster-admin" || everything())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{IdentityKind, PrivilegeLevel},
    };

    fn bound(role: &str, reach: &str, kind: &str) -> IdentityView {
        sample::identity("prod/ci/ServiceAccount/deployer", IdentityKind::KubernetesServiceAccount).granted(
            &format!("prod/*/{kind}/deployer"),
            role,
            reach,
            PrivilegeLevel::Admin,
        )
    }

    #[test]
    fn holds_of_cluster_admin_and_its_equals() {
        sample::holds_of_identity(&RULE, &bound("ClusterRole/cluster-admin", "*", "ClusterRoleBinding"));
        let equal = bound("ClusterRole/ops", "*", "ClusterRoleBinding");
        sample::spares_identity(&RULE, &equal);
        sample::holds_of_identity(&RULE, &equal.say_of_grant("risks", vec!["everything"]));
    }

    #[test]
    fn spares_namespaces_defaults_and_system_names() {
        sample::spares_identity(&RULE, &bound("ClusterRole/cluster-admin", "ci", "RoleBinding"));
        let default = bound("ClusterRole/cluster-admin", "*", "ClusterRoleBinding")
            .say_of_grant("default_binding", true);
        sample::spares_identity(&RULE, &default);
        let masters = sample::identity("prod/*/Group/system:masters", IdentityKind::KubernetesUser).granted(
            "prod/*/ClusterRoleBinding/cluster-admin",
            "ClusterRole/cluster-admin",
            "*",
            PrivilegeLevel::Admin,
        );
        sample::spares_identity(&RULE, &masters);
    }
}
