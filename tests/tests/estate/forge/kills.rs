//! `kill -9` in the middle of a rotation whose copy a forge takes and shows to nobody: what a job is given afterwards is the password that is accepted, and
//! the ledger says so.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    lab::{
        gitea::Gitea,
        openbao::OpenBao,
        postgres::Postgres,
        private::{random_token, write_private},
        runner::Runner,
    },
    require_lab,
};
use reqwest::Method;
use serde_json::json;

use super::{
    alone::{Alone, ROLE, SUBJECT},
    section,
};
use crate::{
    kills::{FEW, Kills},
    text,
};

const SECRET: &str = "forge/courier-team/shop/actions/secrets/COURIER_PASSWORD";
const OTHER: &str = "vault/secret/courier#password";
const WORKFLOW: &str = "on: workflow_dispatch\njobs:\n  deploy:\n    runs-on: lab\n    steps:\n      - run: deploy\n        env: { PGPASSWORD: \"${{ secrets.COURIER_PASSWORD }}\" }\n";
/// How many kills the campaign does.
const MANY: u32 = 24;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_rotation_leaves_no_former_value_in_a_forge() -> Result<()> {
    println!("{}", kill_posted(FEW).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_leaves_a_former_value_in_a_forge() -> Result<()> {
    println!("{}", kill_posted(MANY).await?);
    Ok(())
}

async fn kill_posted(times: u32) -> Result<String> {
    let gitea = require_lab!(Gitea::start().await, Ok(String::new()));
    let openbao = require_lab!(OpenBao::start().await, Ok(String::new()));
    let postgres = require_lab!(Postgres::start().await, Ok(String::new()));
    let first = random_token()?;
    openbao.write("secret/data/courier", &json!({"data": {"username": ROLE, "password": first}})).await?;
    gitea.make("orgs", &json!({"username": "courier-team"})).await?;
    gitea.repository("courier-team", "shop").await?;
    gitea.secret("repos/courier-team/shop", "COURIER_PASSWORD", &first, "used by deploy").await?;
    gitea.file("courier-team/shop", ".gitea/workflows/deploy.yml", WORKFLOW).await?;
    let vault = format!(
        "\n[backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"openbao.token\" }}\ninclude = [\"secret\"]\n",
        openbao.address()
    );
    let directory = tempfile::tempdir()?;
    let rest = section(&gitea, directory.path())? + &vault;
    let alone = Alone::with(postgres, &first, &rest, &[SECRET]).await?;
    section(&gitea, alone.directory.path())?;
    write_private(&alone.directory.path().join("openbao.token"), openbao.token())?;
    let runner = Runner::register(&gitea, "courier-team/shop").await?;
    let place = &alone.place;
    place.run(&["scan"], None)?.expect(3)?;
    let (mut interrupted, mut kills) = (0, Kills::new(times));
    for _ in kills.turns() {
        let at = kills.strike(place, &["rotate", SUBJECT, "--yes", "-o", "json"]).await?;
        let open = |state: &str| !matches!(state, "done" | "unwound");
        let unfinished =
            place.list("rotations")?.iter().filter(|rotation| open(text(rotation, "state"))).count();
        interrupted += unfinished;
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        for rotation in resumed["rotations"].as_array().context("rotations")? {
            ensure!(rotation["state"] == "done", "{at}: {rotation:#}");
        }
        // Whatever the moment: what a job is given is what the database takes and what the other copy holds, and the ledger says so.
        let given = runner.secrets("deploy.yml").await?["COURIER_PASSWORD"].clone();
        ensure!(alone.postgres.accepts(ROLE, &given).await?, "{at}: what the job is given does not log in");
        let kv = openbao.request(Method::GET, "secret/data/courier", None).await?.body;
        ensure!(kv["data"]["data"]["password"] == given.as_str(), "{at}: OpenBao holds another one");
        let (posted, other) = (alone.copy(SECRET)?, alone.copy(OTHER)?);
        let known = posted["fingerprint"].is_null() || posted["fingerprint"] == other["fingerprint"];
        ensure!(known, "{at}: the ledger says that another value was put there: {posted:#} {other:#}");
        place.run(&["audit", "verify"], None)?.expect(0)?;
    }
    ensure!(interrupted >= times as usize / 4, "only {interrupted} of {times} kills hit a rotation");
    ensure!(!alone.postgres.accepts(ROLE, &first).await?, "the first password still logs in");
    let posted = alone.copy(SECRET)?;
    ensure!(posted["fingerprint"].is_string(), "after all that, nobody knows what it holds: {posted:#}");
    Ok(format!("killed {times} times, {interrupted} in the middle; all resumed to done"))
}
