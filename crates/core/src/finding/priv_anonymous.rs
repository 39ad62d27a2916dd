//! Callers without a login have been given rights beyond those that the API server and kubeadm give.
//!
//! Sources: OWASP NHI5:2025; CIS GKE 1.6.0, 4.1.8 and 4.1.9 (the same holds in any cluster).

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{cis_gke, nhi},
};
use crate::view::{GrantView, IdentityView, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "priv-anon",
    severity: Severity::Critical,
    suggested: "Remove the binding; give its real callers an identity.",
    frameworks: &[nhi("NHI5:2025"), cis_gke("4.1.8"), cis_gke("4.1.9")],
    check: Check::Identity(check),
};

fn check(identity: &IdentityView, _: &Context) -> Option<Draft> {
    let name = facts::object_name(&identity.at);
    if !matches!(name, "system:anonymous" | "system:unauthenticated") {
        return None;
    }
    grants_beyond(identity, "Callers without a login have been given rights")
}

/// The finding, if a grant is none of those that every cluster has.
pub(super) fn grants_beyond(identity: &IdentityView, title: &str) -> Option<Draft> {
    let grants: Vec<&GrantView> = identity.grants.iter().filter(|grant| !is_baseline(grant)).collect();
    if grants.is_empty() {
        return None;
    }
    let roles: Vec<&str> = grants.iter().map(|grant| grant.privilege.as_str()).collect();
    Some(
        Draft::of(&identity.at, title)
            .with("roles", roles)
            .with("bindings", facts::refs(grants.iter().map(|grant| &grant.source))),
    )
}

fn is_baseline(grant: &GrantView) -> bool {
    facts::flag(&grant.attributes, "default_binding")
        || matches!(
            grant.privilege.as_str(),
            "ClusterRole/system:public-info-viewer"
                | "ClusterRole/system:discovery"
                | "ClusterRole/system:basic-user"
                | "ClusterRole/system:service-account-issuer-discovery"
                | "Role/kubeadm:bootstrap-signer-clusterinfo"
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{IdentityKind, PrivilegeLevel},
    };

    #[test]
    fn holds_beyond_the_baseline() {
        let anonymous = |role: &str| {
            sample::identity("prod/*/User/system:anonymous", IdentityKind::KubernetesUser).granted(
                "prod/*/ClusterRoleBinding/x",
                role,
                "*",
                PrivilegeLevel::Read,
            )
        };
        sample::holds_of_identity(&RULE, &anonymous("ClusterRole/view"));
        sample::spares_identity(&RULE, &anonymous("ClusterRole/system:public-info-viewer"));
        sample::spares_identity(&RULE, &anonymous("ClusterRole/view").say_of_grant("default_binding", true));
        let person = sample::identity("prod/*/User/alice", IdentityKind::KubernetesUser).granted(
            "prod/*/ClusterRoleBinding/x",
            "ClusterRole/view",
            "*",
            PrivilegeLevel::Read,
        );
        sample::spares_identity(&RULE, &person);
    }
}
