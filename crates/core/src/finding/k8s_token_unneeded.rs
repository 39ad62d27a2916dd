//! Pods are given a token of an account that nothing grants anything to: whoever takes over a container has it, and the program gains nothing from it.
//!
//! Sources: OWASP NHI5:2025; CIS Kubernetes 1.10, 5.1.6 (tokens are mounted only where necessary).
//!
//! What can be known is what the inventory has: rights in the cluster, by the account's own bindings and by those of its groups, and roles of other systems that let
//! it in. An account with any of these may use its token, and whether it does is not known: nothing is said of it. Nor is anything where the cluster, or a system that
//! may let it in, was not read completely. That something outside of the inventory takes the token (a mesh, a webhook) cannot be seen, and the evidence says so.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{cis_kubernetes, nhi},
};
use crate::view::{MountedView, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-token-unneeded",
    severity: Severity::Low,
    suggested: "Patch the account with automountServiceAccountToken: false, or the pod templates where only some need none; pods that are made from then on have no token.",
    frameworks: &[nhi("NHI5:2025"), cis_kubernetes("5.1.6")],
    check: Check::Mounted(check),
};

fn check(mounted: &MountedView, _: &Context) -> Option<Draft> {
    let account = &mounted.account;
    // What every account may do opens nothing that a token of it were needed for.
    let everybody_s = |key| account.grants.iter().filter(move |grant| facts::flag(&grant.attributes, key));
    let common = everybody_s("default_binding").count() + everybody_s("inherited_by_everybody").count();
    let opens_something = account.grants.len() > common
        || !mounted.through.is_empty()
        || !mounted.let_in_by.is_empty()
        // A role in a cloud, by an annotation.
        || account.attributes.contains_key("cloud_role");
    if !mounted.whole || opens_something || mounted.workloads.is_empty() {
        return None;
    }
    Some(
        Draft::of(&account.at, "Its pods are given a token that nothing known here accepts for anything")
            .with("workloads", facts::refs(mounted.workloads.iter()))
            .with("count", mounted.workloads.len())
            .with("patch", r#"{"automountServiceAccountToken":false}"#)
            .with("undo", r#"{"automountServiceAccountToken":null}"#)
            .with("not_known", "whether something outside of the inventory takes the token"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::sample,
        model::{IdentityKind, PrivilegeLevel},
        reference::Ref,
    };

    fn mounted() -> MountedView {
        MountedView {
            account: sample::identity("prod/web/ServiceAccount/shop", IdentityKind::KubernetesServiceAccount),
            workloads: vec![Ref::from_text("prod/web/Deployment/shop")],
            through: Vec::new(),
            let_in_by: Vec::new(),
            whole: true,
        }
    }

    fn ask(mounted: &MountedView) -> Option<Draft> {
        check(mounted, &Context::new(sample::now()))
    }

    #[test]
    fn holds_of_an_account_that_nothing_lets_in() {
        let found = ask(&mounted()).expect("it holds");
        assert_eq!(found.subject.as_str(), "prod/web/ServiceAccount/shop");
        assert_eq!(found.evidence["workloads"][0], "prod/web/Deployment/shop");
        assert!(found.evidence["patch"].as_str().is_some_and(|patch| patch.contains("false")));
        let mut everybody = mounted();
        everybody.account = everybody
            .account
            .granted("prod/*/ClusterRoleBinding/x", "ClusterRole/y", "*", PrivilegeLevel::Read)
            .say_of_grant("inherited_by_everybody", true);
        assert!(ask(&everybody).is_some(), "what everybody may");
    }

    #[test]
    fn whatever_may_use_its_token_is_spared_and_so_is_what_is_unknown() {
        let mut granted = mounted();
        granted.account = granted.account.granted(
            "prod/web/RoleBinding/x",
            "ClusterRole/view",
            "web",
            PrivilegeLevel::Read,
        );
        let mut through = mounted();
        through.through.push(Ref::from_text("prod/*/Group/system:serviceaccounts:web"));
        let mut let_in = mounted();
        let_in.let_in_by.push(Ref::from_text("vault/auth/kubernetes/role/shop"));
        let mut cloud = mounted();
        cloud.account.attributes.insert("cloud_role".to_owned(), "arn:aws:iam::1:role/shop".into());
        let (mut unread, mut nobody) = (mounted(), mounted());
        unread.whole = false;
        nobody.workloads.clear();
        for spared in [granted, through, let_in, cloud, unread, nobody] {
            assert!(ask(&spared).is_none(), "{spared:?}");
        }
    }
}
