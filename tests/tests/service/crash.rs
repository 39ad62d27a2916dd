//! Several workers on PostgreSQL, some of which die.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{lab::postgres::Postgres, require_lab};

use crate::house::{House, PATIENCE, database};

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_what_is_due() -> Result<()> {
    let postgres = require_lab!(Postgres::shared().await, Ok(()));
    let budget = "[budgets.sim]\nconcurrency = 4\n[service]\nat_once = 2\n";
    let house = House::new(16, &database(postgres, "service_two").await?, budget)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let pause = house.json(&["schedule", "pause", "--all", "--reason", "until both are there"])?;
    let workers = [house.serve("scheduler,worker")?, house.serve("scheduler,worker")?];
    for worker in &workers {
        worker.until_ready(true, PATIENCE).await?;
    }
    house.json(&["schedule", "resume", pause["id"].as_str().context("an id")?])?;
    house.until_done(16).await?;
    house.in_step()?;
    let shares: Vec<usize> =
        workers.iter().map(|worker| Ok(worker.said()?.matches("fires").count())).collect::<Result<_>>()?;
    ensure!(shares.iter().all(|share| *share > 0) && shares.iter().sum::<usize>() == 16, "{shares:?}");
    println!("two workers: {shares:?}");
    for worker in workers {
        let (code, took) = worker.stop()?;
        ensure!(code == 0 && took < Duration::from_secs(10), "exit {code} after {took:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn four_workers_of_which_one_after_the_other_is_killed_leave_one_live_value_each() -> Result<()> {
    let postgres = require_lab!(Postgres::shared().await, Ok(()));
    let budget = "[budgets.sim]\nconcurrency = 6\n";
    let house = House::new(40, &database(postgres, "service_four").await?, budget)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let pause = house.json(&["schedule", "pause", "--all", "--reason", "until all are there"])?;
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(house.serve("scheduler,worker")?);
    }
    for worker in &workers {
        worker.until_ready(true, PATIENCE).await?;
    }
    house.json(&["schedule", "resume", pause["id"].as_str().context("an id")?])?;
    let (mut kills, mut taken_over) = (0, 0);
    let begun = std::time::Instant::now();
    while kills < 5 && begun.elapsed() < Duration::from_secs(60) {
        let mut busy = None;
        for (index, worker) in workers.iter().enumerate() {
            let said = worker.said()?;
            let under_way = said.matches(" fires ").count().saturating_sub(said.matches(" fired ").count());
            if under_way > 0 {
                busy = Some((index, under_way));
            }
        }
        let Some((index, under_way)) = busy else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        tokio::time::sleep(Duration::from_millis(40 * kills)).await;
        workers.remove(index).kill()?;
        (kills, taken_over) = (kills + 1, taken_over + under_way);
        workers.push(house.serve("scheduler,worker")?);
    }
    house.until_done(40).await?;
    house.in_step()?;
    println!("{kills} of the workers were killed, in the middle of about {taken_over} rotations");
    ensure!(kills >= 3, "{kills} kills met a rotation: the test shows nothing");
    Ok(())
}
