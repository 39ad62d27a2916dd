//! A day of very many credentials in simulated time, on a real database: nothing early, nothing skipped, nothing twice, budgets held; through both changes of
//! the clocks in Europe, and while the machine's clock jumps.
//!
//! What is real: policies, due dates, planning ahead, claims, settlements. What is simulated: time, the inventory, and the rotations themselves, which take some
//! minutes and then set the time of the last change.

mod rush;
mod world;

use anyhow::{Result, ensure};

use claviger_testkit::database::Kind;

use self::{
    rush::{Size, rush},
    world::{Day, Jump, World},
};

const SPRING: Day = Day { name: "spring", from: "2027-03-27T20:00:00Z", nightly: "2027-03-28T01:00:00Z" };
const AUTUMN: Day = Day { name: "autumn", from: "2027-10-30T20:00:00Z", nightly: "2027-10-31T00:30:00Z" };
/// The machine's clock is wrong for some minutes: minute of the day, how many, by how many minutes.
const JUMPS: [Jump; 4] = [
    Jump { at: 300, lasts: 6, by: 180 },
    Jump { at: 610, lasts: 4, by: -120 },
    Jump { at: 840, lasts: 4, by: 10 * 365 * 1440 },
    Jump { at: 1100, lasts: 2, by: -10 * 365 * 1440 },
];

/// Gives what can be told of it.
async fn day(day: Day, credentials: u32) -> Result<String> {
    let begun = std::time::Instant::now();
    let mut world = World::new(day, credentials).await?;
    let planned = world.plan_all().await?;
    for minute in (0..day.minutes()).step_by(2) {
        // An upgrade: another process, which plans everything anew.
        if minute == 720 {
            let changed = world.plan_all().await?;
            ensure!(changed == 0, "a restart changed {changed} of what was planned");
        }
        world.tick(minute, &JUMPS).await?;
    }
    let told = world.verdict()?;
    Ok(format!(
        "{}: {credentials} credentials, {planned} planned, {told}, {:.1} s",
        day.name,
        begun.elapsed().as_secs_f64()
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spring() -> Result<()> {
    println!("{}", day(SPRING, 6_000).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn autumn() -> Result<()> {
    println!("{}", day(AUTUMN, 6_000).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes"]
async fn spring_of_a_hundred_thousand() -> Result<()> {
    println!("{}", day(SPRING, 100_000).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes"]
async fn autumn_of_a_hundred_thousand() -> Result<()> {
    println!("{}", day(AUTUMN, 100_000).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rush_exceeds_no_budget() -> Result<()> {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let size = Size { credentials: 4_000, at_a_time: 60, per_minute: 1_200 };
        if let Some(told) = rush(kind, size).await? {
            println!("{told}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes"]
async fn a_million_due_in_one_second_exceed_no_budget() -> Result<()> {
    let size = Size { credentials: 1_000_000, at_a_time: 2_000, per_minute: 60_000 };
    if let Some(told) = rush(Kind::Postgres, size).await? {
        println!("{told}");
    }
    Ok(())
}
