//! An AppRole's secret-id with the tokens that logins with it gave, and nobody else's.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;
use serde_json::{Value, json};

use super::{revoked, steps};
use crate::{access_key::place, text, token::Servers};

async fn login(estate: &Estate, secret_id: &str) -> Result<Value> {
    let role = estate.openbao.request(Method::GET, "auth/approle/role/ci/role-id", None).await?.body;
    let body = json!({ "role_id": role["data"]["role_id"], "secret_id": secret_id });
    Ok(estate.openbao.request(Method::POST, "auth/approle/login", Some(&body)).await?.body)
}

fn token(login: &Value) -> &str {
    text(&login["auth"], "client_token")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_a_secret_id_end_with_it_and_no_others() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let (place, servers) = (place(&estate, "revoke-secret-id.db"), Servers(&estate));
    let planted = estate.planted.get("approle-ci-stored");
    let subject = planted.reference.as_deref().context("its issuer's ref")?;
    let stored = planted.value.as_ref().context("a value")?.expose().to_owned();
    let forgotten = estate.planted.get("approle-ci-forgotten").value.as_ref().context("a value")?;
    let mine = [login(&estate, &stored).await?, login(&estate, &stored).await?];
    let other = login(&estate, forgotten.expose()).await?;
    place.run(&["scan"], None)?;

    let plan = revoked(&place, 0, &[subject, "--dry-run"])?;
    ensure!(
        steps(&plan)? == ["seal-old", "control-probe", "revoke", "end-derived", "prove-refused"],
        "{plan:#}"
    );
    let derived = plan["subjects"][0]["blast"]["derived"].as_array().context("derived")?.clone();
    let mut found: Vec<_> = derived.iter().map(|one| text(one, "ref").to_owned()).collect();
    let mut expected: Vec<_> = mine
        .iter()
        .map(|login| format!("vault/auth/token/accessor/{}", text(&login["auth"], "accessor")))
        .collect();
    found.sort();
    expected.sort();
    ensure!(found == expected && derived.iter().all(|one| one["certain"] == true), "{derived:#?}");

    // One more that comes between the plan and the end.
    let late = login(&estate, &stored).await?;
    let done = revoked(&place, 0, &[subject, "--yes"])?;
    let receipt = &done["receipts"][0];
    ensure!(receipt["verdict"] == "proven", "{done:#}");
    ensure!(text(receipt, "detail").contains("3 ended that were obtained with it"), "{receipt:#}");
    for login in mine.iter().chain([&late]) {
        ensure!(servers.own(token(login)).await?.is_none(), "a token of its logins lives on");
    }
    ensure!(servers.own(token(&other)).await?.is_some(), "a token of another secret-id was ended");
    ensure!(login(&estate, &stored).await?["auth"].is_null(), "it still logs in");
    ensure!(login(&estate, forgotten.expose()).await?["auth"].is_object(), "the other does not log in");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

/// Two with the same metadata: their tokens cannot be told apart, which is said before they end.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_cannot_be_told_apart_are_named_before_they_end() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let (place, servers) = (place(&estate, "revoke-twins.db"), Servers(&estate));
    let planted = estate.planted.get("approle-ci-stored");
    let subject = planted.reference.as_deref().context("its issuer's ref")?;
    let stored = planted.value.as_ref().context("a value")?.expose().to_owned();
    let twin = json!({ "metadata": json!({"owner": "team-ops"}).to_string() });
    let twin = estate.openbao.write("auth/approle/role/ci/secret-id", &twin).await?;
    let twin = text(&twin["data"], "secret_id").to_owned();
    let (mine, others) = (login(&estate, &stored).await?, login(&estate, &twin).await?);
    place.run(&["scan"], None)?;
    let plan = revoked(&place, 0, &[subject, "--dry-run"])?;
    let planned = &plan["subjects"][0];
    ensure!(planned["notes"].to_string().contains("same metadata"), "{plan:#}");
    let derived = planned["blast"]["derived"].as_array().context("derived")?;
    ensure!(derived.len() == 2 && derived.iter().all(|one| one["certain"] == false), "{derived:#?}");
    let done = revoked(&place, 0, &[subject, "--yes"])?;
    ensure!(done["receipts"][0]["verdict"] == "proven", "{done:#}");
    for login in [&mine, &others] {
        ensure!(servers.own(token(login)).await?.is_none(), "a token lives on");
    }
    ensure!(login(&estate, &twin).await?["auth"].is_object(), "the twin itself was ended");
    Ok(())
}

/// The consumers log in with another one before this one ends; tokens of the new one go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_secret_id_leaves_the_tokens_of_the_new_one_alone() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let (place, servers) = (place(&estate, "replace-secret-id.db"), Servers(&estate));
    let planted = estate.planted.get("approle-ci-stored");
    let subject = planted.reference.as_deref().context("its issuer's ref")?;
    let stored = planted.value.as_ref().context("a value")?.expose().to_owned();
    let before = login(&estate, &stored).await?;
    place.run(&["scan"], None)?;
    let done = revoked(&place, 0, &[subject, "--replace", "--yes"])?;
    let receipt = &done["receipts"][0];
    ensure!(receipt["verdict"] == "proven", "{done:#}");
    ensure!(servers.own(token(&before)).await?.is_none(), "a token of the old one lives on");
    let path = "/api/v1/namespaces/ops/secrets/ci-approle";
    let secret = estate.kubernetes.request(Method::GET, path, None).await?.body;
    let new = crate::recovery::decoded(&secret["data"]["secret_id"])?;
    ensure!(new != stored, "the Secret holds the old one");
    let after = login(&estate, &new).await?;
    ensure!(after["auth"]["metadata"]["claviger-operation"].is_string(), "its tokens carry no mark: {after}");
    // Revoked again by its own name, it takes only its own tokens with it.
    place.run(&["scan"], None)?;
    ensure!(servers.own(token(&after)).await?.is_some(), "its token was ended");
    Ok(())
}
