//! What comes round by itself: what was revoked is tried again, and drills are held.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use claviger_backend_simulated::EstateFile;
use serde_json::Value;

use crate::house::{House, PATIENCE};

const SQLITE: &str = "sqlite://claviger.db";
const ROLE: &str = "sim/db/role/app_000";
/// Of the two roles one is revoked, made again by somebody, and has a policy that ends it once more.
const AGAIN: &str = "re_revoke = true\n[reprobe]\nevery = \"30d\"\n[scan]\nevery = \"30d\"\n";

fn revocations(house: &House) -> Result<Vec<Value>> {
    house.items(&["list", "revocations", ROLE])
}

/// Asks until it holds.
async fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds()? {
        ensure!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_back_is_revoked_again_by_itself_and_no_restart_tries_early() -> Result<()> {
    let house = House::new(2, SQLITE, AGAIN)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    // Nothing but this is to happen to it.
    house.json(&["schedule", "pause", "--all", "--reason", "a test"])?;
    let file = EstateFile::new(house.path().join("estate.json"));
    let before = file.load()?.database.roles.remove("app_000").context("the role")?;
    let revoked = house.run(&["revoke", ROLE, "--reason", "leaked", "--yes", "-o", "json"])?;
    ensure!(revoked.code == 0, "{}\n{}", revoked.stdout, revoked.stderr);
    file.edit(|estate| estate.database.roles.insert("app_000".to_owned(), before))?;

    let service = house.serve("worker")?;
    until("it is revoked again", || {
        let all = revocations(&house)?;
        Ok(all.iter().any(|one| one["cause"] == "policy" && one["state"] == "done"))
    })
    .await?;
    let receipts = house.json(&["show", ROLE])?;
    ensure!(receipts["credential"]["state"] == "revoked-proven", "{receipts:#}");
    until("it is counted", || Ok(service.said()?.contains("tried what was revoked"))).await?;
    let metrics = service.get("/metrics").await?.1;
    ensure!(metrics.contains("claviger_revoked{answer=\"back\"} 1\n"), "{metrics}");
    // The next trial would find it dead: it is a month away.
    let again = house.serve("worker")?;
    again.until_ready(true, PATIENCE).await?;
    tokio::time::sleep(Duration::from_secs(7)).await;
    let said = again.said()?;
    ensure!(!said.contains("tried what was revoked"), "a restart tried early: {said}");
    ensure!(revocations(&house)?.len() == 2, "{:#?}", revocations(&house)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wants_an_approval_waits_for_it_also_when_nobody_is_there() -> Result<()> {
    let house = House::new(2, SQLITE, &format!("approvals = 1\n{AGAIN}"))?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let file = EstateFile::new(house.path().join("estate.json"));
    let incident = house.json(&["incident", "open", "--title", "a leak"])?;
    let id = incident["incident"]["id"].as_str().context("an incident")?.to_owned();
    let before = file.load()?.database.roles.remove("app_000").context("the role")?;
    let arguments = ["revoke", ROLE, "--reason", "leaked", "--yes", "--incident", &id];
    let revoked = house.run(&arguments)?;
    ensure!(revoked.code == 0, "{}\n{}", revoked.stdout, revoked.stderr);
    file.edit(|estate| estate.database.roles.insert("app_000".to_owned(), before))?;

    let service = house.serve("worker")?;
    until("it is said", || Ok(service.said()?.contains("waits for an approval"))).await?;
    ensure!(revocations(&house)?.len() == 1, "it was revoked without an approval");
    ensure!(file.load()?.database.roles.contains_key("app_000"), "it was ended without an approval");
    let log = house.run(&["audit", "export"])?.stdout;
    ensure!(log.contains("\"kind\":\"proposed\""), "nobody could approve it: {log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn drills_come_round_and_not_where_no_decoy_can_be_made() -> Result<()> {
    let house = House::new(2, SQLITE, "[drills.sim]\nevery = \"30d\"\n")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    house.json(&["schedule", "pause", "--all", "--reason", "a test"])?;
    let service = house.serve("worker")?;
    until("a drill is held", || Ok(!house.items(&["list", "drills"])?.is_empty())).await?;
    let drills = house.items(&["list", "drills"])?;
    ensure!(drills.len() == 1 && drills[0]["passed"] == true, "{drills:#?}");
    ensure!(drills[0]["time_to_proof_ms"].as_i64().is_some_and(|took| took >= 0), "{drills:#?}");
    until("it is counted", || Ok(service.said()?.contains("a drill passed"))).await?;
    let metrics = service.get("/metrics").await?.1;
    ensure!(metrics.contains("claviger_drills_total{result=\"passed\"} 1\n"), "{metrics}");
    let again = house.serve("worker")?;
    again.until_ready(true, PATIENCE).await?;
    tokio::time::sleep(Duration::from_secs(7)).await;
    ensure!(house.items(&["list", "drills"])?.len() == 1, "a restart held a drill early");
    drop((service, again));

    house.configure(
        SQLITE,
        "[backends.files]\nkind = \"manifest\"\npath = \".\"\n[drills.files]\nevery = \"1d\"\n",
    )?;
    let said = house.run(&["serve", "--listen", "127.0.0.1:0"])?;
    ensure!(said.code == 2 && said.stderr.contains("error[CLV0431]"), "{}: {}", said.code, said.stderr);
    house.configure(SQLITE, "[drills.nobody]\nevery = \"1d\"\n")?;
    let said = house.run(&["serve", "--listen", "127.0.0.1:0"])?;
    ensure!(said.code == 2 && said.stderr.contains("error[CLV0038]"), "{}: {}", said.code, said.stderr);
    Ok(())
}
