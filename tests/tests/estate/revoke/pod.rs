//! A pod, whose bound tokens end with it, and nobody else's.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;
use serde_json::{Value, json};

use super::{revoked, steps};
use crate::{access_key::place, text};

/// A token as the kubelet asks for it.
async fn bound(estate: &Estate, pod: &Value) -> Result<String> {
    let account = text(&pod["spec"], "serviceAccountName");
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3607, "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}},
    });
    let path = format!("/api/v1/namespaces/web/serviceaccounts/{account}/token");
    let answer =
        estate.kubernetes.request(Method::POST, &path, Some(&request)).await?.good("a bound token")?;
    Ok(text(&answer["status"], "token").to_owned())
}

async fn status(estate: &Estate, token: &str) -> Result<u16> {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    Ok(estate.kubernetes.request_as(token, Method::POST, path, Some(&body)).await?.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_a_pod_end_with_it() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "revoke-pod.db");
    place.run(&["scan"], None)?;
    let path = "/api/v1/namespaces/web/pods?fieldSelector=spec.serviceAccountName=web";
    let list = estate.kubernetes.request(Method::GET, path, None).await?.body;
    let pod = list["items"][0].clone();
    let name = text(&pod["metadata"], "name");
    let leaked = bound(&estate, &pod).await?;
    let other = estate.kubernetes.service_account_token("web", "web", 3600).await?;

    // The trace of the token names the command.
    let trace = place.run(&["trace", "-o", "json"], Some(leaked.as_bytes()))?.expect(0)?.json()?;
    let token = &trace["values"][0]["token"];
    ensure!(text(token, "pod") == name && token["jti"].is_string(), "{trace:#}");
    let subject = format!("prod/web/Pod/{name}");
    let command = format!("claviger revoke '{subject}' --reason leaked --dry-run");
    ensure!(token["suggested"][0] == command.as_str(), "{trace:#}");

    let plan = revoked(&place, 0, &[&subject, "--dry-run"])?;
    let expected = ["note-anchor", "control-probe", "end-anchor", "await-cache", "prove-anchor"];
    ensure!(steps(&plan)? == expected, "{plan:#}");
    ensure!(plan["subjects"][0]["notes"].to_string().contains("ReplicaSet/shop"), "{plan:#}");
    let done = revoked(&place, 0, &[&subject, "--yes"])?;
    ensure!(done["receipts"][0]["verdict"] == "proven", "{done:#}");
    ensure!(status(&estate, &leaked).await? == 401, "its token is accepted");
    ensure!(status(&estate, &other).await? == 201, "another token of its account has ended");
    // It is over, and saying it again is no failure of anything.
    let again = revoked(&place, 4, &[&subject, "--yes"])?;
    ensure!(again["refused"][0]["code"] == "already-gone", "{again:#}");

    // Nobody would make this one again.
    estate.kubernetes.create(&[json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone", "namespace": "web"},
        "spec": {"serviceAccountName": "web", "containers": [{"name": "c", "image": "none"}]},
    })])?;
    let alone = "prod/web/Pod/alone";
    let refused = revoked(&place, 4, &[alone, "--dry-run"])?;
    ensure!(refused["refused"][0]["code"] == "no-controller", "{refused:#}");
    let forced = revoked(&place, 0, &[alone, "--force", "--yes"])?;
    ensure!(forced["receipts"][0]["verdict"] == "proven", "{forced:#}");
    place.run(&["audit", "verify"], None)?.expect(0).context("the audit log")?;
    Ok(())
}
