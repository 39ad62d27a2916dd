//! A leaked access token and a leaked deploy key of the forge: traced, revoked, refused at the forge itself.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    lab::{daemon::Directory, gitea::Gitea, openbao::OpenBao, private::write_private},
    require_lab,
};
use serde_json::{Value, json};

use super::section;
use crate::{Place, text};

/// A configuration with the forge and OpenBao, in which what leaked lies.
fn place(gitea: &Gitea, openbao: &OpenBao, directory: &Directory) -> Result<Place> {
    let path = directory.path();
    write_private(&path.join("openbao.token"), openbao.token())?;
    let vault = format!(
        "\n[backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"openbao.token\" }}\ninclude = [\"secret\"]\n",
        openbao.address()
    );
    let whole = format!("keys = \"keys\"\n{}{vault}", section(gitea, path)?);
    write_private(&path.join("claviger.toml"), &whole)?;
    let place = Place::new(path, "leak.db");
    place.run(&["init", "--yes"], None)?;
    Ok(place)
}

/// Traces a value; the one match.
fn traced(place: &Place, value: &str) -> Result<Value> {
    let run = place.run(&["trace", "-o", "json"], Some(value.as_bytes()))?.expect(0)?;
    ensure!(!run.stdout.contains(value), "the value was repeated");
    let trace = run.json()?;
    let matches = trace["matches"].as_array().context("matches")?;
    ensure!(matches.len() == 1 && trace["unmatched"] == 0, "{trace:#}");
    Ok(matches[0].clone())
}

fn revoked(place: &Place, at: &str) -> Result<Value> {
    let arguments = ["revoke", at, "--reason", "in a paste", "--yes", "-o", "json"];
    let run = tokio::task::block_in_place(|| place.run(&arguments, None))?.expect(0)?;
    Ok(run.json()?["receipts"][0].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_token_and_a_leaked_deploy_key_are_dead_and_proven() -> Result<()> {
    let gitea = require_lab!(Gitea::start().await, Ok(()));
    let openbao = require_lab!(OpenBao::start().await, Ok(()));
    gitea.user("ci-bot").await?;
    gitea.repository("ci-bot", "shop").await?;
    let (id, token) = gitea.token_for("ci-bot", "deploy", &["write:repository", "read:user"]).await?;
    let (kept, other) = gitea.token_for("ci-bot", "other", &["read:user"]).await?;
    let pair = gitea.key_pair("ci-bot-deploy")?;
    let key = gitea.deploy_key("ci-bot/shop", "deploys", &pair).await?;
    openbao
        .write("secret/data/ci", &json!({"data": {"gitea_token": token, "deploy_key": pair.private}}))
        .await?;
    let directory = Directory::new("leak")?;
    let place = place(&gitea, &openbao, &directory)?;
    place.run(&["scan"], None)?.expect(3)?;

    // The token: known by its copy, and by the forge where no copy would be known.
    let subject = format!("forge/users/ci-bot/tokens/{id}");
    let found = traced(&place, &token)?;
    ensure!(found["ref"] == subject.as_str() && found["identity"] == "forge/users/ci-bot", "{found:#}");
    ensure!(found["copies"] == json!(["vault/secret/ci#gitea_token"]), "{found:#}");
    let unlisted = traced(&place, &other)?;
    ensure!(
        unlisted["ref"] == format!("forge/users/ci-bot/tokens/{kept}") && unlisted["copies"] == json!([]),
        "{unlisted:#}"
    );
    ensure!(gitea.login(&token).await? == 200, "it works before");
    let receipt = revoked(&place, &subject)?;
    ensure!(receipt["verdict"] == "proven" && text(&receipt, "detail").contains("401"), "{receipt:#}");
    ensure!(
        receipt["control"] == receipt["probe"] && text(&receipt, "probe").contains("/api/v1/user"),
        "{receipt:#}"
    );
    ensure!(
        gitea.login(&token).await? == 401 && gitea.login(&other).await? == 200,
        "the forge says something else"
    );

    // The deploy key: the private half lies in OpenBao, the public one at the repository.
    let subject = format!("forge/ci-bot/shop/deploy-keys/{key}");
    let found = traced(&place, &pair.private)?;
    ensure!(found["ref"] == subject.as_str() && found["how"] == "public-half", "{found:#}");
    ensure!(
        found["copies"] == json!(["vault/secret/ci#deploy_key"]) && found["privilege"] == "read",
        "{found:#}"
    );
    let receipt = revoked(&place, &subject)?;
    ensure!(
        receipt["verdict"] == "proven" && text(&receipt, "detail").contains("Permission denied"),
        "{receipt:#}"
    );
    ensure!(
        receipt["control"] == receipt["probe"] && text(&receipt, "probe").contains("git-upload-pack"),
        "{receipt:#}"
    );

    // One whose value nobody here holds can be ended, and not proven.
    let receipt = revoked(&place, &format!("forge/users/ci-bot/tokens/{kept}"))?;
    ensure!(receipt["verdict"] == "attested", "{receipt:#}");
    ensure!(gitea.login(&other).await? == 401, "it is accepted");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    let database = fs::read(directory.path().join("leak.db"))?;
    for value in
        [token.as_bytes(), other.as_bytes(), pair.private.lines().nth(2).unwrap_or_default().as_bytes()]
    {
        ensure!(
            !value.is_empty() && !database.windows(value.len()).any(|bytes| bytes == value),
            "a value is in the database"
        );
    }
    Ok(())
}
