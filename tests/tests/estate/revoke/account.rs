//! A ServiceAccount that is made again: every token of it ends, the bound ones that nobody lists and the one in a Secret, which does not come back.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, lab::daemon::eventually, require_lab};
use reqwest::Method;
use serde_json::{Value, json};

use super::revoked;
use crate::{access_key::place, recovery::decoded, text};

const SUBJECT: &str = "prod/payments/ServiceAccount/api";
const ACCOUNT: &str = "/api/v1/namespaces/payments/serviceaccounts/api";
const SECRET: &str = "/api/v1/namespaces/payments/secrets/api-token";

fn token_secret() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "api-token", "namespace": "payments", "annotations": {"kubernetes.io/service-account.name": "api"}},
    })
}

async fn filled(estate: &Estate) -> Result<String> {
    let encoded = eventually("a token in a Secret", || async {
        let secret = estate.kubernetes.request(Method::GET, SECRET, None).await.ok()?.body;
        Some(secret["data"]["token"].clone()).filter(Value::is_string)
    });
    decoded(&encoded.await?)
}

async fn status(estate: &Estate, token: &str) -> Result<u16> {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    Ok(estate.kubernetes.request_as(token, Method::POST, path, Some(&body)).await?.status)
}

/// Names of the pods that run with it.
async fn pods(estate: &Estate) -> Result<Vec<String>> {
    let path = "/api/v1/namespaces/payments/pods?fieldSelector=spec.serviceAccountName=api";
    let list = estate.kubernetes.request(Method::GET, path, None).await?.body;
    let items = list["items"].as_array().context("pods")?;
    Ok(items.iter().map(|pod| text(&pod["metadata"], "name").to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_again_and_every_token_of_it_is_dead() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "revoke-account.db");
    estate.kubernetes.create(&[token_secret()])?;
    let legacy = filled(&estate).await?;
    let bound = estate.kubernetes.service_account_token("payments", "api", 3600).await?;
    place.run(&["scan"], None)?;
    let (before, running) =
        (estate.kubernetes.request(Method::GET, ACCOUNT, None).await?.body, pods(&estate).await?);
    ensure!(!running.is_empty(), "nothing runs with it");

    let trace = place.run(&["trace", "-o", "json"], Some(bound.as_bytes()))?.expect(0)?.json()?;
    let suggested = trace["values"][0]["token"]["suggested"].as_array().context("suggested")?.clone();
    let command = format!("claviger revoke '{SUBJECT}' --recreate-service-account --reason leaked --dry-run");
    ensure!(suggested == [json!(command)], "{trace:#}");

    // Without being told so it ends what it can, and says what goes on.
    let less = revoked(&place, 0, &[SUBJECT, "--dry-run"])?;
    ensure!(less["subjects"].as_array().is_some_and(|all| all.len() == 1), "{less:#}");
    ensure!(less["refused"][0]["code"] == "bound-tokens", "{less:#}");
    let plan = revoked(&place, 0, &[SUBJECT, "--recreate-service-account", "--dry-run"])?;
    let subjects = plan["subjects"].as_array().context("subjects")?;
    let refs: Vec<_> = subjects.iter().map(|subject| text(subject, "ref")).collect();
    ensure!(refs == ["prod/payments/Secret/api-token", SUBJECT], "{refs:?}");
    ensure!(subjects[1]["breaks"].to_string().contains("prod/payments/Deployment/api"), "{plan:#}");
    let notes = subjects[1]["notes"].to_string();
    ensure!(running.iter().all(|pod| notes.contains(pod.as_str())), "{notes}");
    ensure!(status(&estate, &bound).await? == 201, "a dry run ended it");

    let done = revoked(&place, 0, &[SUBJECT, "--recreate-service-account", "--yes"])?;
    let receipts = done["receipts"].as_array().context("receipts")?;
    ensure!(receipts.len() == 2 && receipts.iter().all(|receipt| receipt["verdict"] == "proven"), "{done:#}");
    let uid = text(&before["metadata"], "uid");
    ensure!(text(&receipts[1], "detail").contains(uid), "{done:#}");
    ensure!(
        status(&estate, &bound).await? == 401 && status(&estate, &legacy).await? == 401,
        "one is accepted"
    );
    let after = estate.kubernetes.request(Method::GET, ACCOUNT, None).await?.body;
    ensure!(after["metadata"]["uid"] != uid, "it is the same one");
    ensure!(after["metadata"]["annotations"]["owner"] == "team-payments", "{after:#}");
    let now = pods(&estate).await?;
    ensure!(now.iter().any(|pod| !running.contains(pod)), "its pods were not restarted: {now:?}");

    // The trap: made again under its name, the Secret holds another token, and the leaked one stays dead.
    eventually("the old Secret's end", || async {
        (estate.kubernetes.request(Method::GET, SECRET, None).await.ok()?.status == 404).then_some(())
    })
    .await?;
    estate.kubernetes.create(&[token_secret()])?;
    ensure!(filled(&estate).await? != legacy, "the Secret of the same name holds the same token");
    ensure!(status(&estate, &legacy).await? == 401, "the leaked one works again");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_must_stay_stays() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "revoke-account-stays.db");
    estate.kubernetes.create(&[json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "chart", "namespace": "web", "labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "shop"}},
    })])?;
    place.run(&["scan"], None)?;
    let refused = |subject: &str| -> Result<Value> {
        revoked(&place, 4, &[subject, "--recreate-service-account", "--dry-run"])
    };
    let chart = refused("prod/web/ServiceAccount/chart")?;
    ensure!(chart["refused"][0]["code"] == "managed", "{chart:#}");
    ensure!(text(&chart["refused"][0], "reason").contains("helm/shop"), "{chart:#}");
    // A legal hold on one of its tokens holds the account too.
    let label = json!({"metadata": {"labels": {"legal-hold": "case-7"}}});
    let token = "/api/v1/namespaces/ops/secrets/deployer-token";
    estate.kubernetes.request(Method::PATCH, token, Some(&label)).await?.good("the label")?;
    place.run(&["scan"], None)?;
    let held = refused("prod/ops/ServiceAccount/deployer")?;
    let codes: Vec<_> =
        held["refused"].as_array().context("refused")?.iter().map(|one| text(one, "code")).collect();
    ensure!(codes == ["legal-hold", "legal-hold"], "{held:#}");
    // Exactly one account, by its ref.
    let run = place
        .run(&["revoke", "prod/ops/*", "--recreate-service-account", "--reason", "x", "--dry-run"], None)?;
    ensure!(run.code == 4 && run.stderr.contains("exactly one ServiceAccount"), "{}", run.stderr);
    Ok(())
}
