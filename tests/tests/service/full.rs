//! A full disk: SQLite cannot grow. No change is begun at a target, who wants one is told at once, and when there is room again everything goes on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::house::{House, PATIENCE};

const SQLITE: &str = "sqlite://claviger.db";
const REST: &str = "[guards]\nmax_targets = 1000\nmax_share = 1.0\ncanary = 0\n";
/// What is promised.
const TOLD: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn by_hand_nothing_is_changed_that_cannot_be_written_down() -> Result<()> {
    let house = House::new(3, SQLITE, REST)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    // No room for what three rotations want to note first. The index of the log, 32 KiB, has to fit.
    let rotate = ["rotate", "sim/db/role/app_*", "--yes"];
    let begun = Instant::now();
    let said = house.run_on_full_disk(32, &rotate)?;
    ensure!(said.code == 1 && said.stderr.contains("error[CLV0101]"), "exit {}: {}", said.code, said.stderr);
    ensure!(begun.elapsed() < TOLD, "told after {:?}", begun.elapsed());
    ensure!(house.effects()?.is_empty(), "something was changed: {:?}", house.effects()?);

    // Room for some of it: it stops wherever that ends.
    let (mut halfway, mut ended) = (0_usize, 0);
    let mut more = 40;
    while ended == 0 && more < 8192 {
        let before = house.effects()?.len();
        let least = house.log_size().max(36);
        let said = house.run_on_full_disk(least + more, &rotate)?;
        let changed = house.effects()?.len() - before;
        if said.code == 0 {
            ended += 1;
        } else {
            halfway += usize::from(changed > 0);
        }
        println!("{more} KiB: exit {}, {changed} changes", said.code);
        house.told()?;
        let resumed = house.json(&["resume"])?;
        let resumed = resumed["rotations"].as_array().context("rotations")?;
        ensure!(resumed.iter().all(|rotation| rotation["state"] == "done"), "{more} KiB: {resumed:#?}");
        house.agrees()?;
        more = more * 3 / 2;
    }
    ensure!(halfway >= 1, "none of them was stopped in the middle; {ended} ended");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_outlives_a_full_disk() -> Result<()> {
    let house = House::new(6, SQLITE, "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let pause = house.json(&["schedule", "pause", "--all", "--reason", "until the disk is full"])?;
    let service = house.serve_on_full_disk(1 << 20, "scheduler,worker")?;
    service.until_ready(true, PATIENCE).await?;
    let begun = Instant::now();
    service.give_room("0:")?;
    let body = service.until_ready(false, Duration::from_secs(30)).await?;
    let known = begun.elapsed();
    ensure!(known < TOLD + Duration::from_millis(500), "known after {known:?} only");
    ensure!(body.contains("audit log"), "{body}");
    // Everything is due, and may start but for the disk.
    house.json(&["schedule", "resume", pause["id"].as_str().context("an id")?])?;
    tokio::time::sleep(TOLD).await;
    ensure!(house.effects()?.is_empty(), "something was changed: {:?}", house.effects()?);
    ensure!(service.get("/healthz").await?.0 == 200, "it is to be restarted, which mends nothing");
    service.give_room("unlimited:")?;
    service.until_ready(true, Duration::from_secs(30)).await?;
    house.until_done(6).await?;
    house.told()?;
    println!("known after {} ms", known.as_millis());
    let (code, took) = service.stop()?;
    ensure!(code == 0 && took < PATIENCE, "exit {code} after {took:?}");
    house.in_step()
}
