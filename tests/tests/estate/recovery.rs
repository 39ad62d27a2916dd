//! `kill -9` in the middle of a rotation on the real servers, then `resume`: nothing is lost.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;

use crate::{
    Place,
    kills::{FEW, Kills},
    text,
};

/// Where the lifecycle database is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lifecycle {
    Sqlite,
    Postgres,
}

impl Lifecycle {
    /// A place with a database of this name.
    pub(crate) async fn place(self, estate: &Estate, name: &str) -> Result<Place> {
        let mut place = Place::new(estate.directory(), &format!("{name}.db"));
        if matches!(self, Self::Postgres) {
            let client = estate.postgres.connect("postgres").await?;
            client.batch_execute(&format!("CREATE DATABASE claviger_{name}")).await?;
            let durable = format!("ALTER DATABASE claviger_{name} SET synchronous_commit = on");
            client.batch_execute(&durable).await?;
            place.database = estate.postgres.url(&format!("claviger_{name}"));
        }
        Ok(place)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_is_taken_up_and_nothing_is_lost() -> Result<()> {
    println!("{}", kill_password(FEW, Lifecycle::Sqlite).await?);
    Ok(())
}

/// Kills the rotation of a password so many times.
pub(crate) async fn kill_password(times: u32, lifecycle: Lifecycle) -> Result<String> {
    let estate = require_lab!(Estate::start().await, Ok(String::new()));
    let mut place = lifecycle.place(&estate, "recovery").await?;
    // A crash is noticed when the lease ends: three seconds, so that the test does not wait half a minute each time.
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    place.run(&["scan"], None)?.expect(3)?;
    let (mut interrupted, mut kills) = (0, Kills::new(times));
    for _ in kills.turns() {
        let at =
            kills.strike(&place, &["rotate", "db/role/app", "--leave-stale", "--yes", "-o", "json"]).await?;

        let unfinished = place
            .list("rotations")?
            .iter()
            .filter(|rotation| !matches!(text(rotation, "state"), "done" | "unwound"))
            .count();
        interrupted += unfinished;
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        ensure!(resumed["rotations"].as_array().context("rotations")?.len() == unfinished, "{resumed:#}");
        for rotation in resumed["rotations"].as_array().context("rotations")? {
            ensure!(rotation["state"] == "done", "{at}: {rotation:#}");
        }
        // Whatever the moment: what the Secret holds logs in, and every copy holds the same.
        let secret =
            estate.kubernetes.request(Method::GET, "/api/v1/namespaces/payments/secrets/db", None).await?;
        let held = decoded(&secret.body["data"]["password"])?;
        let held = held.trim_end_matches('\n');
        ensure!(estate.postgres.accepts("app", held).await?, "{at}: the Secret's password does not log in");
        let map = estate
            .kubernetes
            .request(Method::GET, "/api/v1/namespaces/payments/configmaps/app", None)
            .await?;
        let url = text(&map.body["data"], "database-url").to_owned();
        let encoded: String = claviger_tests::estate::percent_encode(held);
        ensure!(url.contains(&format!(":{encoded}@")), "{at}: the ConfigMap is out of step");
        place.run(&["audit", "verify"], None)?.expect(0)?;
    }
    ensure!(interrupted >= times as usize / 3, "only {interrupted} of {times} kills hit a rotation");
    // Each finished rotation ended the password before it: the planted one is dead.
    let planted = estate.planted.get("db-app").value.as_ref().context("a value")?;
    ensure!(!estate.postgres.accepts("app", planted.expose()).await?, "the first password still logs in");
    Ok(format!("killed {times} times, {interrupted} in the middle; all resumed to done"))
}

/// The same with a secret-id: each rotation adds one and ends one, so that an orphan would be seen by counting.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_rotation_of_a_secret_id_leaves_no_orphan() -> Result<()> {
    println!("{}", kill_secret_id(FEW, Lifecycle::Sqlite).await?);
    Ok(())
}

/// Kills the rotation of a secret-id so many times.
pub(crate) async fn kill_secret_id(times: u32, lifecycle: Lifecycle) -> Result<String> {
    let estate = require_lab!(Estate::start().await, Ok(String::new()));
    let mut place = lifecycle.place(&estate, "recovery_dual").await?;
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    place
        .environment
        .push(("CLAVIGER_BACKENDS__PROD__KUBECONFIG".to_owned(), "administrator.kubeconfig".to_owned()));
    place.run(&["scan"], None)?;
    let accessors = async || -> Result<usize> {
        let path = "auth/approle/role/ci/secret-id?list=true";
        let answer = estate.openbao.request(Method::GET, path, None).await?;
        Ok(answer.body["data"]["keys"].as_array().context("accessors")?.len())
    };
    let before = accessors().await?;
    let (mut interrupted, mut kills) = (0, Kills::new(times));
    for _ in kills.turns() {
        // Whose value the Secret holds now: each rotation gives it another name.
        let copies = place.list("copies")?;
        let held = copies
            .iter()
            .find(|copy| copy["ref"] == "prod/ops/Secret/ci-approle#secret_id" && copy["stage"] == "current");
        let subject = text(held.context("the copy")?, "credential").to_owned();
        let at = kills.strike(&place, &["rotate", &subject, "--yes", "-o", "json"]).await?;
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        let resumed = resumed["rotations"].as_array().context("rotations")?.clone();
        interrupted += resumed.len();
        ensure!(resumed.iter().all(|rotation| rotation["state"] == "done"), "{at}: {resumed:#?}");
        let path = "/api/v1/namespaces/ops/secrets/ci-approle";
        let secret = estate.kubernetes.request(Method::GET, path, None).await?;
        let login = serde_json::json!({
            "role_id": decoded(&secret.body["data"]["role_id"])?,
            "secret_id": decoded(&secret.body["data"]["secret_id"])?,
        });
        let login = estate.openbao.request(Method::POST, "auth/approle/login", Some(&login)).await?;
        ensure!(login.status == 200, "{at}: the Secret's secret-id does not log in");
        ensure!(accessors().await? == before, "{at}: an orphan, or one too few");
        place.run(&["audit", "verify"], None)?.expect(0)?;
        place.run(&["scan"], None)?;
    }
    ensure!(interrupted >= times as usize / 3, "only {interrupted} of {times} kills hit a rotation");
    Ok(format!("killed {times} times, {interrupted} in the middle; all resumed to done, no orphan"))
}

/// The same, and then back instead of on: the former password everywhere, at PostgreSQL to the letter of its verifier.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_is_taken_back() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let mut place = Place::new(estate.directory(), "rollback.db");
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    place.run(&["scan"], None)?.expect(3)?;
    let client = estate.postgres.connect("postgres").await?;
    let verifier = async || -> Result<String> {
        let row = client.query_one("select rolpassword from pg_authid where rolname = 'app'", &[]).await?;
        Ok(row.get(0))
    };
    let held = async || -> Result<(String, String)> {
        let path = "/api/v1/namespaces/payments/secrets/db";
        let secret = estate.kubernetes.request(Method::GET, path, None).await?;
        let path = "/api/v1/namespaces/payments/configmaps/app";
        let map = estate.kubernetes.request(Method::GET, path, None).await?;
        Ok((decoded(&secret.body["data"]["password"])?, text(&map.body["data"], "database-url").to_owned()))
    };
    let mut kills = Kills::new(6);
    let rotate = ["rotate", "db/role/app", "--leave-stale", "--yes", "-o", "json"];
    kills.strike(&place, &rotate).await?;
    let before = (verifier().await?, held().await?);
    let password = before.1.0.trim_end_matches('\n').to_owned();
    let (mut by_saga, mut unwound) = (0, 0);
    for _ in 0..6 {
        let at = kills.strike(&place, &rotate).await?;
        let rotations = place.list("rotations")?;
        let rest = ["done", "unwound", "rolled-back"];
        let Some(open) = rotations.iter().find(|rotation| !rest.contains(&text(rotation, "state"))) else {
            // Killed before it had recorded anything; or it was done by then, and there is no former value left for later moments.
            if verifier().await? == before.0 {
                continue;
            }
            break;
        };
        let id = text(open, "rotation_id");
        let plan = place.run(&["rollback", id, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
        ensure!(plan["schema"] == "claviger.rollback-plan/v1", "{plan:#}");
        let done = place.run(&["rollback", id, "--yes", "-o", "json"], None)?.expect(0)?.json()?;
        match text(&done["rotations"][0], "state") {
            "done" => {
                by_saga += 1;
                ensure!(done["rotations"][0]["old"]["verdict"] == "proven", "{done:#}");
            }
            "unwound" => unwound += 1,
            other => anyhow::bail!("{at}: {other}: {done:#}"),
        }
        ensure!(verifier().await? == before.0, "{at}: the verifier is another one");
        ensure!(held().await? == before.1, "{at}: a copy is out of step");
        ensure!(estate.postgres.accepts("app", &password).await?, "{at}: locked out");
        place.run(&["audit", "verify"], None)?.expect(0)?;
    }
    ensure!(by_saga >= 2, "only {by_saga} kills came after the pivot, {unwound} before it");
    // What is over is not taken back, and says what to do instead.
    place.run(&["rotate", "db/role/app", "--leave-stale", "--yes"], None)?.expect(0)?;
    let rotations = place.list("rotations")?;
    let over = text(&rotations[0], "rotation_id");
    let refused = place.run(&["rollback", over, "--yes"], None)?.expect(4)?;
    ensure!(refused.stderr.contains("rotate again"), "{}", refused.stderr);
    println!("{by_saga} taken back after the pivot, {unwound} before it");
    Ok(())
}

/// A process that is frozen past its lease and thawed after another one has finished its work: it is fenced, and changes nothing. On
/// PostgreSQL, as SQLite is for one process.
#[tokio::test(flavor = "multi_thread")]
async fn a_thawed_owner_finds_itself_fenced() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let mut place = Lifecycle::Postgres.place(&estate, "frozen").await?;
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    place.run(&["scan"], None)?.expect(3)?;
    let signal = |name: &str, pid: u32| -> Result<()> {
        let sent = std::process::Command::new("kill").arg(name).arg(pid.to_string()).status()?;
        ensure!(sent.success(), "kill {name} {pid}: {sent}");
        Ok(())
    };
    let held = async || -> Result<String> {
        let secret =
            estate.kubernetes.request(Method::GET, "/api/v1/namespaces/payments/secrets/db", None).await?;
        decoded(&secret.body["data"]["password"])
    };
    let (mut frozen, mut kills) = (0, Kills::new(6));
    let rotate = ["rotate", "db/role/app", "--leave-stale", "--yes", "-o", "json"];
    kills.strike(&place, &rotate).await?;
    for _ in 0..6 {
        let moment = kills.next().0.context("a moment")?;
        let at = format!("frozen after {} ms", moment.as_millis());
        let mut child = place
            .command(&rotate)?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        tokio::time::sleep(moment).await;
        if child.try_wait()?.is_some() {
            continue;
        }
        signal("-STOP", child.id())?;
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        let resumed = resumed["rotations"].as_array().context("rotations")?.clone();
        ensure!(resumed.iter().all(|rotation| rotation["state"] == "done"), "{at}: {resumed:#?}");
        let before = held().await?;
        signal("-CONT", child.id())?;
        let ended = child.wait()?;
        if resumed.is_empty() {
            // It was frozen before it had recorded anything: it is its own owner, and simply goes on.
            continue;
        }
        frozen += 1;
        ensure!(!ended.success(), "{at}: it does not say that it lost its work");
        ensure!(held().await? == before, "{at}: it changed a copy after it was fenced");
        let password = before.trim_end_matches('\n');
        ensure!(estate.postgres.accepts("app", password).await?, "{at}: locked out");
        place.run(&["audit", "verify"], None)?.expect(0)?;
        let unfinished = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        ensure!(unfinished["rotations"] == serde_json::json!([]), "{unfinished:#}");
    }
    ensure!(frozen >= 2, "only {frozen} of 6 processes were frozen within a rotation");
    println!("{frozen} processes were frozen in the middle, overtaken, thawed and fenced");
    Ok(())
}

pub(crate) fn decoded(value: &serde_json::Value) -> Result<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().context("base64")?)?;
    Ok(String::from_utf8(bytes)?)
}
