//! Everybody who can log in, or every ServiceAccount, has been given rights beyond the baseline: each pod inherits them.
//!
//! Sources: OWASP NHI5:2025; CIS GKE 1.6.0, 4.1.10 (the same holds in any cluster).

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{cis_gke, nhi},
    priv_anonymous::grants_beyond,
};
use crate::view::{IdentityView, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "priv-authenticated",
    severity: Severity::High,
    suggested: "Bind the ServiceAccounts that need it, one by one, then remove this binding.",
    frameworks: &[nhi("NHI5:2025"), cis_gke("4.1.10")],
    check: Check::Identity(check),
};

fn check(identity: &IdentityView, _: &Context) -> Option<Draft> {
    let name = facts::object_name(&identity.at);
    let everybody = matches!(name, "system:authenticated" | "system:serviceaccounts")
        || name.starts_with("system:serviceaccounts:");
    if !everybody {
        return None;
    }
    grants_beyond(identity, "Everybody who can log in has been given rights")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{IdentityKind, PrivilegeLevel},
    };

    #[test]
    fn holds_of_the_groups_that_all_are_in() {
        let group = |name: &str| {
            sample::identity(&format!("prod/*/Group/{name}"), IdentityKind::KubernetesUser).granted(
                "prod/*/ClusterRoleBinding/x",
                "ClusterRole/edit",
                "*",
                PrivilegeLevel::Sensitive,
            )
        };
        sample::holds_of_identity(&RULE, &group("system:authenticated"));
        sample::holds_of_identity(&RULE, &group("system:serviceaccounts:web"));
        sample::spares_identity(&RULE, &group("developers"));
    }
}
