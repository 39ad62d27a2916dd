//! What several backends do together for a short-lived identity, on the real servers: Kubernetes vouches, OpenBao lends, PostgreSQL compares.

mod lease;

use anyhow::Result;
use claviger_tests::lab::kubernetes::Kubernetes;
use reqwest::Method;
use serde_json::{Value, json};

/// A text field of an item.
pub(crate) fn text<'a>(item: &'a Value, key: &str) -> &'a str {
    item[key].as_str().unwrap_or_default()
}

/// A ServiceAccount, a Secret and a Deployment that reads these fields of it as variables.
pub(crate) fn workload(namespace: &str, name: &str, secret: &[(&str, &str)]) -> Vec<Value> {
    let env: Vec<Value> = secret
        .iter()
        .map(|(field, _)| json!({"name": field, "valueFrom": {"secretKeyRef": {"name": name, "key": field}}}))
        .collect();
    let data: serde_json::Map<String, Value> =
        secret.iter().map(|(field, value)| ((*field).to_owned(), json!(value))).collect();
    let labels = json!({"app": name});
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": data}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"serviceAccountName": name, "containers": [{"name": "app", "image": "app", "env": env}]}}}}),
    ]
}

/// A token of a ServiceAccount as its pods are given it.
pub(crate) async fn token_for(
    cluster: &Kubernetes,
    namespace: &str,
    name: &str,
    audience: &str,
) -> Result<String> {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600, "audiences": [audience]}});
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let body = cluster.request(Method::POST, &path, Some(&request)).await?.good("a token")?;
    Ok(text(&body["status"], "token").to_owned())
}
