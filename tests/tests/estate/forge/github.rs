//! A database password in OpenBao and in a GitHub Actions secret, which nobody can read back: it rotates in both, and what the fake of GitHub finds in its box logs in. And a
//! leaked token: revoked by its value, refused.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    lab::{
        daemon::Directory,
        github::{Alert, Github},
        openbao::OpenBao,
        postgres::Postgres,
        private::{random_token, write_private},
    },
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Place, text};

const ROLE: &str = "shopkeeper";
const SUBJECT: &str = "db/role/shopkeeper";
const SECRET: &str = "hub/acme/shop/actions/secrets/DB_PASSWORD";
const BOX: &str = "repos/acme/shop/actions";
const JOB: &str = "hub/acme/shop/workflows/.github/workflows/deploy.yml#jobs/deploy";
const WORKFLOW: &str = "on: push\njobs:\n  deploy:\n    runs-on: x\n    steps:\n      - run: deploy\n        env: { PGPASSWORD: \"${{ secrets.DB_PASSWORD }}\" }\n";

struct Estate {
    postgres: Postgres,
    openbao: OpenBao,
    github: Github,
    directory: Directory,
    place: Place,
}

/// Plants the role and its two copies; gives the password.
async fn plant(postgres: Postgres, openbao: OpenBao, github: Github) -> Result<(Estate, String)> {
    let (password, own) = (format!("{}/@:%", random_token()?), random_token()?);
    let admin = postgres.connect("postgres").await?;
    let statement = format!(
        "CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'; CREATE ROLE claviger LOGIN CREATEROLE PASSWORD '{own}'; \
         GRANT SELECT (rolname, rolpassword) ON pg_authid TO claviger; GRANT pg_signal_backend, pg_read_all_stats TO claviger"
    );
    admin.batch_execute(&statement).await?;
    let version: i32 =
        admin.query_one("SELECT current_setting('server_version_num')::int", &[]).await?.try_get(0)?;
    if version >= 160_000 {
        admin
            .batch_execute(&format!("GRANT {ROLE} TO claviger WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"))
            .await?;
    }
    openbao.write("secret/data/db", &json!({"data": {"username": ROLE, "password": password}})).await?;
    github.organisation("acme", true);
    github.repository("acme/shop");
    github.put_secret(BOX, "DB_PASSWORD", &password);
    github.file("acme/shop", ".github/workflows/deploy.yml", WORKFLOW);
    let token = github.token("root", &["acme"], &[("*", "write")]);

    let directory = Directory::new("github")?;
    let path = directory.path();
    for (file, value) in
        [("openbao.token", openbao.token()), ("db.password", own.as_str()), ("hub.token", token.as_str())]
    {
        write_private(&path.join(file), value)?;
    }
    let whole = format!(
        "keys = \"keys\"\n\n[backends.hub]\nkind = \"github\"\nurl = \"{}\"\ntoken = {{ file = \"hub.token\" }}\nowners = [\"acme\"]\n\n\
         [backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"openbao.token\" }}\ninclude = [\"secret\"]\n\n\
         [backends.db]\nkind = \"postgresql\"\nurl = \"postgres://claviger@127.0.0.1:{}/postgres\"\npassword = {{ file = \"db.password\" }}\n\n\
         [[credentials]]\nref = \"{SUBJECT}\"\ncopies = [\"{SECRET}\"]\n",
        github.address(),
        openbao.address(),
        postgres.port()
    );
    write_private(&path.join("claviger.toml"), &whole)?;
    let place = Place::new(path, "github.db");
    place.run(&["init", "--yes"], None)?;
    Ok((Estate { postgres, openbao, github, directory, place }, password))
}

fn copies(place: &Place) -> Result<Vec<Value>> {
    let all = place.run(&["list", "copies", SUBJECT, "-o", "json"], None)?.expect(0)?.json()?;
    let mut items = all["items"].as_array().context("items")?.clone();
    items.retain(|copy| copy["stage"] == "current");
    Ok(items)
}

fn of<'c>(copies: &'c [Value], at: &str) -> Result<&'c Value> {
    copies
        .iter()
        .find(|copy| copy["ref"] == at)
        .with_context(|| format!("{at} is no copy of it: {copies:#?}"))
}

fn rotate(place: &Place) -> Result<Value> {
    let run = tokio::task::block_in_place(|| place.run(&["rotate", SUBJECT, "--yes", "-o", "json"], None))?;
    Ok(run.expect(0)?.json()?["rotations"][0].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_rotates_in_github_and_what_its_box_holds_logs_in() -> Result<()> {
    let github = require_lab!(Github::start(), Ok(()));
    let openbao = require_lab!(OpenBao::start().await, Ok(()));
    let postgres = require_lab!(Postgres::start().await, Ok(()));
    let (estate, old) = plant(postgres, openbao, github).await?;
    let (place, github) = (&estate.place, &estate.github);
    place.run(&["scan"], None)?.expect(3)?;
    let before = copies(place)?;
    ensure!(of(&before, SECRET)?["fingerprint"].is_null(), "{before:#?}");
    let consumers = place.list("consumers")?;
    ensure!(consumers.iter().any(|one| one["ref"] == JOB && one["copy"] == SECRET), "{consumers:#?}");

    // The plan says what nobody will see, and that it is less than elsewhere.
    let plan = place.run(&["rotate", SUBJECT, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    let subject = &plan["subjects"][0];
    ensure!(
        subject["notes"].to_string().contains("only the time of the last write can be seen"),
        "{subject:#}"
    );
    ensure!(subject["steps"].to_string().contains("without a marker"), "{subject:#}");

    let rotation = rotate(place)?;
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotation:#}");
    ensure!(
        rotation["steps"].to_string().contains("written, not read back; the time of its last write"),
        "{rotation:#}"
    );
    let new = github.secret(BOX, "DB_PASSWORD").context("a secret")?;
    ensure!(new != old && estate.postgres.accepts(ROLE, &new).await?, "what the box holds does not log in");
    ensure!(!estate.postgres.accepts(ROLE, &old).await?, "the old one does");
    let kv = estate.openbao.request(Method::GET, "secret/data/db", None).await?.body;
    ensure!(kv["data"]["data"]["password"] == new.as_str(), "OpenBao holds another one");

    // The ledger says which value lies under which time, for as long as nobody else writes.
    for again in [false, true] {
        if again {
            place.run(&["scan"], None)?.expect(3)?;
        }
        let after = copies(place)?;
        let known = of(&after, SECRET)?;
        ensure!(
            !known["fingerprint"].is_null()
                && known["fingerprint"] == of(&after, "vault/secret/db#password")?["fingerprint"],
            "{after:#?}"
        );
    }
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    github.put_secret(BOX, "DB_PASSWORD", "by-hand-0123456789");
    place.run(&["scan"], None)?.expect(3)?;
    let after = copies(place)?;
    ensure!(of(&after, SECRET)?["fingerprint"].is_null(), "it is still said to hold ours: {after:#?}");

    // An answer that is lost: nobody can say whether it was written, so it is written again, and the step says so.
    github.cut("PUT", "secrets/DB_PASSWORD");
    let rotation = rotate(place)?;
    ensure!(rotation["state"] == "done", "{rotation:#}");
    ensure!(rotation["steps"].to_string().contains("cannot be told apart"), "{rotation:#}");
    let newest = github.secret(BOX, "DB_PASSWORD").context("a secret")?;
    ensure!(
        newest != new && estate.postgres.accepts(ROLE, &newest).await?,
        "what the box holds does not log in"
    );

    place.run(&["audit", "verify"], None)?.expect(0)?;
    let stored = fs::read(estate.directory.path().join("github.db"))?;
    for value in [&old, &new, &newest] {
        ensure!(
            !stored.windows(value.len()).any(|bytes| bytes == value.as_bytes()),
            "a value is in the database"
        );
    }
    ensure!(github.violations().is_empty(), "not as GitHub describes it: {:#?}", github.violations());
    Ok(())
}

/// GitHub wants no more requests for a while (403, a secondary limit), in the middle of a rotation: that is waited for, and nothing is asked again meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_secondary_limit_is_waited_for_and_the_rotation_comes_to_its_end() -> Result<()> {
    /// Longer than a call may take, so that it is not the call that waits.
    const REST: u64 = 25;
    let github = require_lab!(Github::start(), Ok(()));
    let openbao = require_lab!(OpenBao::start().await, Ok(()));
    let postgres = require_lab!(Postgres::start().await, Ok(()));
    let (estate, old) = plant(postgres, openbao, github).await?;
    let (place, github) = (&estate.place, &estate.github);
    place.run(&["scan"], None)?.expect(3)?;
    let limit = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
    let wait = REST.to_string();
    github.refuse("PUT", "secrets/DB_PASSWORD", (403, limit), &[("retry-after", wait.as_str())]);
    let begun = std::time::Instant::now();
    let rotation = rotate(place)?;
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotation:#}");
    ensure!(begun.elapsed().as_secs() >= REST, "it did not wait: {:?}", begun.elapsed());
    let new = github.secret(BOX, "DB_PASSWORD").context("a secret")?;
    ensure!(new != old && estate.postgres.accepts(ROLE, &new).await?, "what the box holds does not log in");
    let log = place.run(&["audit", "export"], None)?.expect(0)?.stdout;
    ensure!(log.matches("\"put-off\"").count() == 1, "it was put off more than once, or never");
    ensure!(github.violations().is_empty(), "{:?}", github.violations());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_token_is_ended_by_its_value_and_refused() -> Result<()> {
    let github = require_lab!(Github::start(), Ok(()));
    let openbao = require_lab!(OpenBao::start().await, Ok(()));
    let postgres = require_lab!(Postgres::start().await, Ok(()));
    let (estate, _) = plant(postgres, openbao, github).await?;
    let (place, github) = (&estate.place, &estate.github);
    let leaked = github.token("dana", &["acme"], &[("*", "write")]);
    let id = github.authorize("acme", "dana", &leaked, &["repo"]);
    estate.openbao.write("secret/data/ci", &json!({"data": {"token": leaked}})).await?;
    github.alert(&Alert {
        repository: "acme/shop",
        secret: &leaked,
        rule: "github_personal_access_token",
        path: "a.env",
    });
    place.run(&["scan"], None)?.expect(3)?;

    let subject = format!("hub/orgs/acme/credential-authorizations/{id}");
    let findings = place.list("findings")?;
    for slug in ["leak-git", "forge-classic-pat"] {
        let holds = |one: &&Value| one["slug"] == slug && one["subject"] == subject.as_str();
        ensure!(findings.iter().any(|one| holds(&one)), "{slug} does not hold: {findings:#?}");
    }
    let trace = place.run(&["trace", "-o", "json"], Some(leaked.as_bytes()))?.expect(0)?;
    ensure!(!trace.stdout.contains(&leaked), "the value was repeated");
    let trace = trace.json()?;
    ensure!(trace["matches"][0]["ref"] == subject.as_str(), "{trace:#}");

    let arguments = ["revoke", &subject, "--reason", "in a repository", "--yes", "-o", "json"];
    let run = tokio::task::block_in_place(|| place.run(&arguments, None))?.expect(0)?;
    let receipt = run.json()?["receipts"][0].clone();
    ensure!(receipt["verdict"] == "proven" && text(&receipt, "detail").contains("401"), "{receipt:#}");
    ensure!(
        receipt["control"] == receipt["probe"] && text(&receipt, "probe").contains("/user"),
        "{receipt:#}"
    );
    ensure!(!github.lets_in(&leaked), "it is let in");
    ensure!(github.requests().contains(&"POST /credentials/revoke".to_owned()), "it was only shut out");
    let stored = fs::read(estate.directory.path().join("github.db"))?;
    ensure!(
        !stored.windows(leaked.len()).any(|bytes| bytes == leaked.as_bytes()),
        "the value is in the database"
    );
    ensure!(github.violations().is_empty(), "not as GitHub describes it: {:#?}", github.violations());
    Ok(())
}
