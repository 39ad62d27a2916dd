//! A database password whose copy is a secret text of Jenkins, which shows it to nobody. The Jenkins is a fake from its documents; database and OpenBao
//! are real.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    lab::{
        jenkins::{Jenkins, USER},
        openbao::OpenBao,
        postgres::Postgres,
        private::{random_token, write_private},
    },
    require_lab,
};
use serde_json::json;

use super::alone::{Alone, ROLE};
use crate::text;

const SECRET: &str = "ci/job/team/_/courier-password#secret";
const OTHER: &str = "vault/secret/courier#password";

#[tokio::test(flavor = "multi_thread")]
async fn a_password_rotates_in_a_secret_text_of_jenkins() -> Result<()> {
    let postgres = require_lab!(Postgres::start().await, Ok(()));
    let openbao = require_lab!(OpenBao::start().await, Ok(()));
    let server = Jenkins::start().await?;
    let old = random_token()?;
    openbao.write("secret/data/courier", &json!({"data": {"username": ROLE, "password": old}})).await?;
    {
        let mut state = server.state();
        state.folders.insert("team".to_owned());
        state.text("team", "courier-password", &old, "used by deploy");
    }
    let rest = format!(
        "\n[backends.ci]\nkind = \"jenkins\"\nurl = \"{}\"\nuser = \"{USER}\"\ntoken = {{ file = \"ci.token\" }}\n\
         \n[backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"openbao.token\" }}\ninclude = [\"secret\"]\n",
        server.address(),
        openbao.address()
    );
    let alone = Alone::with(postgres, &old, &rest, &[SECRET]).await?;
    write_private(&alone.directory.path().join("ci.token"), &server.token(USER))?;
    write_private(&alone.directory.path().join("openbao.token"), openbao.token())?;
    alone.place.run(&["scan"], None)?.expect(3)?;
    ensure!(alone.copy(SECRET)?["fingerprint"].is_null(), "a redaction is taken for a value");

    let rotation = alone.rotate()?;
    let steps = rotation["steps"].as_array().context("steps")?;
    ensure!(steps.iter().any(|step| text(step, "detail").contains("written, not read back")), "{steps:#?}");
    let (new, said, crumbless) = {
        let state = server.state();
        let new = state.holds("team", "courier-password", "secret").context("it")?;
        (new, state.holds("team", "courier-password", "description").unwrap_or_default(), state.crumbless)
    };
    ensure!(new != old && alone.postgres.accepts(ROLE, &new).await?, "what a job is given is not accepted");
    ensure!(!alone.postgres.accepts(ROLE, &old).await?, "the old one is accepted");
    ensure!(crumbless == 0 && said.starts_with("used by deploy [claviger "), "{said}");
    let (posted, other) = (alone.copy(SECRET)?, alone.copy(OTHER)?);
    ensure!(said.contains(text(&posted, "version")), "the ledger does not say its version: {posted:#}");
    ensure!(posted["fingerprint"] == other["fingerprint"], "{posted:#} {other:#}");
    alone.holds_none_of(&[&old, &new, &server.token(USER)])
}
