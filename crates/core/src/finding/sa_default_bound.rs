//! The `default` ServiceAccount of a namespace has rights: every pod that names no account inherits them.
//!
//! Sources: OWASP NHI5:2025; CIS Kubernetes 1.10, 5.1.5.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{cis_kubernetes, nhi},
};
use crate::{
    model::IdentityKind,
    view::{GrantView, IdentityView, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "sa-default-bound",
    severity: Severity::High,
    suggested: "Give the workload an account of its own with these rights, then unbind `default` and turn its token's automount off.",
    frameworks: &[nhi("NHI5:2025"), cis_kubernetes("5.1.5")],
    check: Check::Identity(check),
};

fn check(identity: &IdentityView, _: &Context) -> Option<Draft> {
    let is_default = identity.kind == IdentityKind::KubernetesServiceAccount
        && facts::object_kind(&identity.at) == Some("ServiceAccount")
        && facts::object_name(&identity.at) == "default";
    let grants: Vec<&GrantView> =
        identity.grants.iter().filter(|grant| !facts::flag(&grant.attributes, "default_binding")).collect();
    if !is_default || grants.is_empty() {
        return None;
    }
    let roles: Vec<&str> = grants.iter().map(|grant| grant.privilege.as_str()).collect();
    Some(
        Draft::of(&identity.at, "The namespace's default ServiceAccount has rights")
            .with("roles", roles)
            .with("bindings", facts::refs(grants.iter().map(|grant| &grant.source))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::PrivilegeLevel};

    #[test]
    fn holds_of_the_default_account_only() {
        let account = |name: &str| {
            sample::identity(
                &format!("prod/web/ServiceAccount/{name}"),
                IdentityKind::KubernetesServiceAccount,
            )
        };
        let bind = |identity: IdentityView| {
            identity.granted("prod/web/RoleBinding/x", "ClusterRole/view", "web", PrivilegeLevel::Read)
        };
        sample::holds_of_identity(&RULE, &bind(account("default")));
        sample::spares_identity(&RULE, &account("default"));
        sample::spares_identity(&RULE, &bind(account("web")));
        sample::spares_identity(&RULE, &bind(account("default")).say_of_grant("default_binding", true));
    }
}
