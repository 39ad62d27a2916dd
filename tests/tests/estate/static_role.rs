//! The rotation of a database password that OpenBao's database engine makes and holds, on the real servers: asked for at the engine, tried at
//! PostgreSQL, and brought to whoever copied it.

use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;
use serde_json::json;

use crate::{access_key::place, lost_answer::Cut, recovery::decoded, text};

const ROLE: &str = "vault/database/static-roles/static-app";

/// What the engine shows.
async fn shown(estate: &Estate) -> Result<String> {
    let answer = estate.openbao.request(Method::GET, "database/static-creds/static-app", None).await?;
    Ok(text(&answer.body["data"], "password").to_owned())
}

/// What the Secret and KV hold.
async fn held(estate: &Estate) -> Result<[String; 2]> {
    let path = "/api/v1/namespaces/ops/secrets/static-db";
    let object = estate.kubernetes.request(Method::GET, path, None).await?.body;
    let kv = estate.openbao.request(Method::GET, "kv/data/ops/static", None).await?.body;
    Ok([decoded(&object["data"]["password"])?, text(&kv["data"]["data"], "password").to_owned()])
}

/// Somebody has copied the password into a Secret, which a Deployment reads, and into KV.
async fn copied(estate: &Estate) -> Result<String> {
    let value = shown(estate).await?;
    let name = json!({ "name": "static-db", "namespace": "ops" });
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": name, "type": "Opaque",
                         "stringData": { "username": "static_app", "password": value } });
    let variable = json!({ "name": "PGPASSWORD", "valueFrom": { "secretKeyRef": { "name": "static-db", "key": "password" } } });
    let container = json!({ "name": "app", "image": "registry.lab.internal/app:1", "env": [variable] });
    let labels = json!({ "app": "static-reader" });
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "static-reader", "namespace": "ops" },
        "spec": { "replicas": 1, "selector": { "matchLabels": labels },
                  "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } } } });
    estate.kubernetes.create(&[secret, deployment])?;
    estate.kubernetes.rolled_out("ops").await?;
    let fields = json!({ "data": { "username": "static_app", "password": value } });
    estate.openbao.write("kv/data/ops/static", &fields).await?;
    Ok(value)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_role_is_rotated_by_its_engine_and_its_copies_follow() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "static-role.db");
    let old = copied(&estate).await?;
    place.run(&["scan"], None)?;
    ensure!(estate.postgres.accepts("static_app", &old).await?, "it works before");

    // One value under two names has one issuer.
    let direct =
        place.run(&["rotate", "db/role/static_app", "--yes", "-o", "json"], None)?.expect(4)?.json()?;
    let refused = &direct["refused"][0];
    ensure!(refused["code"] == "engine-owned" && text(refused, "reason").contains(ROLE), "{direct:#}");
    ensure!(shown(&estate).await? == old, "the refusal changed it");

    let plan = place.run(&["rotate", ROLE, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    let planned = &plan["subjects"][0];
    ensure!(planned["strategy"] == "replace" && planned["reversible_until"] == "ask-issuer", "{plan:#}");
    for says in ["every 86400 s", "cannot be taken back"] {
        ensure!(planned["notes"].to_string().contains(says), "`{says}` is not said: {plan:#}");
    }
    ensure!(planned["breaks"] == json!(["prod/ops/Deployment/static-reader"]), "{plan:#}");
    ensure!(shown(&estate).await? == old, "a dry run changes nothing");

    let done = place.run(&["rotate", ROLE, "--yes", "-o", "json"], None)?.expect(0)?.json()?;
    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotation:#}");

    // The servers, asked without claviger.
    let new = shown(&estate).await?;
    ensure!(new != old && held(&estate).await? == [new.clone(), new.clone()], "the copies are out of step");
    ensure!(estate.postgres.accepts("static_app", &new).await?, "the new password does not log in");
    ensure!(!estate.postgres.accepts("static_app", &old).await?, "the old password still logs in");
    let reader = "/apis/apps/v1/namespaces/ops/deployments/static-reader";
    let reader = estate.kubernetes.request(Method::GET, reader, None).await?;
    let template = &reader.body["spec"]["template"]["metadata"]["annotations"];
    ensure!(template.as_object().is_some_and(|notes| !notes.is_empty()), "it was not restarted: {template}");

    // What the engine has changed has no way back.
    let id = text(rotation, "rotation_id");
    place.run(&["rollback", id, "--yes"], None)?.expect(4)?;
    place.run(&["scan"], None)?;
    let shown = place.run(&["show", "db/role/static_app", "-o", "json"], None)?.expect(0)?.json()?;
    let copies = shown["copies"].as_array().context("copies")?;
    let current = copies.iter().filter(|copy| copy["stage"] == "current").count();
    ensure!(shown["credential"]["state"] == "active" && current == 3, "{shown:#}");
    let shown = place.run(&["show", ROLE, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(shown["credential"]["last_rotated_at"].is_string(), "{shown:#}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

/// Without PostgreSQL in the estate there is nobody to log in at: the engine's word is all there is, and no more is said.
#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_be_logged_in_at_the_engine_is_taken_at_its_word() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let mut place = place(&estate, "static-word.db");
    let text_of = std::fs::read_to_string(&place.config)?;
    let without = estate.directory().join("without-db.toml");
    std::fs::write(&without, without_backend(&text_of, "db"))?;
    place.config = without;
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    let old = copied(&estate).await?;
    place.run(&["scan"], None)?;
    // The first answer of the engine is lost as well: it is asked what it holds.
    let cut = Cut::before(estate.openbao.address(), b"/v1/database/rotate-role/static-app").await?;
    place.environment.push(("CLAVIGER_BACKENDS__VAULT__ADDRESS".to_owned(), cut.endpoint.clone()));
    let done = tokio::task::block_in_place(|| {
        place.run(&["rotate", ROLE, "--yes", "-o", "json"], None)?.expect(0)?.json()
    })?;
    ensure!(cut.fired.load(Ordering::SeqCst), "no answer was lost");
    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "attested", "{rotation:#}");
    let new = shown(&estate).await?;
    ensure!(new != old && held(&estate).await? == [new.clone(), new.clone()], "the copies are out of step");
    ensure!(estate.postgres.accepts("static_app", &new).await?, "the new password does not log in");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

/// A configuration without the table of one backend.
fn without_backend(text: &str, name: &str) -> String {
    let header = format!("[backends.{name}]");
    let mut inside = false;
    let kept = text.lines().filter(|line| {
        if line.starts_with('[') {
            inside = *line == header || line.starts_with(&format!("[backends.{name}."));
        }
        !inside
    });
    kept.collect::<Vec<_>>().join("\n")
}
