//! From an estate that was never scanned to one in which nothing is due.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::house::{House, PATIENCE};

const SQLITE: &str = "sqlite://claviger.db";
const REST: &str = "[scan]\nevery = \"1d\"\n[budgets.sim]\nconcurrency = 3\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_rotated_once_and_a_restart_rotates_nothing() -> Result<()> {
    let house = House::new(8, SQLITE, REST)?;
    let service = house.serve("scheduler,worker")?;
    ensure!(service.get("/healthz").await?.0 == 200, "not alive");
    service.until_ready(true, PATIENCE).await?;
    house.until_done(8).await?;
    house.in_step()?;
    let firings = house.items(&["schedule", "list", "--done"])?;
    let over: Vec<_> = firings.iter().filter(|firing| firing["state"] == "done").collect();
    ensure!(over.len() == 8 && over.iter().all(|firing| firing["outcome"] == "done"), "{firings:#?}");
    ensure!(
        firings.iter().filter(|firing| firing["state"] == "planned").count() == 8,
        "the next ones: {firings:#?}"
    );
    let (status, metrics) = service.get("/metrics").await?;
    ensure!(
        status == 200 && metrics.contains("claviger_firings_settled_total{outcome=\"done\"} 8"),
        "{metrics}"
    );
    ensure!(
        metrics.contains("claviger_scans_total{result=\"complete\"} 1") && metrics.ends_with("# EOF\n"),
        "{metrics}"
    );
    let (code, took) = service.stop()?;
    ensure!(code == 0 && took < Duration::from_secs(10), "exit {code} after {took:?}");

    let again = house.serve("scheduler,worker")?;
    again.until_ready(true, PATIENCE).await?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    ensure!(house.items(&["list", "rotations"])?.len() == 8, "a restart rotated something");
    let next = house.items(&["schedule", "next", "--limit", "3"])?;
    ensure!(next.len() == 3 && next.iter().all(|firing| firing["state"] == "planned"), "{next:#?}");
    house.in_step()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_one_a_class_or_all_until_it_ends() -> Result<()> {
    let house = House::new(6, SQLITE, "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let one = house.json(&["schedule", "pause", "sim/db/role/app_000", "--reason", "its release"])?;
    let all = house.json(&["schedule", "pause", "--all", "--reason", "a freeze"])?;
    let listed = house.json(&["schedule", "list"])?;
    ensure!(listed["pauses"].as_array().context("pauses")?.len() == 2, "{listed:#}");
    ensure!(house.items(&["schedule", "next"])?.is_empty(), "everything is paused");
    let service = house.serve("scheduler,worker")?;
    service.until_ready(true, PATIENCE).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    ensure!(
        house.items(&["list", "rotations"])?.is_empty(),
        "something was rotated in a pause of everything"
    );

    house.json(&["schedule", "resume", all["id"].as_str().context("an id")?])?;
    house.until_done(5).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let rotations = house.items(&["list", "rotations"])?;
    ensure!(rotations.iter().all(|rotation| rotation["ref"] != "sim/db/role/app_000"), "{rotations:#?}");
    ensure!(rotations.len() == 5, "{rotations:#?}");

    let id = one["id"].as_str().context("an id")?;
    house.json(&["schedule", "resume", id, "--reason", "released"])?;
    house.until_done(6).await?;
    house.in_step()?;
    let unknown = house.run(&["schedule", "resume", id])?;
    ensure!(unknown.code == 1 && unknown.stderr.contains("error[CLV0430]"), "{}", unknown.stderr);
    let log = house.run(&["audit", "export"])?.stdout;
    ensure!(log.matches("\"schedule-paused\"").count() == 2, "{log}");
    ensure!(log.matches("\"schedule-resumed\"").count() == 2 && log.contains("its release"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_leaves_every_rotation_at_a_boundary_from_which_the_next_start_goes_on() -> Result<()> {
    let house = House::new(30, SQLITE, "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    for moment in [1500, 2500, 3500] {
        let service = house.serve("scheduler,worker")?;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let (code, took) = service.stop()?;
        ensure!(code == 0 && took < Duration::from_secs(10), "exit {code} after {took:?}");
        ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the log");
    }
    let service = house.serve("scheduler,worker")?;
    house.until_done(30).await?;
    house.in_step()?;
    service.signal("-TERM")?;
    service.signal("-TERM")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wants_approval_is_proposed_and_waits() -> Result<()> {
    let house = House::new(2, SQLITE, "approvals = 1")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("scheduler,worker")?;
    let begun = std::time::Instant::now();
    let firings = loop {
        let firings = house.items(&["schedule", "list"])?;
        if firings.iter().filter(|firing| firing["outcome"] == "needs-approval").count() == 2 {
            break firings;
        }
        ensure!(begun.elapsed() < PATIENCE, "{firings:#?}\n{}", service.said()?);
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    ensure!(
        house.items(&["list", "rotations"])?.is_empty(),
        "rotated without the approval that its policy wants"
    );
    let detail = firings[0]["detail"].as_str().context("a detail")?;
    let hash = detail.strip_prefix("plan ").and_then(|rest| rest.get(..12)).context("a hash")?;
    let shown = house.run(&["approve", hash, "--show"])?;
    ensure!(shown.code == 0 && shown.stdout.contains("sim/db/role/app_"), "{}{}", shown.stdout, shown.stderr);
    Ok(())
}
