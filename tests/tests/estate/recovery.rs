//! `kill -9` in the middle of a rotation on the real servers, then `resume`: nothing is lost.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;

use crate::{Place, text};

/// Moments at which the process is killed, in milliseconds after its start. A rotation takes about a second and a half.
const MOMENTS: &[u64] = &[60, 120, 180, 240, 300, 360, 430, 500, 600, 750, 900, 1200];

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_is_taken_up_and_nothing_is_lost() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let mut place = Place::new(estate.directory(), "recovery.db");
    // A crash is noticed when the lease ends: three seconds, so that the test does not wait half a minute each time.
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    place.run(&["scan"], None)?.expect(3)?;
    let mut interrupted = 0;
    for moment in MOMENTS {
        let mut child = place
            .command(&["rotate", "db/role/app", "--leave-stale", "--yes", "-o", "json"])?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        tokio::time::sleep(Duration::from_millis(*moment)).await;
        child.kill()?;
        child.wait()?;

        let unfinished = place
            .list("rotations")?
            .iter()
            .filter(|rotation| !matches!(text(rotation, "state"), "done" | "unwound"))
            .count();
        interrupted += unfinished;
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        ensure!(resumed["rotations"].as_array().context("rotations")?.len() == unfinished, "{resumed:#}");
        for rotation in resumed["rotations"].as_array().context("rotations")? {
            ensure!(rotation["state"] == "done", "killed after {moment} ms: {rotation:#}");
        }
        // Whatever the moment: what the Secret holds logs in, and every copy holds the same.
        let secret =
            estate.kubernetes.request(Method::GET, "/api/v1/namespaces/payments/secrets/db", None).await?;
        let held = decoded(&secret.body["data"]["password"])?;
        let held = held.trim_end_matches('\n');
        ensure!(
            estate.postgres.accepts("app", held).await?,
            "killed after {moment} ms: the Secret's password does not log in"
        );
        let map = estate
            .kubernetes
            .request(Method::GET, "/api/v1/namespaces/payments/configmaps/app", None)
            .await?;
        let url = text(&map.body["data"], "database-url").to_owned();
        let encoded: String = claviger_tests::estate::percent_encode(held);
        ensure!(
            url.contains(&format!(":{encoded}@")),
            "killed after {moment} ms: the ConfigMap is out of step"
        );
        place.run(&["audit", "verify"], None)?.expect(0)?;
    }
    ensure!(interrupted >= 3, "only {interrupted} of {} kills hit a rotation", MOMENTS.len());
    // Each finished rotation ended the password before it: the planted one is dead.
    let planted = estate.planted.get("db-app").value.as_ref().context("a value")?;
    ensure!(!estate.postgres.accepts("app", planted.expose()).await?, "the first password still logs in");
    println!("killed {} times, {interrupted} in the middle; all resumed to done", MOMENTS.len());
    Ok(())
}

/// The same with a secret-id: each rotation adds one and ends one, so that an orphan would be seen by counting.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_rotation_of_a_secret_id_leaves_no_orphan() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let mut place = Place::new(estate.directory(), "recovery-dual.db");
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
    let mut interrupted = 0;
    for moment in MOMENTS {
        // Whose value the Secret holds now: each rotation gives it another name.
        let copies = place.list("copies")?;
        let held = copies
            .iter()
            .find(|copy| copy["ref"] == "prod/ops/Secret/ci-approle#secret_id" && copy["stage"] == "current");
        let subject = text(held.context("the copy")?, "credential").to_owned();
        let mut child = place
            .command(&["rotate", &subject, "--yes", "-o", "json"])?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        tokio::time::sleep(Duration::from_millis(*moment)).await;
        child.kill()?;
        child.wait()?;
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        let resumed = resumed["rotations"].as_array().context("rotations")?.clone();
        interrupted += resumed.len();
        ensure!(
            resumed.iter().all(|rotation| rotation["state"] == "done"),
            "killed after {moment} ms: {resumed:#?}"
        );
        let path = "/api/v1/namespaces/ops/secrets/ci-approle";
        let secret = estate.kubernetes.request(Method::GET, path, None).await?;
        let login = serde_json::json!({
            "role_id": decoded(&secret.body["data"]["role_id"])?,
            "secret_id": decoded(&secret.body["data"]["secret_id"])?,
        });
        let login = estate.openbao.request(Method::POST, "auth/approle/login", Some(&login)).await?;
        ensure!(login.status == 200, "killed after {moment} ms: the Secret's secret-id does not log in");
        ensure!(accessors().await? == before, "killed after {moment} ms: an orphan, or one too few");
        place.run(&["audit", "verify"], None)?.expect(0)?;
        place.run(&["scan"], None)?;
    }
    ensure!(interrupted >= 3, "only {interrupted} of {} kills hit a rotation", MOMENTS.len());
    println!("killed {} times, {interrupted} in the middle; all resumed to done, no orphan", MOMENTS.len());
    Ok(())
}

/// A process that is frozen past its lease and thawed after another one has finished its work: it is fenced, and changes nothing. On
/// PostgreSQL, as SQLite is for one process.
#[tokio::test(flavor = "multi_thread")]
async fn a_thawed_owner_finds_itself_fenced() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let client = estate.postgres.connect("postgres").await?;
    client.batch_execute("CREATE DATABASE claviger_frozen").await?;
    client.batch_execute("ALTER DATABASE claviger_frozen SET synchronous_commit = on").await?;
    let mut place = Place::new(estate.directory(), "frozen.db");
    place.database = estate.postgres.url("claviger_frozen");
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
    let mut frozen = 0;
    for moment in [150, 300, 450, 600, 750, 900] {
        let mut child = place
            .command(&["rotate", "db/role/app", "--leave-stale", "--yes", "-o", "json"])?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        if child.try_wait()?.is_some() {
            continue;
        }
        signal("-STOP", child.id())?;
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        let resumed = resumed["rotations"].as_array().context("rotations")?.clone();
        ensure!(
            resumed.iter().all(|rotation| rotation["state"] == "done"),
            "frozen after {moment} ms: {resumed:#?}"
        );
        let before = held().await?;
        signal("-CONT", child.id())?;
        let ended = child.wait()?;
        if resumed.is_empty() {
            // It was frozen before it had recorded anything: it is its own owner, and simply goes on.
            continue;
        }
        frozen += 1;
        ensure!(!ended.success(), "frozen after {moment} ms: it does not say that it lost its work");
        ensure!(held().await? == before, "frozen after {moment} ms: it changed a copy after it was fenced");
        let password = before.trim_end_matches('\n');
        ensure!(estate.postgres.accepts("app", password).await?, "frozen after {moment} ms: locked out");
        place.run(&["audit", "verify"], None)?.expect(0)?;
        let unfinished = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        ensure!(unfinished["rotations"] == serde_json::json!([]), "{unfinished:#}");
    }
    ensure!(frozen >= 2, "only {frozen} of 6 processes were frozen within a rotation");
    println!("{frozen} processes were frozen in the middle, overtaken, thawed and fenced");
    Ok(())
}

fn decoded(value: &serde_json::Value) -> Result<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().context("base64")?)?;
    Ok(String::from_utf8(bytes)?)
}
