//! One rotation and one revocation, from the plan to the proof, on the real servers.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;

use crate::{Place, text};

/// The password of role `app` lies in OpenBao, a Secret, a ConfigMap, AWS and a manifest. It is replaced everywhere but in the manifest, which has
/// to be allowed; consumers are restarted; the old one is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_shared_database_password_is_rotated_in_every_copy() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = Place::new(estate.directory(), "rotate.db");
    place.run(&["scan"], None)?.expect(3)?;
    let before = value(&place, "db/role/app")?;

    let refused =
        place.run(&["rotate", "db/role/app", "--dry-run", "-o", "json"], None)?.expect(4)?.json()?;
    ensure!(
        refused["refused"][0]["code"] == "copy-read-only"
            && text(&refused["refused"][0], "reason").contains("repo/"),
        "{refused:#}"
    );
    let plan = place
        .run(&["rotate", "db/role/app", "--leave-stale", "--dry-run", "-o", "json"], None)?
        .expect(0)?
        .json()?;
    ensure!(plan["hash"].is_string() && plan["subjects"][0]["strategy"] == "replace", "{plan:#}");
    ensure!(!plan["subjects"][0]["breaks"].as_array().context("breaks")?.is_empty(), "{plan:#}");

    let done = place
        .run(&["rotate", "db/role/app", "--leave-stale", "--yes", "-o", "json"], None)?
        .expect(0)?
        .json()?;
    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotation:#}");
    for step in rotation["steps"].as_array().context("steps")? {
        ensure!(
            step["status"] == "succeeded"
                && step["started_at"].is_string()
                && step["finished_at"].is_string(),
            "{step}"
        );
    }
    let old = estate.planted.get("db-app").value.as_ref().context("a value")?;
    ensure!(!estate.postgres.accepts("app", old.expose()).await?, "the old password still logs in");

    // The servers, asked without claviger.
    let secret =
        estate.kubernetes.request(Method::GET, "/api/v1/namespaces/payments/secrets/db", None).await?;
    let new = decoded(&secret.body["data"]["password"])?;
    let new = new.trim_end_matches('\n').to_owned();
    ensure!(new != old.expose(), "the Secret still holds the old password");
    ensure!(estate.postgres.accepts("app", &new).await?, "the Secret's password does not log in");
    let map =
        estate.kubernetes.request(Method::GET, "/api/v1/namespaces/payments/configmaps/app", None).await?;
    ensure!(
        text(&map.body["data"], "database-url").contains(&format!(":{new}@")),
        "the ConfigMap's URL does not hold the new password"
    );

    let again = place.run(&["scan", "-o", "json"], None)?.expect(3)?;
    ensure!(again.json()?["schema"] == "claviger.scan/v1", "scan");
    ensure!(value(&place, "db/role/app")? != before, "the fingerprint is the old one");
    let copies: Vec<_> = place
        .list("copies")?
        .into_iter()
        .filter(|copy| text(copy, "stage") == "current" && text(copy, "evidence") == "verifier")
        .collect();
    ensure!(copies.len() >= 4, "{} copies are proven after the rotation", copies.len());
    let verified = place.run(&["audit", "verify", "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(verified["valid"] == true && verified["entries"].as_u64() > Some(10), "{verified}");
    let rotations = place.list("rotations")?;
    ensure!(rotations.len() == 1 && rotations[0]["state"] == "done", "{rotations:?}");
    Ok(())
}

/// A ServiceAccount token that never expires: deleted, refused by the API server after its cache window, with a receipt.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_token_is_revoked_and_proven_dead() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let mut place = Place::new(estate.directory(), "revoke.db");
    // Revoking needs more than scanning: the administrator's kubeconfig.
    place
        .environment
        .push(("CLAVIGER_BACKENDS__PROD__KUBECONFIG".to_owned(), "administrator.kubeconfig".to_owned()));
    place.run(&["scan"], None)?;
    let subject = "prod/ops/Secret/deployer-token";
    let token = estate.planted.get("k8s-deployer").value.as_ref().context("a value")?;

    // Pasted as it leaked: which one is it?
    let trace = place.run(&["trace", "-o", "json"], Some(token.bytes()))?.expect(0)?.json()?;
    let found = &trace["matches"][0];
    ensure!(found["ref"] == subject && found["how"] == "exact" && trace["unmatched"] == 0, "{trace:#}");
    ensure!(found["privilege"] == "admin", "its ServiceAccount is cluster-admin: {found:#}");

    let dry = place
        .run(&["revoke", subject, "--reason", "leaked", "--dry-run", "-o", "json"], None)?
        .expect(0)?
        .json()?;
    ensure!(
        dry["subjects"][0]["notes"].to_string().contains("cluster-access"),
        "the kubeconfig holds it too: {dry:#}"
    );
    let before =
        estate.kubernetes.request_as(token.expose(), Method::GET, "/api/v1/namespaces", None).await?;
    ensure!(before.status == 200, "the token works before");
    let revoked = place
        .run(&["revoke", subject, "--reason", "leaked", "--yes", "-o", "json"], None)?
        .expect(0)?
        .json()?;
    let receipt = &revoked["receipts"][0];
    ensure!(
        receipt["verdict"] == "proven"
            && receipt["control"].is_string()
            && receipt["control"] == receipt["probe"],
        "{receipt:#}"
    );
    ensure!(receipt["audit_seq"].is_number() && receipt["observed_at"].is_string(), "{receipt:#}");
    let after = estate.kubernetes.request_as(token.expose(), Method::GET, "/api/v1/namespaces", None).await?;
    ensure!(after.status == 401, "the API server says {}", after.status);
    let credential = place.run(&["show", subject, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(credential["credential"]["state"] == "revoked-proven", "{credential:#}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

/// An AppRole's secret-id: a second one is added, the Secret and the workload that reads it move over, then the first is ended and refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_id_is_followed_by_another_and_nobody_is_cut_off() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let mut place = Place::new(estate.directory(), "dual.db");
    place
        .environment
        .push(("CLAVIGER_BACKENDS__PROD__KUBECONFIG".to_owned(), "administrator.kubeconfig".to_owned()));
    place.run(&["scan"], None)?;
    let planted = estate.planted.get("approle-ci-stored");
    let subject = planted.reference.as_deref().context("its issuer's ref")?;
    let old = planted.value.as_ref().context("a value")?.expose().to_owned();
    let accessors = async || -> Result<Vec<String>> {
        let path = "auth/approle/role/ci/secret-id?list=true";
        let answer = estate.openbao.request(Method::GET, path, None).await?;
        let keys = answer.body["data"]["keys"].as_array().context("accessors")?;
        Ok(keys.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect())
    };
    let held = async || -> Result<(String, String)> {
        let path = "/api/v1/namespaces/ops/secrets/ci-approle";
        let secret = estate.kubernetes.request(Method::GET, path, None).await?;
        Ok((decoded(&secret.body["data"]["role_id"])?, decoded(&secret.body["data"]["secret_id"])?))
    };
    let logs_in = async |secret_id: &str| -> Result<u16> {
        let body = serde_json::json!({ "role_id": held().await?.0, "secret_id": secret_id });
        Ok(estate.openbao.request(Method::POST, "auth/approle/login", Some(&body)).await?.status)
    };
    let before = accessors().await?;
    ensure!(logs_in(&old).await? == 200, "it logs in before");

    let plan = place.run(&["rotate", subject, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    let planned = &plan["subjects"][0];
    ensure!(planned["strategy"] == "dual" && planned["breaks"] == serde_json::json!([]), "{plan:#}");
    ensure!(accessors().await? == before, "a dry run changes nothing");
    let done = place.run(&["rotate", subject, "--yes", "-o", "json"], None)?.expect(0)?.json()?;
    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotation:#}");

    // The servers, asked without claviger.
    let (_, new) = held().await?;
    ensure!(new != old, "the Secret still holds the old secret-id");
    ensure!(logs_in(&new).await? == 200, "the Secret's secret-id does not log in");
    ensure!(logs_in(&old).await? == 400, "the old secret-id is not refused");
    let after = accessors().await?;
    ensure!(after.len() == before.len(), "{before:?} became {after:?}");
    let runner = "/apis/apps/v1/namespaces/ops/deployments/runner";
    let runner = estate.kubernetes.request(Method::GET, runner, None).await?;
    let template = &runner.body["spec"]["template"]["metadata"]["annotations"];
    ensure!(template.as_object().is_some_and(|notes| !notes.is_empty()), "it was not restarted: {template}");

    let shown = place.run(&["show", subject, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(shown["credential"]["state"] == "revoked-proven", "{shown:#}");
    place.run(&["scan"], None)?;
    let added = after.iter().find(|one| !before.contains(one)).context("a new accessor")?;
    let successor = format!("vault/auth/approle/role/ci/secret-id/{added}");
    let shown = place.run(&["show", &successor, "-o", "json"], None)?.expect(0)?.json()?;
    let copies = shown["copies"].as_array().context("copies")?;
    ensure!(
        shown["credential"]["state"] == "active"
            && copies.iter().any(|copy| copy["ref"] == "prod/ops/Secret/ci-approle#secret_id"),
        "{shown:#}"
    );
    // Again: what is ended is not rotated, and nothing is made.
    let again = place.run(&["rotate", subject, "--yes", "-o", "json"], None)?;
    ensure!(again.code != 0, "an ended secret-id was rotated");
    ensure!(accessors().await? == after, "a refused rotation changed something");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

/// A webhook's secret lies in a Secret, at AWS and in a manifest, and no server is known that checks it: only a policy may say that it is ours
/// to change.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_without_an_issuer_is_changed_in_every_store_where_a_policy_says_so() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let mut place = Place::new(estate.directory(), "copy-only.db");
    place
        .environment
        .push(("CLAVIGER_BACKENDS__PROD__KUBECONFIG".to_owned(), "administrator.kubeconfig".to_owned()));
    place.run(&["scan"], None)?;
    let places = ["prod/web/Secret/webhook#secret", "aws/secretsmanager/web/webhook"];
    let fingerprints = |place: &Place| -> Result<Vec<(String, String)>> {
        let copies = place.list("copies")?;
        let current = |at: &str| {
            let copy = copies.iter().find(|copy| copy["ref"] == at && copy["stage"] == "current");
            copy.map(|copy| (text(copy, "credential").to_owned(), text(copy, "fingerprint").to_owned()))
        };
        places.iter().map(|at| current(at).with_context(|| format!("no copy at {at}"))).collect()
    };
    let before = fingerprints(&place)?;
    ensure!(before[0] == before[1], "one credential before: {before:?}");
    let id = before[0].0.clone();
    let arguments = ["rotate", &id, "--leave-stale", "--yes", "-o", "json"];
    let refused = place.run(&arguments, None)?.expect(4)?.json()?;
    ensure!(refused["refused"][0]["code"] == "no-issuer", "{refused:#}");
    ensure!(fingerprints(&place)? == before, "a refused rotation changed something");

    let config = std::fs::read_to_string(&place.config)?;
    let policy = "[policies.hooks]\nmatch = \"kind=webhook-secret\"\nstrategy = \"copy-only\"\n";
    place.config = estate.directory().join("copy-only.toml");
    std::fs::write(&place.config, format!("{config}\n{policy}"))?;
    let done = place.run(&arguments, None)?.expect(0)?.json()?;
    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "unprovable", "{rotation:#}");
    let secret =
        estate.kubernetes.request(Method::GET, "/api/v1/namespaces/web/secrets/webhook", None).await?;
    let old = estate.planted.get("webhook").value.as_ref().context("a value")?;
    ensure!(decoded(&secret.body["data"]["secret"])? != old.expose(), "the Secret holds the old value");
    place.run(&["scan"], None)?;
    let after = fingerprints(&place)?;
    ensure!(after[0] == after[1] && after[0].1 != before[0].1, "{before:?} became {after:?}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

fn value(place: &Place, reference: &str) -> Result<String> {
    let shown = place.run(&["show", reference, "-o", "json"], None)?.expect(0)?.json()?;
    let copies = shown["copies"].as_array().context("copies")?;
    let current = copies.iter().find(|copy| {
        copy["stage"] == "current"
            && copy["fingerprint"].is_string()
            && !text(copy, "ref").starts_with("repo/")
    });
    Ok(text(current.context("a current copy")?, "fingerprint").to_owned())
}

fn decoded(value: &serde_json::Value) -> Result<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().context("base64")?)?;
    Ok(String::from_utf8(bytes)?)
}
