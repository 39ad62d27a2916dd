//! Namespaces, ServiceAccounts, RBAC, and the identity that scans.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::lab::kubernetes::{Kubernetes, Restricted};

/// The estate's own namespaces; `denied` may not be read by the scanning identity.
pub const NAMESPACES: [&str; 6] = ["payments", "web", "ops", "sandbox", "denied", "claviger"];
/// Where a rotation may write.
const WRITABLE: [&str; 4] = ["payments", "web", "ops", "sandbox"];
/// What the scanning identity may read.
const READABLE: [&str; 9] = [
    "payments",
    "web",
    "ops",
    "sandbox",
    "claviger",
    "default",
    "kube-system",
    "kube-public",
    "kube-node-lease",
];

/// The namespaces, labelled with environment and owner.
pub fn namespaces() -> Vec<Value> {
    NAMESPACES
        .iter()
        .map(|name| {
            let environment = if *name == "sandbox" { "dev" } else { "prod" };
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"env": environment}}})
        })
        .collect()
}

/// ServiceAccounts, three of them with a role in a cloud.
pub fn service_accounts() -> Vec<Value> {
    let account = |namespace: &str, name: &str, annotations: Value| {
        json!({"apiVersion": "v1", "kind": "ServiceAccount",
               "metadata": {"name": name, "namespace": namespace, "annotations": annotations}})
    };
    let mut web = account("web", "web", json!({"owner": "team-web"}));
    web["imagePullSecrets"] = json!([{"name": "pull"}]);
    vec![
        account("payments", "api", json!({"owner": "team-payments"})),
        web,
        account(
            "web",
            "uploader",
            json!({"eks.amazonaws.com/role-arn": "arn:aws:iam::000000000000:role/uploader"}),
        ),
        account(
            "web",
            "analytics",
            json!({"iam.gke.io/gcp-service-account": "analytics@lab.iam.gserviceaccount.com"}),
        ),
        account(
            "web",
            "mailer",
            json!({"azure.workload.identity/client-id": "00000000-0000-4000-8000-000000000001"}),
        ),
        account("ops", "deployer", json!({"team": "ops"})),
        account("ops", "old-ci", json!({})),
    ]
}

/// Who may do what: a cluster administrator, a wildcard, a reader of Secrets; and the door to AWS.
pub fn bindings() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io/v1";
    let group = "rbac.authorization.k8s.io";
    let aws_auth = "- rolearn: arn:aws:iam::000000000000:role/nodes\n  username: system:node:{{EC2PrivateDNSName}}\n  \
                    groups: [system:nodes]\n- rolearn: arn:aws:iam::000000000000:role/admins\n  username: admin\n  \
                    groups: [system:masters]\n";
    let users =
        "- userarn: arn:aws:iam::000000000000:user/ci-deployer\n  username: ci\n  groups: [deployers]\n";
    vec![
        json!({"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": {"name": "deployer-admin"},
               "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
               "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": "ops"}]}),
        json!({"apiVersion": rbac, "kind": "Role", "metadata": {"name": "everything", "namespace": "ops"},
               "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}),
        json!({"apiVersion": rbac, "kind": "RoleBinding", "metadata": {"name": "old-ci", "namespace": "ops"},
               "roleRef": {"apiGroup": group, "kind": "Role", "name": "everything"},
               "subjects": [{"kind": "ServiceAccount", "name": "old-ci", "namespace": "ops"}]}),
        json!({"apiVersion": rbac, "kind": "Role", "metadata": {"name": "read-db", "namespace": "payments"},
               "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["db"], "verbs": ["get"]}]}),
        json!({"apiVersion": rbac, "kind": "RoleBinding", "metadata": {"name": "api-reads-db", "namespace": "payments"},
               "roleRef": {"apiGroup": group, "kind": "Role", "name": "read-db"},
               "subjects": [{"kind": "ServiceAccount", "name": "api", "namespace": "payments"}]}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "aws-auth", "namespace": "kube-system"},
               "data": {"mapRoles": aws_auth, "mapUsers": users}}),
    ]
}

/// Writes the scanning identity's kubeconfig. It may list nothing namespaced across the cluster: the right to read is given
/// namespace by namespace, and not in `denied`.
pub async fn scanner(server: &Kubernetes, path: &Path) -> Result<()> {
    let read = json!(["get", "list", "watch"]);
    let reading = json!([
        {"apiGroups": [""], "verbs": read, "resources": ["secrets", "configmaps", "serviceaccounts", "pods", "replicationcontrollers"]},
        {"apiGroups": ["apps"], "verbs": read, "resources": ["deployments", "statefulsets", "daemonsets", "replicasets"]},
        {"apiGroups": ["batch"], "verbs": read, "resources": ["jobs", "cronjobs"]},
        {"apiGroups": ["networking.k8s.io"], "verbs": read, "resources": ["ingresses"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "verbs": read, "resources": ["roles", "rolebindings"]},
    ]);
    let writing = json!([
        {"apiGroups": [""], "verbs": ["create", "update", "patch", "delete"], "resources": ["secrets", "configmaps", "serviceaccounts"]},
        {"apiGroups": ["apps"], "verbs": ["patch"], "resources": ["deployments", "statefulsets", "daemonsets"]},
        {"apiGroups": ["batch"], "verbs": ["patch"], "resources": ["cronjobs"]},
    ]);
    let everywhere = json!([
        {"apiGroups": [""], "verbs": read, "resources": ["namespaces", "nodes"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "verbs": read, "resources": ["clusterroles", "clusterrolebindings"]},
        {"apiGroups": ["authentication.k8s.io"], "verbs": ["create"], "resources": ["tokenreviews"]},
    ]);
    let identity = Restricted {
        namespace: "claviger",
        name: "claviger",
        cluster_rules: everywhere,
        grants: &[(reading, &READABLE), (writing, &WRITABLE)],
    };
    server.restricted_kubeconfig(path, &identity).await
}
