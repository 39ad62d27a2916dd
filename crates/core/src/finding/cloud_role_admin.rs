//! A cloud role that workloads get through federation may do everything in its account: who runs a pod there owns the account.
//!
//! Source: OWASP NHI5:2025.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::{IdentityKind, PrivilegeLevel},
    view::{GrantView, IdentityView, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "cloud-role-admin",
    severity: Severity::Critical,
    suggested: "Attach a policy with just the actions that the workload uses, and a permissions boundary.",
    frameworks: &[nhi("NHI5:2025")],
    check: Check::Identity(check),
};

fn check(identity: &IdentityView, _: &Context) -> Option<Draft> {
    if identity.kind != IdentityKind::AwsRole || !facts::flag(&identity.attributes, "web_identity") {
        return None;
    }
    let grants: Vec<&GrantView> =
        identity.grants.iter().filter(|grant| grant.level == PrivilegeLevel::Admin).collect();
    if grants.is_empty() {
        return None;
    }
    let privileges: Vec<&str> = grants.iter().map(|grant| grant.privilege.as_str()).collect();
    Some(
        Draft::of(&identity.at, "Workloads get a role that may do everything").with("privileges", privileges),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_federated_roles_with_every_right() {
        let role = |level, federated: bool| {
            let mut role = sample::identity("aws/iam/role/deploy", IdentityKind::AwsRole);
            role.attributes.insert("web_identity".to_owned(), federated.into());
            role.granted("aws/iam/policy/AdministratorAccess", "AdministratorAccess", "*", level)
        };
        sample::holds_of_identity(&RULE, &role(PrivilegeLevel::Admin, true));
        sample::spares_identity(&RULE, &role(PrivilegeLevel::Admin, false));
        sample::spares_identity(&RULE, &role(PrivilegeLevel::Sensitive, true));
    }
}
