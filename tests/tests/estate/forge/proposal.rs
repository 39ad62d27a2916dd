//! A secret of a forge that nobody can read, and that a workflow asks for by a name: whose it probably is is proposed, nothing is done with it, and a person says that it is so.

use std::{fs, io::Write as _};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    lab::{
        gitea::Gitea,
        openbao::OpenBao,
        postgres::Postgres,
        private::{random_token, write_private},
    },
    require_lab,
};

use serde_json::json;

use super::{
    alone::{Alone, ROLE, SUBJECT},
    section,
};
use crate::text;

const SECRET: &str = "forge/courier-team/shop/actions/secrets/COURIER_PASSWORD";
const JOB: &str = "forge/courier-team/shop/workflows/.gitea/workflows/deploy.yml#jobs/deploy";
const WORKFLOW: &str = "on: workflow_dispatch\njobs:\n  deploy:\n    runs-on: lab\n    steps:\n      - run: deploy\n        env: { PGPASSWORD: \"${{ secrets.COURIER_PASSWORD }}\" }\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_workflow_asks_for_is_proposed_and_done_only_when_somebody_says_so() -> Result<()> {
    let gitea = require_lab!(Gitea::start().await, Ok(()));
    let postgres = require_lab!(Postgres::start().await, Ok(()));
    let openbao = require_lab!(OpenBao::start().await, Ok(()));
    let password = random_token()?;
    let vault = format!(
        "\n[backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"openbao.token\" }}\ninclude = [\"secret\"]\n",
        openbao.address()
    );
    let alone = Alone::with(postgres, &password, &vault, &[]).await?;
    let place = &alone.place;
    write_private(&alone.directory.path().join("openbao.token"), openbao.token())?;
    let held = json!({"data": {"username": ROLE, "password": password}});
    openbao.write("secret/data/courier", &held).await?;
    gitea.make("orgs", &json!({"username": "courier-team"})).await?;
    gitea.repository("courier-team", "shop").await?;
    gitea.secret("repos/courier-team/shop", "COURIER_PASSWORD", &password, "").await?;
    gitea.secret("repos/courier-team/shop", "NPM_TOKEN", &random_token()?, "").await?;
    gitea.file("courier-team/shop", ".gitea/workflows/deploy.yml", WORKFLOW).await?;
    let mut config = fs::OpenOptions::new().append(true).open(&place.config)?;
    config.write_all(section(&gitea, alone.directory.path())?.as_bytes())?;
    place.run(&["scan"], None)?.expect(3)?;

    let proposals = place.list("proposals")?;
    ensure!(proposals.len() == 1, "{proposals:#?}");
    let one = &proposals[0];
    ensure!(one["copy"] == SECRET && one["ref"] == SUBJECT && one["rivals"] == 1, "{one:#}");
    ensure!(one["jobs"][0] == JOB && one["because"][0].to_string().contains("COURIER_PASSWORD"), "{one:#}");
    ensure!(one["unknown"].to_string().contains("last written"), "the forge does not tell it: {one:#}");
    for subject in [SUBJECT, SECRET] {
        let page = place.run(&["show", subject], None)?.expect(0)?.stdout;
        let words = format!("proposed: {SECRET} is probably a copy of {SUBJECT}");
        ensure!(page.contains(&words) && page.contains("[[credentials]]"), "{page}");
    }

    // It is not acted upon.
    let copies = alone.copies()?;
    ensure!(!copies.iter().any(|copy| copy["ref"] == SECRET), "{copies:#?}");
    let plan = place.run(&["rotate", SUBJECT, "--dry-run", "-o", "json"], None)?.expect(0)?;
    ensure!(!plan.stdout.contains(SECRET), "it is planned with: {}", plan.stdout);

    // Somebody says that it is so, in the words that were proposed.
    config.write_all(b"\n")?;
    config.write_all(one["confirm"].as_str().context("confirm")?.as_bytes())?;
    place.run(&["scan"], None)?.expect(3)?;
    ensure!(place.list("proposals")?.is_empty(), "what is known is proposed still");
    let copy = alone.copy(SECRET)?;
    ensure!(text(&copy, "evidence") == "declared", "{copy:#}");
    let plan = place.run(&["rotate", SUBJECT, "--dry-run", "-o", "json"], None)?.expect(0)?;
    ensure!(plan.stdout.contains(SECRET), "it is not planned with: {}", plan.stdout);
    Ok(())
}
