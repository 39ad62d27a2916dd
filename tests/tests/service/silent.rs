//! A database that hangs: it takes what is sent to it and answers nothing. No change is begun at a target, who wants one is told within five seconds, and
//! when it answers again everything goes on by itself.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    lab::{postgres::Postgres, swallower::Swallower},
    require_lab,
};

use crate::house::{House, PATIENCE, Said, database};

/// What is promised.
const TOLD: Duration = Duration::from_secs(5);
const REST: &str = "[guards]\nmax_targets = 1000\nmax_share = 1.0\ncanary = 0\n";

/// How a server is made to hang.
enum Hang {
    /// All of its processes are stopped.
    Frozen(Postgres),
    /// What lies between swallows everything.
    Swallowed(Postgres, Swallower),
}

impl Hang {
    async fn swallowed() -> Result<Self> {
        let postgres = Postgres::start().await?;
        let between = Swallower::start(&format!("127.0.0.1:{}", postgres.port())).await?;
        Ok(Self::Swallowed(postgres, between))
    }

    async fn url(&self, name: &str) -> Result<String> {
        match self {
            Self::Frozen(postgres) => database(postgres, name).await,
            Self::Swallowed(postgres, between) => {
                let (own, other) = (format!(":{}/", postgres.port()), format!(":{}/", between.port()));
                Ok(database(postgres, name).await?.replace(&own, &other))
            }
        }
    }

    fn begin(&self) -> Result<()> {
        match self {
            Self::Frozen(postgres) => postgres.freeze(true),
            Self::Swallowed(_, between) => {
                between.fall_silent();
                Ok(())
            }
        }
    }

    fn end(&self) -> Result<()> {
        match self {
            Self::Frozen(postgres) => postgres.freeze(false),
            Self::Swallowed(_, between) => {
                between.recover();
                Ok(())
            }
        }
    }
}

/// How long the machine takes for a command that asks the database once, three times over: what is added to a bound in seconds.
fn allowance(house: &House) -> Result<Duration> {
    let begun = Instant::now();
    ensure!(house.run(&["db", "status"])?.code == 0, "db status");
    Ok(begun.elapsed() * 3)
}

fn refused(said: &Said) -> Result<()> {
    ensure!(said.code == 1 && said.stderr.contains("error[CLV0101]"), "exit {}: {}", said.code, said.stderr);
    Ok(())
}

/// By hand: nothing is begun, and it is said within five seconds.
async fn by_hand(hang: &Hang, name: &str) -> Result<String> {
    let house = House::new(3, &hang.url(name).await?, REST)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let allowed = TOLD + allowance(&house)?;
    hang.begin()?;
    let mut told = Vec::new();
    for command in [
        ["rotate", "sim/db/role/app_*", "--yes"].as_slice(),
        &["revoke", "sim/db/role/app_000", "--reason", "leaked", "--yes"],
        &["resume"],
    ] {
        let begun = Instant::now();
        let said = house.run(command)?;
        let took = begun.elapsed();
        refused(&said)?;
        ensure!(took < allowed, "{command:?}: told after {took:?}, allowed are {allowed:?}");
        told.push(format!("{name}: {} is refused after {} ms", command[0], took.as_millis()));
    }
    hang.end()?;
    ensure!(house.effects()?.is_empty(), "something was changed: {:?}", house.effects()?);
    let done = house.json(&["rotate", "sim/db/role/app_*", "--yes"])?;
    ensure!(done["rotations"].as_array().context("rotations")?.len() == 3, "{done:#}");
    house.told()?;
    Ok(told.join("\n"))
}

/// The service: it says that it is not ready, changes nothing, and goes on without a restart.
async fn serving(hang: &Hang, name: &str) -> Result<String> {
    let house = House::new(24, &hang.url(name).await?, "[service]\nat_once = 3\n")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("scheduler,worker")?;
    service.until_ready(true, PATIENCE).await?;
    // In the middle of its work.
    house.until_done(3).await?;
    let begun = Instant::now();
    hang.begin()?;
    service.until_ready(false, Duration::from_secs(30)).await?;
    let known = begun.elapsed();
    ensure!(known < TOLD + Duration::from_millis(500), "known after {known:?} only");
    // A call whose intent was written before may still come to its end; then nothing does.
    tokio::time::sleep(TOLD).await;
    let before = house.effects()?.len();
    tokio::time::sleep(TOLD).await;
    let after = house.effects()?.len();
    ensure!(before == after, "{} changes without a database", after - before);
    ensure!(service.get("/healthz").await?.0 == 200, "it is to be restarted, which mends nothing");
    hang.end()?;
    service.until_ready(true, Duration::from_secs(60)).await?;
    house.until_done(24).await?;
    house.told()?;
    house.in_step()?;
    let known = known.as_millis();
    Ok(format!(
        "{name}: known after {known} ms; {after} changes until then, {} in the end",
        house.effects()?.len()
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_begun_by_hand_while_the_database_is_frozen() -> Result<()> {
    let hang = Hang::Frozen(require_lab!(Postgres::start().await, Ok(())));
    println!("{}", by_hand(&hang, "hand_frozen").await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_begun_by_hand_while_the_network_swallows() -> Result<()> {
    let hang = require_lab!(Hang::swallowed().await, Ok(()));
    println!("{}", by_hand(&hang, "hand_swallowed").await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_outlives_a_frozen_database() -> Result<()> {
    let hang = Hang::Frozen(require_lab!(Postgres::start().await, Ok(())));
    println!("{}", serving(&hang, "service_frozen").await?);
    Ok(())
}

/// What was open stays silent for ever: it has to be given up, or there is no connection left.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_outlives_a_network_that_swallows() -> Result<()> {
    let hang = require_lab!(Hang::swallowed().await, Ok(()));
    println!("{}", serving(&hang, "service_swallowed").await?);
    Ok(())
}

/// It falls silent at moments that are spread over a rotation by hand: what was begun is said not to have ended, and is taken up.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_by_hand_that_loses_its_database_stops_and_is_taken_up() -> Result<()> {
    let hang = require_lab!(Hang::swallowed().await, Ok(()));
    let Hang::Swallowed(_, between) = &hang else { unreachable!("it was made so") };
    let house = House::new(2, &hang.url("hand_halfway").await?, REST)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    // A step that is under way has its own time first, two thirds of the lease, and what came of it cannot be noted then.
    let allowed = TOLD * 2 + allowance(&house)?;
    between.fall_silent_after(u64::MAX);
    house.json(&["rotate", "sim/db/role/app_*", "--yes"])?;
    let whole = between.pieces();
    let mut halfway = 0;
    for turn in 1..=5 {
        between.fall_silent_after(whole * turn / 6);
        let before = house.effects()?.len();
        let said = house.run(&["rotate", "sim/db/role/app_*", "--yes"])?;
        let since = between.since().context("it never fell silent")?.elapsed();
        ensure!(said.code != 0, "done, with a database that was silent: {}", said.stderr);
        ensure!(since < allowed, "turn {turn}: it ended {since:?} after the silence");
        halfway += usize::from(house.effects()?.len() > before);
        between.recover();
        // Its lease has to end first.
        let resumed = house.json(&["resume"])?;
        let resumed = resumed["rotations"].as_array().context("rotations")?;
        ensure!(resumed.iter().all(|rotation| rotation["state"] == "done"), "turn {turn}: {resumed:#?}");
        house.told()?;
        house.agrees()?;
    }
    println!("{halfway} of 5 were in the middle");
    ensure!(halfway >= 2, "only {halfway} of 5 were in the middle of a rotation");
    Ok(())
}
