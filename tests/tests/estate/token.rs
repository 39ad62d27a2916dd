//! The rotation of a periodic token of OpenBao on the real servers: another one that may do the same, and none too many whatever happens.

use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Place,
    access_key::place,
    kills::{FEW, Kills},
    lost_answer::Cut,
    recovery::{Lifecycle, decoded},
    text,
};

/// What the servers say, asked without claviger.
pub(crate) struct Servers<'e>(pub(crate) &'e Estate);

impl Servers<'_> {
    /// The token in its two copies.
    pub(crate) async fn held(&self) -> Result<[String; 2]> {
        let path = "/api/v1/namespaces/ops/secrets/vault-token";
        let object = self.0.kubernetes.request(Method::GET, path, None).await?.body;
        let kv = self.0.openbao.request(Method::GET, "kv/data/ops/runner", None).await?.body;
        let kv = &kv["data"]["data"];
        ensure!(kv["note"] == "beside it", "a field beside the token was changed: {kv}");
        Ok([decoded(&object["data"]["token"])?, text(kv, "token").to_owned()])
    }

    /// What a token says of itself; `None` where it is refused.
    pub(crate) async fn own(&self, token: &str) -> Result<Option<Value>> {
        let answer = self.0.openbao.request_as(token, Method::GET, "auth/token/lookup-self", None).await?;
        ensure!([200, 403].contains(&answer.status), "lookup-self says {}", answer.status);
        Ok((answer.status == 200).then(|| answer.body["data"].clone()))
    }

    /// Accessors of the tokens with this display name.
    pub(crate) async fn named(&self, name: &str) -> Result<Vec<String>> {
        let list = self.0.openbao.request(Method::GET, "auth/token/accessors?list=true", None).await?;
        let mut found = Vec::new();
        for accessor in list.body["data"]["keys"].as_array().context("accessors")? {
            let body = json!({ "accessor": accessor });
            let token =
                self.0.openbao.request(Method::POST, "auth/token/lookup-accessor", Some(&body)).await?;
            if token.body["data"]["display_name"] == name {
                found.push(accessor.as_str().unwrap_or_default().to_owned());
            }
        }
        Ok(found)
    }
}

/// The token also lies in a field of KV, with another field beside it. Gives the token's ref and value.
pub(crate) async fn prepared(estate: &Estate) -> Result<(String, String)> {
    let planted = estate.planted.get("vault-periodic");
    let value = planted.value.as_ref().context("a value")?.expose().to_owned();
    let fields = json!({ "data": { "token": value, "note": "beside it" } });
    estate.openbao.write("kv/data/ops/runner", &fields).await?;
    Ok((planted.reference.clone().context("its issuer's ref")?, value))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_periodic_token_is_followed_by_one_that_may_do_the_same() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let (place, servers) = (place(&estate, "token.db"), Servers(&estate));
    let (subject, old) = prepared(&estate).await?;
    // The old token has a child: it may make tokens that do what it does.
    let rules = r#"path "kv/data/payments/*" { capabilities = ["read"] } path "auth/token/create" { capabilities = ["update"] }"#;
    estate.openbao.write("sys/policies/acl/ci", &json!({ "policy": rules })).await?;
    let body = json!({ "policies": ["ci"], "ttl": "1h" });
    let child = estate.openbao.request_as(&old, Method::POST, "auth/token/create", Some(&body)).await?.body;
    let child = text(&child["auth"], "client_token").to_owned();
    ensure!(servers.own(&child).await?.is_some(), "the child works before");
    place.run(&["scan"], None)?;
    let before = servers.own(&old).await?.context("it works before")?;

    // What cannot be done is said before anything is.
    for (name, code) in [("vault-root", "root-token"), ("vault-claviger", "self-lock")] {
        let other = estate.planted.get(name).reference.as_deref().context("a ref")?;
        let refused = place.run(&["rotate", other, "--yes", "-o", "json"], None)?.expect(4)?.json()?;
        ensure!(refused["refused"][0]["code"] == code, "{name}: {refused:#}");
    }
    let plan = place.run(&["rotate", &subject, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    let planned = &plan["subjects"][0];
    ensure!(planned["strategy"] == "dual" && planned["breaks"] == json!([]), "{plan:#}");
    for says in ["child tokens, and leases", "is not measured"] {
        ensure!(planned["notes"].to_string().contains(says), "`{says}` is not said: {plan:#}");
    }
    ensure!(servers.named("token-ci-runner").await?.len() == 1, "a dry run changes nothing");

    let done = place.run(&["rotate", &subject, "--yes", "-o", "json"], None)?.expect(0)?.json()?;
    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotation:#}");

    // The servers, asked without claviger.
    let [new, other] = servers.held().await?;
    ensure!(new == other && new != old, "the copies are out of step, or hold the old token");
    let after = servers.own(&new).await?.context("the new token works")?;
    for field in
        ["policies", "period", "explicit_max_ttl", "num_uses", "renewable", "type", "orphan", "display_name"]
    {
        ensure!(before[field] == after[field], "{field}: {} became {}", before[field], after[field]);
    }
    ensure!(after["meta"]["claviger-operation"].is_string(), "it is not marked: {}", after["meta"]);
    ensure!(servers.own(&old).await?.is_none(), "the old token still works");
    ensure!(servers.own(&child).await?.is_none(), "its child was to end with it");
    ensure!(servers.named("token-ci-runner").await? == [text(&after, "accessor")], "one is left");

    let shown = place.run(&["show", &subject, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(shown["credential"]["state"] == "revoked-proven", "{shown:#}");
    place.run(&["scan"], None)?;
    let successor = format!("vault/auth/token/accessor/{}", text(&after, "accessor"));
    ensure!(rotation["new"]["ref"] == successor.as_str(), "{rotation:#}");
    let shown = place.run(&["show", &successor, "-o", "json"], None)?.expect(0)?.json()?;
    let copies = shown["copies"].as_array().context("copies")?;
    let current = copies.iter().filter(|copy| copy["stage"] == "current").count();
    ensure!(shown["credential"]["state"] == "active" && current == 2, "{shown:#}");
    // And once more: the mark that the first rotation left is no obstacle.
    let again = place.run(&["rotate", &successor, "--yes", "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(again["rotations"][0]["old"]["verdict"] == "proven", "{again:#}");
    ensure!(servers.named("token-ci-runner").await?.len() == 1, "one is left");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

/// What the server tells once nobody has when the answer is lost: it is found by the operation's key, and by nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_answer_was_lost_is_found_and_taken_away() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let (mut place, servers) = (place(&estate, "lost-token.db"), Servers(&estate));
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    let (subject, old) = prepared(&estate).await?;
    place.run(&["scan"], None)?;
    // Somebody else's, which may do the same and looks the same, made at the same time.
    let body = json!({ "policies": ["ci"], "period": "24h", "display_name": "ci-runner", "no_parent": true });
    let foreign = estate.openbao.write("auth/token/create", &body).await?;
    let foreign = text(&foreign["auth"], "accessor").to_owned();
    let cut = Cut::before(estate.openbao.address(), b"/v1/auth/token/create-orphan").await?;
    place.environment.push(("CLAVIGER_BACKENDS__VAULT__ADDRESS".to_owned(), cut.endpoint.clone()));
    let done = tokio::task::block_in_place(|| {
        place.run(&["rotate", &subject, "--yes", "-o", "json"], None)?.expect(0)?.json()
    })?;
    ensure!(cut.fired.load(Ordering::SeqCst), "no answer was lost");
    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotation:#}");

    let [new, other] = servers.held().await?;
    ensure!(new == other && new != old, "the copies are out of step, or hold the old token");
    let new = servers.own(&new).await?.context("the new token works")?;
    let mut left = servers.named("token-ci-runner").await?;
    left.retain(|accessor| *accessor != foreign);
    ensure!(left == [text(&new, "accessor")], "an orphan is left: {left:?}");
    ensure!(servers.named("token-ci-runner").await?.len() == 2, "somebody else's token was taken away");
    // Told before it was done: with the orphan's own ref, which is neither the old one's nor the new one's.
    let audit = place.run(&["audit", "export"], None)?.expect(0)?;
    let entries = audit.stdout.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let told: Vec<_> = entries.iter().filter(|entry| entry.to_string().contains("\"orphan\":true")).collect();
    let ours = [subject.clone(), format!("vault/auth/token/accessor/{}", text(&new, "accessor"))];
    let named = told.iter().all(|entry| {
        let at = text(entry, "subject");
        at.starts_with("vault/auth/token/accessor/") && !ours.iter().any(|known| known == at)
    });
    ensure!(told.len() == 2 && named, "the orphan is not told: {told:?}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_rotation_of_a_token_leaves_no_orphan() -> Result<()> {
    println!("{}", kill_token(FEW, Lifecycle::Sqlite).await?);
    Ok(())
}

/// Kills the rotation of a token so many times.
pub(crate) async fn kill_token(times: u32, lifecycle: Lifecycle) -> Result<String> {
    let estate = require_lab!(Estate::start().await, Ok(String::new()));
    let mut place: Place = place(&estate, "recovery-token.db");
    place.database = lifecycle.place(&estate, "recovery_token").await?.database;
    let servers = Servers(&estate);
    let (mut subject, first) = prepared(&estate).await?;
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    place.run(&["scan"], None)?;
    let (mut interrupted, mut kills) = (0, Kills::new(times));
    for _ in kills.turns() {
        let at = kills.strike(&place, &["rotate", &subject, "--yes", "-o", "json"]).await?;
        for held in servers.held().await? {
            servers.own(&held).await?.with_context(|| at.clone()).context("a copy's token does not work")?;
        }
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        let resumed = resumed["rotations"].as_array().context("rotations")?.clone();
        interrupted += resumed.len();
        ensure!(resumed.iter().all(|rotation| rotation["state"] == "done"), "{}: {resumed:#?}", at);
        let [held, other] = servers.held().await?;
        ensure!(held == other, "{}: out of step", at);
        let own = servers.own(&held).await?.with_context(|| at.clone()).context("locked out")?;
        let left = servers.named("token-ci-runner").await?;
        ensure!(left == [text(&own, "accessor")], "{}: an orphan: {left:?}", at);
        place.run(&["audit", "verify"], None)?.expect(0)?;
        place.run(&["scan"], None)?;
        subject = format!("vault/auth/token/accessor/{}", text(&own, "accessor"));
    }
    ensure!(interrupted >= times as usize / 3, "only {interrupted} of {times} kills hit a rotation");
    ensure!(servers.own(&first).await?.is_none(), "the first token still works");
    // Each is told before and after.
    let audit = place.run(&["audit", "export"], None)?.expect(0)?;
    let orphans = audit.stdout.lines().filter(|line| line.contains("\"orphan\":true")).count() / 2;
    Ok(format!(
        "killed {times} times, {interrupted} in the middle ({orphans} left a token whose value was lost); all resumed to done, one token is left"
    ))
}
