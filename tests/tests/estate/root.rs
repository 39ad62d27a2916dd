//! The root credential of OpenBao's database engine on the real servers: changed by the engine, known to it alone, and tried at PostgreSQL where
//! a copy of the old one is left.

use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    estate::{Estate, postgres::ENGINE_ROLE},
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    access_key::place,
    kills::{FEW, Kills},
    lost_answer::Cut,
    text,
};

const ROOT: &str = "vault/database/config/payments-pg";

/// Does the engine still do its work? It makes a login, which PostgreSQL then accepts.
async fn engine_works(estate: &Estate) -> Result<()> {
    let lease = estate.openbao.request(Method::GET, "database/creds/dynamic", None).await?;
    ensure!(lease.status == 200, "the engine cannot make a login: {}", lease.body);
    let data = &lease.body["data"];
    let accepted = estate.postgres.accepts(text(data, "username"), text(data, "password")).await?;
    ensure!(accepted, "the login that the engine made is not accepted");
    Ok(())
}

/// What PostgreSQL keeps of the engine's password.
async fn verifier(estate: &Estate) -> Result<String> {
    let client = estate.postgres.connect("postgres").await?;
    let sql = "select rolpassword from pg_authid where rolname = $1";
    Ok(client.query_one(sql, &[&ENGINE_ROLE]).await?.get(0))
}

/// The connection's configuration, as the server shows it.
async fn configuration(estate: &Estate) -> Result<Value> {
    let path = "database/config/payments-pg";
    Ok(estate.openbao.request(Method::GET, path, None).await?.body["data"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_of_a_database_engine_is_changed_by_it_and_known_to_it_alone() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "root.db");
    let planted = estate.planted.get("db-engine").value.as_ref().context("a value")?.expose().to_owned();
    // What whoever set the engine up has kept.
    let fields = json!({ "data": { "username": ENGINE_ROLE, "password": planted } });
    estate.openbao.write("kv/data/ops/engine", &fields).await?;
    place.run(&["scan"], None)?;
    ensure!(estate.postgres.accepts(ENGINE_ROLE, &planted).await?, "it works before");
    let before = (verifier(&estate).await?, configuration(&estate).await?);

    let plan = place.run(&["rotate", ROOT, "--dry-run", "-o", "json"], None)?.expect(4)?.json()?;
    let refused = &plan["refused"][0];
    ensure!(
        refused["code"] == "shared-root" && text(refused, "reason").contains("vault/kv/ops/engine"),
        "{plan:#}"
    );
    let plan = place.run(&["rotate", ROOT, "--leave-stale", "--dry-run", "-o", "json"], None)?;
    let plan = plan.expect(0)?.json()?;
    let planned = &plan["subjects"][0];
    ensure!(planned["strategy"] == "replace" && planned["reversible_until"] == "rotate-root", "{plan:#}");
    for says in ["only the engine", "cannot be taken back", "dead value"] {
        ensure!(planned["notes"].to_string().contains(says), "`{says}` is not said: {plan:#}");
    }
    ensure!(verifier(&estate).await? == before.0, "a dry run changes nothing");
    let role = format!("db/role/{ENGINE_ROLE}");
    let behind = place.run(&["rotate", &role, "--dry-run", "-o", "json"], None)?.expect(4)?.json()?;
    ensure!(behind["refused"][0]["code"] == "engine-root", "behind the engine's back: {behind:#}");

    let done =
        place.run(&["rotate", ROOT, "--leave-stale", "--yes", "-o", "json"], None)?.expect(0)?.json()?;
    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotation:#}");
    ensure!(verifier(&estate).await? != before.0, "the account has the password that it had");
    ensure!(!estate.postgres.accepts(ENGINE_ROLE, &planted).await?, "the old password still logs in");
    engine_works(&estate).await?;
    // Having it log in has changed nothing of its configuration.
    ensure!(configuration(&estate).await? == before.1, "{:#}", configuration(&estate).await?);
    let id = text(rotation, "rotation_id");
    let refused = place.run(&["rollback", id, "--yes"], None)?.expect(4)?;
    ensure!(refused.stderr.contains("rotate again"), "{}", refused.stderr);

    // Nobody has it now: nothing is left to be tried, and no more is said than the engine says. Its first answer is lost as well.
    place.run(&["scan"], None)?;
    let mut cutting = crate::access_key::place(&estate, "root.db");
    cutting.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    let cut = Cut::before(estate.openbao.address(), b"/v1/database/rotate-root/payments-pg").await?;
    cutting.environment.push(("CLAVIGER_BACKENDS__VAULT__ADDRESS".to_owned(), cut.endpoint.clone()));
    let before = verifier(&estate).await?;
    let done = tokio::task::block_in_place(|| {
        cutting.run(&["rotate", ROOT, "--yes", "-o", "json"], None)?.expect(0)?.json()
    })?;
    ensure!(cut.fired.load(Ordering::SeqCst), "no answer was lost");
    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "attested", "{rotation:#}");
    ensure!(verifier(&estate).await? != before, "the account has the password that it had");
    engine_works(&estate).await?;
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

/// Where the engine logs in as claviger itself does, or holds its password in a way in which it cannot change it, nothing is tried.
#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_would_lock_somebody_out_is_refused() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "root-refused.db");
    let port = estate.postgres.port();
    let connection = |url: String| {
        json!({ "plugin_name": "postgresql-database-plugin", "verify_connection": false, "connection_url": url,
                "username": "claviger", "password": "not-checked-when-written" })
    };
    let templated =
        format!("postgresql://{{{{username}}}}:{{{{password}}}}@localhost:{port}/postgres?sslmode=disable");
    estate.openbao.write("database/config/as-claviger", &connection(templated)).await?;
    let literal =
        format!("postgresql://{{{{username}}}}:literal-password@localhost:{port}/postgres?sslmode=disable");
    estate.openbao.write("database/config/literal", &connection(literal)).await?;
    place.run(&["scan"], None)?;
    for (name, code, says) in
        [("as-claviger", "self-lock", "db/role/claviger"), ("literal", "not-templated", "{{password}}")]
    {
        let at = format!("vault/database/config/{name}");
        let at = at.as_str();
        let plain = ["rotate", at, "--yes", "-o", "json"];
        let stale = ["rotate", at, "--leave-stale", "--yes", "-o", "json"];
        for arguments in [&plain[..], &stale[..]] {
            let answer = place.run(arguments, None)?.expect(4)?.json()?;
            let refusal = &answer["refused"][0];
            ensure!(refusal["code"] == code && text(refusal, "reason").contains(says), "{answer:#}");
        }
    }
    Ok(())
}

/// Killed and taken up: the engine is never locked out.
#[tokio::test(flavor = "multi_thread")]
async fn no_kill_of_a_root_s_rotation_locks_its_engine_out() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let mut place = place(&estate, "root-kills.db");
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    place.run(&["scan"], None)?;
    let (mut interrupted, mut kills) = (0, Kills::new(FEW));
    for _ in kills.turns() {
        let before = verifier(&estate).await?;
        let at = kills.strike(&place, &["rotate", ROOT, "--yes", "-o", "json"]).await?;
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        let resumed = resumed["rotations"].as_array().context("rotations")?;
        interrupted += resumed.len();
        ensure!(resumed.iter().all(|one| one["state"] == "done"), "{at}: {resumed:#?}");
        ensure!(resumed.is_empty() || verifier(&estate).await? != before, "{at}: it was not changed");
        engine_works(&estate).await.context(at)?;
        place.run(&["audit", "verify"], None)?.expect(0)?;
    }
    ensure!(interrupted >= 2, "only {interrupted} of {FEW} kills hit a rotation");
    println!("killed {FEW} times, {interrupted} in the middle; the engine always logs in");
    Ok(())
}
