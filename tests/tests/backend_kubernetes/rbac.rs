//! RBAC and `aws-auth` as grants.

use claviger_core::model::{IdentityKind, PrivilegeLevel};
use claviger_tests::require_lab;

use super::*;

#[tokio::test]
async fn bindings_are_grants_with_their_power() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "rbac";
    namespace(cluster, ns, json!({}));
    let rbac = "rbac.authorization.k8s.io";
    let role = |kind: &str, name: &str, rules: Value| {
        let mut role = json!({"apiVersion": format!("{rbac}/v1"), "kind": kind, "metadata": {"name": name}, "rules": rules});
        if kind == "Role" {
            role["metadata"]["namespace"] = ns.into();
        }
        role
    };
    let binding = |kind: &str, name: &str, role: (&str, &str), subjects: Value| {
        let mut binding = json!({"apiVersion": format!("{rbac}/v1"), "kind": kind, "metadata": {"name": name},
            "roleRef": {"apiGroup": rbac, "kind": role.0, "name": role.1}, "subjects": subjects});
        if kind == "RoleBinding" {
            binding["metadata"]["namespace"] = ns.into();
        }
        binding
    };
    let account = |name: &str| json!({"kind": "ServiceAccount", "name": name, "namespace": ns});
    let named = |kind: &str, name: &str| json!({"kind": kind, "name": name, "apiGroup": rbac});
    let mut part = role(
        "ClusterRole",
        "rbac-part",
        json!([{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]),
    );
    part["metadata"]["labels"] = json!({"rbac-test": "yes"});
    let mut whole = role("ClusterRole", "rbac-whole", json!([]));
    whole["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"rbac-test": "yes"}}]});
    let auth = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "aws-auth", "namespace": "kube-system"}, "data": {
        "mapRoles": "- rolearn: arn:aws:iam::111122223333:role/deployer\n  username: deployer\n  groups: [rbac-devs]\n",
        "mapUsers": "- userarn: arn:aws:iam::111122223333:user/root-bob\n  groups: [system:masters]\n"}});
    cluster
        .create(&[
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app", "namespace": ns}}),
            role("Role", "reader", json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}])),
            role("ClusterRole", "rbac-nodes", json!([{"apiGroups": [""], "resources": ["nodes/proxy"], "verbs": ["get"]}])),
            // The other tests of this cluster are authenticated, too.
            role("ClusterRole", "rbac-harmless", json!([{"apiGroups": ["rbac.test"], "resources": ["things"], "verbs": ["get"]}])),
            part,
            whole,
            binding("RoleBinding", "b-reader", ("Role", "reader"), json!([account("app"), account("nobody"), named("User", "dana")])),
            binding("RoleBinding", "b-nodes", ("ClusterRole", "rbac-nodes"), json!([account("app")])),
            binding("ClusterRoleBinding", "rbac-b-nodes", ("ClusterRole", "rbac-nodes"), json!([account("app")])),
            binding("ClusterRoleBinding", "rbac-b-whole", ("ClusterRole", "rbac-whole"), json!([named("Group", "rbac-devs")])),
            binding("ClusterRoleBinding", "rbac-b-all", ("ClusterRole", "rbac-harmless"), json!([named("Group", "system:authenticated")])),
            binding("RoleBinding", "b-missing", ("Role", "missing"), json!([named("User", "system:serviceaccount:rbac:app")])),
            auth,
        ])
        .expect("RBAC objects");

    let mut seen = Seen::default();
    scan_phase(&admin(cluster, &[ns, "kube-system"]).await, Phase::Issuers, &mut seen).await;
    seen.all_complete();
    let grant = |source: &str, identity: &str| {
        let mut matching = seen
            .grants
            .iter()
            .filter(|grant| grant.source.as_str() == source && grant.identity.as_str() == identity);
        let found = matching.next().unwrap_or_else(|| panic!("{source} for {identity}"));
        assert!(matching.next().is_none(), "{source} for {identity} twice");
        found
    };
    let app = "prod/rbac/ServiceAccount/app";
    let reader = grant("prod/rbac/RoleBinding/b-reader", app);
    assert_eq!(
        (reader.privilege.as_str(), reader.reach.as_str(), reader.level),
        ("Role/reader", "rbac", PrivilegeLevel::Sensitive)
    );
    assert_eq!(reader.attributes["rules"], json!(["secrets: get"]));
    assert_eq!(reader.attributes["risks"], json!(["read-secrets"]));
    let nobody = grant("prod/rbac/RoleBinding/b-reader", "prod/rbac/ServiceAccount/nobody");
    assert_eq!(nobody.attributes["dangling"], true);
    grant("prod/rbac/RoleBinding/b-reader", "prod/*/User/dana");
    assert_eq!(
        grant("prod/rbac/RoleBinding/b-nodes", app).level,
        PrivilegeLevel::Read,
        "nodes lie in no namespace"
    );
    let nodes = grant("prod/*/ClusterRoleBinding/rbac-b-nodes", app);
    assert_eq!((nodes.level, nodes.reach.as_str()), (PrivilegeLevel::Admin, "*"));
    let whole = grant("prod/*/ClusterRoleBinding/rbac-b-whole", "prod/*/Group/rbac-devs");
    assert_eq!(whole.level, PrivilegeLevel::Sensitive, "aggregated");
    let all = grant("prod/*/ClusterRoleBinding/rbac-b-all", "prod/*/Group/system:authenticated");
    assert_eq!(all.attributes["inherited_by_everybody"], true);
    let missing = grant("prod/rbac/RoleBinding/b-missing", app);
    assert_eq!(
        (missing.level, &missing.attributes["role_missing"]),
        (PrivilegeLevel::Unknown, &Value::from(true))
    );

    // The cloud: a role through its group's binding, a user who is a master without one.
    let deployer = "prod/*/AwsRole/arn:aws:iam::111122223333:role/deployer";
    assert_eq!(
        grant("prod/*/ClusterRoleBinding/rbac-b-whole", deployer).attributes["via"],
        "Group/rbac-devs"
    );
    let bob = "prod/*/AwsUser/arn:aws:iam::111122223333:user/root-bob";
    assert_eq!(grant("prod/kube-system/ConfigMap/aws-auth", bob).level, PrivilegeLevel::Admin);

    let people: Vec<_> = seen
        .identities
        .iter()
        .filter(|identity| identity.kind == IdentityKind::KubernetesUser)
        .map(|identity| identity.at.as_str())
        .collect();
    assert!(people.contains(&"prod/*/User/dana") && people.contains(&"prod/*/Group/rbac-devs"));
    assert!(
        !people.iter().any(|person| person.contains("system:kube") || person.contains("system:masters")),
        "{people:?}"
    );
}
