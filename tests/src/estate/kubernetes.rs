//! Namespaces, Secrets of every type, workloads that read them in every way, tokens, RBAC, and junk.

pub mod access;
pub mod credentials;
pub mod junk;
pub mod workloads;

use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Context;
use super::planted::{Planted, Secret};
use crate::lab::daemon::eventually;
use crate::lab::kubernetes::Kubernetes;
use crate::lab::private::write_private;

/// Plants, writes `claviger.kubeconfig` (restricted) and `administrator.kubeconfig`, and returns a kubeconfig with the
/// token of ServiceAccount `ops/deployer` in it.
pub async fn plant(
    server: &Kubernetes,
    context: &Context<'_>,
    planted: &mut Planted,
    directory: &Path,
) -> Result<String> {
    server.create(&access::namespaces())?;
    for namespace in access::NAMESPACES {
        default_service_account(server, namespace).await?;
    }
    server.create(&access::service_accounts())?;
    server.create(&access::bindings())?;
    credentials::plant(server, context, planted).await?;
    junk::plant(server, context.values, planted)?;
    workloads::plant(server, context, planted).await?;
    let deployer = legacy_tokens(server, planted).await?;
    for namespace in access::NAMESPACES {
        server.rolled_out(namespace).await?;
    }
    access::scanner(server, &directory.join("claviger.kubeconfig")).await?;
    write_private(
        &directory.join("administrator.kubeconfig"),
        &std::fs::read_to_string(server.kubeconfig())?,
    )?;
    Ok(deployer)
}

/// Pods are refused until the controllers have made it.
async fn default_service_account(server: &Kubernetes, namespace: &str) -> Result<()> {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
    eventually("a default ServiceAccount", || async {
        matches!(server.request(Method::GET, &path, None).await, Ok(answer) if answer.status == 200)
            .then_some(())
    })
    .await
}

/// A token Secret that a person made (`deployer`, cluster-admin), one that an old cluster made (`old-ci`), and a Secret
/// with a kubeconfig that holds the first one's token.
async fn legacy_tokens(server: &Kubernetes, planted: &mut Planted) -> Result<String> {
    let token_secret = |name: &str, account: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
               "metadata": {"name": name, "namespace": "ops", "annotations": {"kubernetes.io/service-account.name": account}}})
    };
    server.create(&[
        token_secret("deployer-token", "deployer"),
        token_secret("old-ci-token-x7k2p", "old-ci"),
    ])?;
    // Clusters before 1.24 made them and named them in the ServiceAccount: that is how they are told apart.
    let listed = json!({"secrets": [{"name": "old-ci-token-x7k2p"}]});
    let account = "/api/v1/namespaces/ops/serviceaccounts/old-ci";
    server.request(Method::PATCH, account, Some(&listed)).await?.good("old-ci's secrets")?;

    let deployer = token(server, "deployer-token").await?;
    let old = token(server, "old-ci-token-x7k2p").await?;
    // Used once, so that the cluster labels it as used today.
    server
        .request_as(deployer.expose(), Method::GET, "/api/v1/namespaces", None)
        .await?
        .good("deployer's token")?;

    let kubeconfig = server.kubeconfig_text("deployer", deployer.expose());
    server.create(&[secret("ops", "cluster-access", "Opaque", &[("kubeconfig", kubeconfig.as_bytes())])])?;
    planted
        .credential("k8s-deployer", "service-account-token")
        .issued_at("prod/ops/Secret/deployer-token")
        .value(&deployer)
        .copy("prod/ops/Secret/deployer-token#token")
        .copy("prod/ops/Secret/cluster-access#kubeconfig")
        .finding("k8s-legacy-token")
        .finding("k8s-legacy-manual-never-cleaned");
    planted
        .credential("k8s-old-ci", "service-account-token")
        .issued_at("prod/ops/Secret/old-ci-token-x7k2p")
        .value(&old)
        .copy("prod/ops/Secret/old-ci-token-x7k2p#token")
        .finding("k8s-legacy-token");
    Ok(kubeconfig)
}

/// The token that the controllers put into a token Secret of namespace `ops`.
async fn token(server: &Kubernetes, name: &str) -> Result<Secret> {
    let path = format!("/api/v1/namespaces/ops/secrets/{name}");
    let encoded = eventually("a token in a Secret", || async {
        let answer = server.request(Method::GET, &path, None).await.ok()?;
        answer.body["data"]["token"].as_str().map(str::to_owned)
    })
    .await?;
    Ok(Secret::new(STANDARD.decode(encoded).context("a token in base64")?))
}

/// A Secret object.
pub(crate) fn secret(namespace: &str, name: &str, kind: &str, data: &[(&str, &[u8])]) -> Value {
    let data: Map<String, Value> =
        data.iter().map(|(key, value)| ((*key).to_owned(), Value::from(STANDARD.encode(value)))).collect();
    json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name, "namespace": namespace}, "data": data})
}

/// The same with annotations.
pub(crate) fn annotated(mut object: Value, annotations: Value) -> Value {
    object["metadata"]["annotations"] = annotations;
    object
}

/// A docker configuration with one registry in it, the password in `auth` only, as docker writes it.
pub(crate) fn registry_config(password: &str) -> Value {
    let auth = STANDARD.encode(format!("robot$puller:{password}"));
    json!({"auths": {"registry.lab.internal": {"auth": auth}}})
}
