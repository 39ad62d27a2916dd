//! A database password in two variables of a GitLab project, one shown and one hidden, and a leaked token of that GitLab. The GitLab is a fake from its
//! documents; the database is real.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    lab::{
        gitlab::Gitlab,
        postgres::Postgres,
        private::{random_token, write_private},
    },
    require_lab,
};
use reqwest::Method;

use super::alone::{Alone, ROLE};
use crate::text;

const SHOWN: &str = "forge/acme/shop/variables/PGPASSWORD@production";
const HIDDEN: &str = "forge/acme/shop/hidden-variables/DB_KEY@*";
const JOB: &str = "forge/acme/shop/pipelines/.gitlab-ci.yml#jobs/deploy";
const PIPELINE: &str =
    "deploy:\n  environment: production\n  script: ['psql -v key=$DB_KEY \"$PGPASSWORD\"']\n";

fn section(server: &Gitlab) -> String {
    format!(
        "\n[backends.forge]\nkind = \"gitlab\"\nurl = \"{}\"\ntoken = {{ file = \"forge.token\" }}\n",
        server.address()
    )
}

async fn started(server: &Gitlab, postgres: Postgres, password: &str) -> Result<Alone> {
    {
        let mut state = server.state();
        state.page = 2;
        state.home("acme/shop", true);
        let shown = state.variable("acme/shop", "PGPASSWORD", password);
        (shown.scope, shown.masked) = ("production".to_owned(), true);
        // Of another database, under the same key.
        state.variable("acme/shop", "PGPASSWORD", "of-staging-0123456").scope = "staging".to_owned();
        let hidden = state.variable("acme/shop", "DB_KEY", password);
        hidden.hidden = true;
        hidden.description = Some("used by deploy".to_owned());
        state.files.insert(("acme/shop".to_owned(), ".gitlab-ci.yml".to_owned()), PIPELINE.to_owned());
    }
    let alone = Alone::with(postgres, password, &section(server), &[HIDDEN]).await?;
    write_private(&alone.directory.path().join("forge.token"), &server.token())?;
    Ok(alone)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_rotates_in_the_variables_of_gitlab_shown_and_hidden() -> Result<()> {
    let postgres = require_lab!(Postgres::start().await, Ok(()));
    let server = Gitlab::start().await?;
    let old = random_token()?;
    let alone = started(&server, postgres, &old).await?;
    // Hidden values are unread, and a scan says so.
    alone.place.run(&["scan"], None)?.expect(3)?;
    let (shown, hidden) = (alone.copy(SHOWN)?, alone.copy(HIDDEN)?);
    ensure!(shown["fingerprint"].is_string() && hidden["fingerprint"].is_null(), "{shown:#} {hidden:#}");
    let consumers = alone.place.list("consumers")?;
    for copy in [SHOWN, HIDDEN] {
        let reads = consumers.iter().any(|one| one["ref"] == JOB && one["copy"] == copy);
        ensure!(reads, "the job reads {copy}: {consumers:#?}");
    }

    let rotation = alone.rotate()?;
    let steps = rotation["steps"].as_array().context("steps")?;
    let posted = steps.iter().find(|step| text(step, "detail").contains("written, not read back"));
    let posted = posted.with_context(|| format!("no step says it: {steps:#?}"))?;
    let (new, description, other) = {
        let state = server.state();
        let hidden = state.holds("acme/shop", "DB_KEY", "*").context("it")?.clone();
        let shown = state.holds("acme/shop", "PGPASSWORD", "production").context("it")?.clone();
        ensure!(shown.value == hidden.value, "the two variables hold different values");
        let other = state.holds("acme/shop", "PGPASSWORD", "staging").context("it")?.value.clone();
        (shown.value, hidden.description.unwrap_or_default(), other)
    };
    ensure!(new != old && alone.postgres.accepts(ROLE, &new).await?, "what a job is given is not accepted");
    ensure!(!alone.postgres.accepts(ROLE, &old).await?, "the old one is accepted");
    ensure!(other == "of-staging-0123456", "the other scope's was written too");

    // The marker there and the ledger here say the same version, also after a scan that sees the marker alone.
    let marker =
        description.strip_prefix("used by deploy [claviger ").and_then(|rest| rest.split(' ').next());
    let marker = marker.with_context(|| description.clone())?;
    ensure!(text(posted, "detail").contains(marker), "{posted:#}");
    for again in [false, true] {
        if again {
            alone.place.run(&["scan"], None)?.expect(3)?;
        }
        let (shown, hidden) = (alone.copy(SHOWN)?, alone.copy(HIDDEN)?);
        ensure!(hidden["version"] == marker, "the ledger does not say its version: {hidden:#}");
        ensure!(shown["fingerprint"] == hidden["fingerprint"], "{shown:#} {hidden:#}");
    }
    alone.holds_none_of(&[&old, &new, &server.token()])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_token_of_gitlab_is_traced_and_dead_and_proven_and_never_rotated_in_place() -> Result<()> {
    let postgres = require_lab!(Postgres::start().await, Ok(()));
    let server = Gitlab::start().await?;
    let alone = started(&server, postgres, &random_token()?).await?;
    let (id, token) = {
        let mut state = server.state();
        let id = state.of_home("acme/shop", "deploy", &["read_api", "read_registry"], 30);
        let token = state.by_number(id).context("a token")?.value.clone();
        state.variable("acme/shop", "DEPLOY_TOKEN", &token).masked = true;
        (id, token)
    };
    alone.place.run(&["scan"], None)?.expect(3)?;
    let subject = format!("forge/acme/shop/access-tokens/{id}");
    let found = alone.traced(&token)?;
    ensure!(found["ref"] == subject.as_str(), "{found:#}");
    ensure!(found["copies"].to_string().contains("forge/acme/shop/variables/DEPLOY_TOKEN@*"), "{found:#}");

    // First another one beside it, and the old one ended: the copy follows, and nobody sent `rotate`.
    let run = || alone.place.run(&["rotate", &subject, "--yes", "-o", "json"], None);
    let rotated = tokio::task::block_in_place(run)?.expect(0)?.json()?;
    ensure!(rotated["rotations"][0]["old"]["verdict"] == "proven", "{rotated:#}");
    let (next, held) = {
        let state = server.state();
        ensure!(!state.seen.iter().any(|seen| seen.path.contains("rotate")), "it was rotated in place");
        let next = state.tokens.last().context("the next")?.clone();
        ensure!(state.by_number(id).is_some_and(|old| old.revoked) && !next.revoked, "{next:?}");
        ensure!(
            next.scopes == ["read_api", "read_registry"] && next.of == Some(("acme/shop".to_owned(), 30)),
            "{next:?}"
        );
        (next, state.holds("acme/shop", "DEPLOY_TOKEN", "*").context("it")?.value.clone())
    };
    ensure!(held == next.value, "the copy holds another one");

    // Then that one leaks.
    let subject = format!("forge/acme/shop/access-tokens/{}", next.id);
    let receipt = alone.revoked(&subject)?;
    ensure!(text(&receipt, "probe").contains("personal_access_tokens/self"), "{receipt:#}");
    for (token, expected) in [(&next.value, 401), (&token, 401), (&server.token(), 200)] {
        let status = server.call(Method::GET, "personal_access_tokens/self", token).await?;
        ensure!(status == expected, "HTTP {status} instead of {expected}");
    }
    alone.holds_none_of(&[&token, &next.value])
}
