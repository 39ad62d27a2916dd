//! What a scan of the planted estate says, held against the truth.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    estate::{Estate, planted::Stage},
    require_lab,
};
use reqwest::Method;
use serde_json::Value;

use crate::{Place, text};

/// Everything planted is found, linked and owned; what is denied is named; nothing of the decoys became a shared credential.
#[tokio::test(flavor = "multi_thread")]
async fn a_scan_finds_everything_that_was_planted() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    let place = Place::new(estate.directory(), "inventory.db");
    let scan = place.run(&["scan", "-o", "json"], None)?.expect(3)?;
    let document = scan.json()?;
    ensure!(document["schema"] == "claviger.scan/v1" && document["complete"] == false, "{document:#}");
    for (backend, scope) in &estate.planted.denied {
        let named = document["backends"].as_array().context("backends")?.iter().any(|view| {
            view["name"] == *backend
                && view["scopes"].as_array().is_some_and(|scopes| {
                    scopes.iter().any(|one| {
                        text(one, "scope").contains(scope)
                            && one["status"] == "denied"
                            && one["reason"].is_string()
                    })
                })
        });
        ensure!(named, "{backend}/{scope} is not named as denied: {:#}", document["backends"]);
        ensure!(scan.stderr.contains(scope), "{scope} is not on standard error: {}", scan.stderr);
    }

    let copies = place.list("copies")?;
    let consumers = place.list("consumers")?;
    let credentials = place.list("credentials")?;
    let by_id: BTreeMap<&str, &Value> =
        credentials.iter().map(|credential| (text(credential, "id"), credential)).collect();
    let mut wrong = Vec::new();
    for planted in &estate.planted.credentials {
        let (mut ids, mut files) = (BTreeSet::new(), Vec::new());
        for copy in &planted.copies {
            let stage = if copy.stage == Stage::Current { "current" } else { "former" };
            let found: Vec<_> = copies
                .iter()
                .filter(|one| copy.is(text(one, "ref")) && text(one, "stage") == stage)
                .collect();
            if found.is_empty() {
                let others: Vec<_> = copies
                    .iter()
                    .map(|one| text(one, "ref"))
                    .filter(|at| at.starts_with(copy.reference.split('#').next().unwrap_or_default()))
                    .collect();
                wrong.push(format!(
                    "{}: no {stage} copy {}; there are {others:?}",
                    planted.name, copy.reference
                ));
            }
            // A manifest's planted ref ends at the file, which holds other credentials too: one of its copies has to be ours.
            if copy.reference.starts_with("repo/") {
                files.push((
                    copy.reference.clone(),
                    found.iter().map(|one| text(one, "credential")).collect::<BTreeSet<_>>(),
                ));
            } else {
                ids.extend(found.iter().map(|one| text(one, "credential")));
            }
        }
        if ids.len() > 1 {
            let refs: Vec<_> = ids
                .iter()
                .map(|id| by_id.get(id).map_or("(gone)", |credential| text(credential, "ref")))
                .collect();
            wrong.push(format!("{}: its copies are {} credentials: {refs:?}", planted.name, ids.len()));
        }
        let credential = match &planted.reference {
            Some(reference) => credentials.iter().find(|credential| text(credential, "ref") == reference),
            None => ids.first().and_then(|id| by_id.get(id).copied()),
        };
        for (file, found) in files {
            if credential.is_some_and(|credential| !found.contains(text(credential, "id"))) {
                wrong.push(format!("{}: no copy in {file} is its", planted.name));
            }
        }
        let Some(credential) = credential else {
            wrong.push(format!("{}: no credential {:?}", planted.name, planted.reference));
            continue;
        };
        if planted.reference.is_some() && !ids.is_empty() && !ids.contains(text(credential, "id")) {
            let refs: Vec<_> = ids
                .iter()
                .map(|id| by_id.get(id).map_or("(gone)", |credential| text(credential, "ref")))
                .collect();
            wrong.push(format!(
                "{}: its copies belong to {refs:?}, not to {}",
                planted.name,
                text(credential, "ref")
            ));
        }
        if text(credential, "kind") != planted.kind {
            wrong.push(format!(
                "{}: kind {} instead of {}",
                planted.name,
                text(credential, "kind"),
                planted.kind
            ));
        }
        if let Some(owner) = planted.owner
            && text(credential, "owner") != owner
        {
            wrong.push(format!("{}: owner {} instead of {owner}", planted.name, credential["owner"]));
        }
        for consumer in &planted.consumers {
            let found = consumers.iter().any(|one| {
                text(one, "ref") == consumer.reference
                    && text(one, "how") == consumer.how
                    && text(one, "copy") == consumer.copy
                    && consumer.container.is_none_or(|container| text(one, "container") == container)
            });
            if !found {
                let others: Vec<_> = consumers
                    .iter()
                    .filter(|one| text(one, "ref") == consumer.reference)
                    .map(|one| format!("{} {} {}", text(one, "how"), text(one, "copy"), one["container"]))
                    .collect();
                wrong.push(format!(
                    "{}: no consumer {} {} {}; it has {others:?}",
                    planted.name, consumer.reference, consumer.how, consumer.copy
                ));
            }
        }
    }
    for decoy in &estate.planted.decoys {
        for copy in copies.iter().filter(|copy| text(copy, "ref") == decoy) {
            let shared: Vec<_> = copies
                .iter()
                .filter(|other| {
                    text(other, "credential") == text(copy, "credential") && text(other, "ref") != decoy
                })
                .map(|other| text(other, "ref"))
                .collect();
            if !shared.is_empty() {
                wrong.push(format!("decoy {decoy} became a credential that it shares with {shared:?}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    println!(
        "{} planted credentials found; {} credentials, {} copies, {} consumers in all",
        estate.planted.credentials.len(),
        credentials.len(),
        copies.len(),
        consumers.len()
    );
    Ok(())
}

/// A second scan of an unchanged estate changes nothing but `last_seen`.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_scan_is_quiet() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    let place = Place::new(estate.directory(), "quiet.db");
    place.run(&["scan"], None)?.expect(3)?;
    let strip = |thing: &str| -> Result<Vec<String>> {
        let mut items = place.list(thing)?;
        for item in &mut items {
            if let Some(item) = item.as_object_mut() {
                item.retain(|key, _| key != "last_seen" && key != "last_used_at" && key != "age_days");
                // Live figures, which our own scan moves: when AWS was last asked for it, and who is logged in right now.
                if let Some(attributes) = item.get_mut("attributes").and_then(Value::as_object_mut) {
                    attributes.retain(|key, _| key != "last_accessed" && key != "sessions");
                }
            }
        }
        Ok(items.iter().map(Value::to_string).collect())
    };
    let things = ["credentials", "identities", "copies", "consumers", "findings"];
    let before = things.iter().map(|thing| strip(thing)).collect::<Result<Vec<_>>>()?;
    place.run(&["scan"], None)?.expect(3)?;
    for (thing, before) in things.iter().zip(before) {
        let after = strip(thing)?;
        let differing: Vec<_> =
            before.iter().zip(&after).filter(|(one, other)| one != other).take(3).collect();
        ensure!(before == after, "{thing} changed ({} to {}): {differing:#?}", before.len(), after.len());
    }
    Ok(())
}

/// A namespace that is deleted is gone, although another one and a KV path are refused for good: neither could hide it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_namespace_is_gone_beside_a_refused_one() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = Place::new(estate.directory(), "deleted.db");
    let (namespaces, name) = ("/api/v1/namespaces", "short-lived");
    let one = format!("{namespaces}/{name}");
    let request = async |method: Method, path: &str, body: Option<serde_json::Value>| {
        estate.kubernetes.request(method, path, body.as_ref()).await
    };
    let namespace = serde_json::json!({ "metadata": { "name": name } });
    request(Method::POST, namespaces, Some(namespace)).await?;
    let secret = serde_json::json!({
        "metadata": { "name": "key" }, "stringData": { "password": "kJ4-uR9xQ2mZ7vB1nL5cW8" },
    });
    let made = request(Method::POST, &format!("{one}/secrets"), Some(secret)).await?;
    ensure!(made.status == 201, "the Secret: {}", made.status);
    // The scanner may read only where it was told that it may.
    let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/rolebindings");
    let reader = serde_json::json!({
        "metadata": { "name": "claviger" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "name": "claviger", "namespace": "claviger" }],
    });
    let bound = request(Method::POST, &bindings, Some(reader)).await?;
    ensure!(bound.status == 201, "the RoleBinding: {}", bound.status);
    let copies = |place: &Place| -> Result<usize> {
        let copies = place.list("copies")?;
        Ok(copies.iter().filter(|copy| text(copy, "ref").starts_with("prod/short-lived/")).count())
    };
    place.run(&["scan"], None)?.expect(3)?;
    ensure!(copies(&place)? == 1, "it was not found");
    let all = place.list("copies")?.len();
    request(Method::DELETE, &one, None).await?;
    for _ in 0..300 {
        if request(Method::GET, &one, None).await?.status == 404 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    ensure!(request(Method::GET, &one, None).await?.status == 404, "the namespace does not go");
    place.run(&["scan"], None)?.expect(3)?;
    ensure!(copies(&place)? == 0, "the deleted namespace's copy is still there");
    ensure!(place.list("copies")?.len() == all - 1, "something else went with it");
    Ok(())
}

/// SQLite and PostgreSQL give the same inventory, ids and fingerprints aside.
#[tokio::test(flavor = "multi_thread")]
async fn both_databases_say_the_same() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    let sqlite = Place::new(estate.directory(), "same.db");
    let client = estate.postgres.connect("postgres").await?;
    client.batch_execute("CREATE DATABASE claviger_lifecycle").await.context("create the database")?;
    // The lab's server is a throw-away one; claviger refuses a database that may forget a commit.
    client
        .batch_execute("ALTER DATABASE claviger_lifecycle SET synchronous_commit = on")
        .await
        .context("make its commits durable")?;
    let mut postgres = Place::new(estate.directory(), "unused.db");
    postgres.database = estate.postgres.url("claviger_lifecycle");
    for place in [&sqlite, &postgres] {
        place.run(&["scan"], None)?.expect(3)?;
    }
    let refs = |place: &Place, thing: &str, keys: &[&str]| -> Result<Vec<String>> {
        let mut rows: Vec<_> = place
            .list(thing)?
            .iter()
            .map(|item| keys.iter().map(|key| item[*key].to_string()).collect::<Vec<_>>().join(" "))
            .collect();
        rows.sort();
        Ok(rows)
    };
    for (thing, keys) in [
        (
            "credentials",
            &["ref", "kind", "identity", "owner", "state", "copies", "consumers", "findings", "link"][..],
        ),
        ("copies", &["ref", "stage", "version", "evidence", "fingerprint"][..]),
        ("consumers", &["ref", "copy", "how", "container"][..]),
        ("identities", &["ref", "kind", "owner", "privilege", "credentials"][..]),
        ("findings", &["slug", "subject", "severity", "title"][..]),
    ] {
        let (one, other) = (refs(&sqlite, thing, keys)?, refs(&postgres, thing, keys)?);
        let only: Vec<_> = one
            .iter()
            .filter(|row| !other.contains(row))
            .chain(other.iter().filter(|row| !one.contains(row)))
            .take(6)
            .collect();
        ensure!(one == other, "{thing} differ: {only:#?}");
        ensure!(!one.is_empty(), "{thing} is empty");
    }
    Ok(())
}
