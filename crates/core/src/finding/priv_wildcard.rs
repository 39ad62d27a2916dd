//! A role with `*` as verb or resource: it grants what exists and whatever will be installed later.
//!
//! Sources: OWASP NHI5:2025; CIS Kubernetes 1.10, 5.1.3. `pods/*` is no wildcard: it matches nothing. Whoever may do everything in the
//! cluster has a rule of its own.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{cis_kubernetes, nhi},
    priv_cluster_admin::gives_everything,
};
use crate::view::{GrantView, IdentityView, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "priv-wildcard",
    severity: Severity::High,
    suggested: "Write out the verbs and resources that it uses; the API server's audit log shows them.",
    frameworks: &[nhi("NHI5:2025"), cis_kubernetes("5.1.3")],
    check: Check::Identity(check),
};

fn check(identity: &IdentityView, _: &Context) -> Option<Draft> {
    if facts::is_system(identity) {
        return None;
    }
    let grants: Vec<&GrantView> =
        identity.grants.iter().filter(|grant| has_wildcard(grant) && !gives_everything(grant)).collect();
    if grants.is_empty() {
        return None;
    }
    let roles: Vec<&str> = grants.iter().map(|grant| grant.privilege.as_str()).collect();
    Some(
        Draft::of(&identity.at, "A role of its grants every verb or every resource")
            .with("roles", roles)
            .with("bindings", facts::refs(grants.iter().map(|grant| &grant.source))),
    )
}

/// Reads the backend's short form of a rule: `<resources>: <verbs>`, both separated by commas.
fn has_wildcard(grant: &GrantView) -> bool {
    if facts::flag(&grant.attributes, "default_binding") {
        return false;
    }
    let rules = grant.attributes.get("rules").and_then(serde_json::Value::as_array);
    rules.into_iter().flatten().filter_map(serde_json::Value::as_str).any(|rule| {
        let (resources, verbs) = rule.split_once(": ").unwrap_or((rule, ""));
        let verbs = verbs.split(" (only: ").next().unwrap_or_default();
        resources.split(',').any(|resource| matches!(resource, "*" | "*/*"))
            || verbs.split(',').any(|verb| verb == "*")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{IdentityKind, PrivilegeLevel},
    };

    fn allowed(rule: &str) -> IdentityView {
        sample::identity("prod/ci/ServiceAccount/deployer", IdentityKind::KubernetesServiceAccount)
            .granted("prod/ci/RoleBinding/deployer", "Role/deployer", "ci", PrivilegeLevel::Write)
            .say_of_grant("rules", vec![rule])
    }

    #[test]
    fn holds_of_stars_and_not_of_what_only_looks_like_one() {
        for rule in
            ["*: get", "*/*: get,list", "secrets: *", "apps/deployments,pods: *", "secrets: * (only: db)"]
        {
            sample::holds_of_identity(&RULE, &allowed(rule));
        }
        for rule in ["pods/*: create", "secrets: get,list", "configmaps: get (only: *)"] {
            sample::spares_identity(&RULE, &allowed(rule));
        }
        sample::spares_identity(&RULE, &allowed("*: *").say_of_grant("default_binding", true));
    }
}
