//! OpenBao: all leases below a prefix, and an entity with its logins and tokens.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;
use serde_json::{Value, json};

use super::{revoked, steps};
use crate::{access_key::place, text, token::Servers};

async fn dynamic(estate: &Estate) -> Result<(String, String)> {
    let path = "database/creds/dynamic";
    let lease = estate.openbao.request(Method::GET, path, None).await?.good("a dynamic login")?;
    Ok((text(&lease["data"], "username").to_owned(), text(&lease, "lease_id").to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_leases_below_a_prefix_end_with_their_logins() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "revoke-leases.db");
    place.run(&["scan"], None)?;
    let users = [dynamic(&estate).await?.0, dynamic(&estate).await?.0];
    let admin = estate.postgres.connect("postgres").await?;
    let roles = async || -> Result<i64> {
        let sql = "SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)";
        Ok(admin.query_one(sql, &[&users.to_vec()]).await?.get(0))
    };
    ensure!(roles().await? == 2, "the leases gave no roles");

    let subject = "vault/sys/leases/database/creds/dynamic";
    let plan = revoked(&place, 0, &[subject, "--dry-run"])?;
    ensure!(steps(&plan)? == ["end-derived", "attest-ended"], "{plan:#}");
    // One is planted with the estate.
    let derived = plan["subjects"][0]["blast"]["derived"].as_array().context("derived")?;
    ensure!(derived.len() == 3, "{derived:#?}");
    ensure!(roles().await? == 2, "a dry run ended them");
    let done = revoked(&place, 0, &[subject, "--yes"])?;
    let receipt = &done["receipts"][0];
    ensure!(receipt["verdict"] == "attested" && receipt["control"].is_null(), "{done:#}");
    ensure!(text(receipt, "detail").contains("listed 3 below the prefix before and none now"), "{receipt:#}");
    ensure!(roles().await? == 0, "a login of a lease goes on");
    // A neighbour whose name begins alike is none of it, and one that is new goes on.
    let (user, _) = dynamic(&estate).await?;
    let alike = revoked(&place, 0, &["vault/sys/leases/database/creds/dyn", "--yes"])?;
    ensure!(text(&alike["receipts"][0], "detail").contains("lists none"), "{alike:#}");
    let sql = "SELECT count(*) FROM pg_roles WHERE rolname = $1";
    ensure!(admin.query_one(sql, &[&user]).await?.get::<_, i64>(0) == 1, "another one's lease has ended");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_logs_in_no_more_and_its_tokens_are_gone() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let (place, servers) = (place(&estate, "revoke-entity.db"), Servers(&estate));
    let bao = &estate.openbao;
    place.run(&["scan"], None)?;
    bao.write("sys/auth/people", &json!({"type": "userpass"})).await?;
    let password = "a-password-of-this-test";
    let mut entities = Vec::new();
    for name in ["night", "day"] {
        bao.write(&format!("auth/people/users/{name}"), &json!({"password": password})).await?;
        let login = login(&estate, name, password).await?;
        let id = text(&login["auth"], "entity_id").to_owned();
        bao.write(&format!("identity/entity/id/{id}"), &json!({"name": name})).await?;
        entities.push((id, text(&login["auth"], "client_token").to_owned()));
    }
    let plan = revoked(&place, 0, &["vault/identity/entity/night", "--dry-run"])?;
    ensure!(plan["subjects"][0]["notes"].to_string().contains(entities[0].0.as_str()), "{plan:#}");
    let derived = plan["subjects"][0]["blast"]["derived"].as_array().context("derived")?;
    ensure!(derived.len() == 1, "{derived:#?}");
    let done = revoked(&place, 0, &["vault/identity/entity/night", "--yes"])?;
    ensure!(done["receipts"][0]["verdict"] == "attested", "{done:#}");
    ensure!(servers.own(&entities[0].1).await?.is_none(), "its token lives on");
    ensure!(servers.own(&entities[1].1).await?.is_some(), "another one's token has ended");
    ensure!(login(&estate, "night", password).await?["auth"].is_null(), "it still logs in");
    ensure!(login(&estate, "day", password).await?["auth"].is_object(), "another one does not log in");
    let gone = revoked(&place, 4, &["vault/identity/entity/nobody", "--dry-run"])?;
    ensure!(gone["refused"][0]["code"] == "already-gone", "{gone:#}");
    Ok(())
}

async fn login(estate: &Estate, name: &str, password: &str) -> Result<Value> {
    let body = json!({ "password": password });
    let path = format!("auth/people/login/{name}");
    Ok(estate.openbao.request(Method::POST, &path, Some(&body)).await?.body)
}
