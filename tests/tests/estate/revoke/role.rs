//! A PostgreSQL role: its password, its live sessions, its copies.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    estate::Estate,
    lab::postgres::{Postgres, connect},
    require_lab,
};
use reqwest::Method;
use serde_json::Value;
use tokio_postgres::Client;

use super::{revoked, steps};
use crate::{access_key::place, recovery::decoded, text};

async fn session(server: &Postgres, password: &str) -> Result<Client> {
    let mut configuration = server.configuration("payments");
    configuration.user("app").password(password);
    connect(&configuration).await
}

async fn sessions(admin: &Client) -> Result<i64> {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'";
    Ok(admin.query_one(sql, &[]).await?.get(0))
}

/// May it log in, and has it a password?
async fn state(admin: &Client) -> Result<(bool, bool)> {
    let sql = "SELECT rolcanlogin, rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'app'";
    let row = admin.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_revoked_with_its_sessions_and_its_copies() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "revoke-role.db");
    place.run(&["scan"], None)?.expect(3)?;
    let old = estate.planted.get("db-app").value.as_ref().context("a value")?.expose().to_owned();
    let admin = estate.postgres.connect("postgres").await?;
    let live = [session(&estate.postgres, &old).await?, session(&estate.postgres, &old).await?];
    live[0].batch_execute("BEGIN; CREATE TABLE held_open (id int)").await?;

    let plan = revoked(&place, 0, &["db/role/app", "--scrub", "--dry-run"])?;
    let subject = &plan["subjects"][0];
    ensure!(
        steps(&plan)?[..6]
            == ["seal-old", "control-probe", "disable", "revoke", "end-derived", "prove-refused"],
        "{plan:#}"
    );
    let blast = &subject["blast"];
    let derived = blast["derived"].as_array().context("derived")?;
    ensure!(derived.len() == 2 && text(&derived[0], "what").starts_with("session "), "{blast:#}");
    ensure!(!blast["saved"].is_null() || blast["not_saved"].is_string(), "{blast:#}");
    for says in ["REASSIGN OWNED", "repo/"] {
        ensure!(subject["notes"].to_string().contains(says), "`{says}` is not said: {:#}", subject["notes"]);
    }
    ensure!(
        state(&admin).await? == (true, true) && sessions(&admin).await? == 2,
        "a dry run changed something"
    );

    // The manifests keep it, which is told: exit 0, as only what claviger was to clean counts.
    let done = revoked(&place, 0, &["db/role/app", "--scrub", "--yes"])?;
    let receipt = &done["receipts"][0];
    ensure!(receipt["verdict"] == "proven" && receipt["control"] == receipt["probe"], "{done:#}");
    ensure!(text(receipt, "detail").contains("28P01"), "{receipt:#}");
    ensure!(text(receipt, "detail").contains("2 ended that were obtained with it"), "{receipt:#}");

    // The servers, asked without claviger.
    ensure!(state(&admin).await? == (false, false), "it may log in, or has a password");
    ensure!(sessions(&admin).await? == 0, "a session goes on");
    ensure!(live[0].query_one("SELECT 1", &[]).await.is_err(), "the open transaction goes on");
    ensure!(!estate.postgres.accepts("app", &old).await?, "the password is accepted");
    let secret = "/api/v1/namespaces/payments/secrets/db";
    let secret = estate.kubernetes.request(Method::GET, secret, None).await?.body;
    ensure!(secret["data"]["password"].is_null(), "the Secret holds it");
    ensure!(decoded(&secret["data"]["username"])? == "app", "its sibling is gone");
    let map = "/api/v1/namespaces/payments/configmaps/app";
    let map = estate.kubernetes.request(Method::GET, map, None).await?.body;
    let url = text(&map["data"], "database-url");
    ensure!(url.contains("revoked-by-claviger") && url.ends_with("/payments"), "the URL is {url}");
    let versions = estate.openbao.request(Method::GET, "kv/metadata/payments/db", None).await?.body;
    let versions = versions["data"]["versions"].as_object().context("versions")?.clone();
    let destroyed: Vec<_> = versions
        .iter()
        .filter(|(_, it)| it["destroyed"] == true)
        .map(|(number, _)| number.as_str())
        .collect();
    ensure!(destroyed == ["3"], "the version that held it is destroyed, and no other: {destroyed:?}");
    let kv = estate.openbao.request(Method::GET, "kv/data/payments/db", None).await?.body;
    ensure!(kv["data"]["data"]["username"] == "app" && kv["data"]["data"]["password"].is_null(), "{kv}");

    let again = revoked(&place, 4, &["db/role/app", "--yes"])?;
    ensure!(again["refused"][0]["code"] == "already-gone", "{again:#}");
    place.run(&["scan"], None)?;
    let copies = place.list("copies")?;
    let at: Vec<&Value> = copies
        .iter()
        .filter(|copy| text(copy, "ref").starts_with("vault/kv/payments/db#password"))
        .filter(|copy| copy["stage"] == "current")
        .collect();
    ensure!(at.is_empty(), "{at:?}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_replaced_and_the_sessions_of_the_old_password_end() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "replace-role.db");
    place.run(&["scan"], None)?.expect(3)?;
    let old = estate.planted.get("db-app").value.as_ref().context("a value")?.expose().to_owned();
    let live = session(&estate.postgres, &old).await?;
    // A manifest holds it too, which claviger cannot write: it has to be said that this is known.
    let refused = revoked(&place, 4, &["db/role/app", "--replace", "--yes"])?;
    ensure!(refused["refused"][0]["code"] == "copy-read-only", "{refused:#}");
    let done = revoked(&place, 0, &["db/role/app", "--replace", "--force", "--yes"])?;
    let receipt = &done["receipts"][0];
    ensure!(receipt["verdict"] == "proven", "{done:#}");
    ensure!(text(receipt, "detail").contains("1 ended that were obtained with it"), "{receipt:#}");
    ensure!(live.query_one("SELECT 1", &[]).await.is_err(), "the old session goes on");
    ensure!(!estate.postgres.accepts("app", &old).await?, "the old password is accepted");
    let kv = estate.openbao.request(Method::GET, "kv/data/payments/db", None).await?.body;
    let new = text(&kv["data"]["data"], "password").to_owned();
    ensure!(new != old && estate.postgres.accepts("app", &new).await?, "the new password does not log in");
    let rotations = place.list("rotations")?;
    ensure!(rotations[0]["cause"] == "incident", "{rotations:?}");
    Ok(())
}
