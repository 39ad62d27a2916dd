//! Hints of PostgreSQL: with them work is taken at once, without them at the next look, and nothing but the time depends on them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{lab::postgres::Postgres, require_lab};
use tokio_postgres::Client;

use crate::house::{House, PATIENCE, database};

const ROUNDS: usize = 6;
/// How often a service looks for what nobody drives, and for firings.
const LOOKS: Duration = Duration::from_secs(5);
/// What a command and a busy machine may add.
const ALLOWED: Duration = Duration::from_secs(10);
const RESTING: &str = "[guards]\nmax_targets = 1000\nmax_share = 1.0\ncanary = 0\n";

fn median(all: &mut [Duration]) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

/// A house in which nothing is due by itself.
fn house(url: &str, rest: &str) -> Result<House> {
    let house = House::new(ROUNDS, url, &format!("{RESTING}{rest}"))?;
    let file = house.path().join("claviger.toml");
    let text = std::fs::read_to_string(&file)?.replace("max_age = \"30d\"", "max_age = \"3650d\"");
    std::fs::write(&file, text)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    Ok(house)
}

async fn number(client: &Client, query: &str) -> Result<Option<i64>> {
    Ok(client.query_opt(query, &[]).await?.map(|row| row.get(0)))
}

async fn until(client: &Client, query: &str) -> Result<i64> {
    let begun = std::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(found) = number(client, query).await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("never: {query}")
}

/// From the record of a rotation with `--detach` to its first event.
async fn detached(house: &House, client: &Client, role: usize) -> Result<Duration> {
    let at = format!("sim/db/role/app_{role:03}");
    let recorded = house.json(&["rotate", &at, "--detach", "--yes"])?;
    let id = recorded["rotations"][0]["rotation_id"].as_str().context("an id")?;
    let taken = format!(
        "select cast(extract(epoch from event.at - saga.created_at) * 1000000 as bigint) from saga \
         join saga_event event on event.saga_id = saga.id and event.seq = 1 where saga.id = '{id}'"
    );
    let took = Duration::from_micros(until(client, &taken).await?.unsigned_abs());
    until(client, &format!("select 1::bigint from saga where id = '{id}' and finished_at is not null"))
        .await?;
    Ok(took)
}

/// From `schedule run` to the record of the firing's rotation.
async fn asked(house: &House, client: &Client, role: usize) -> Result<Duration> {
    let at = format!("sim/db/role/app_{role:03}");
    house.json(&["schedule", "run", &at, "--reason", "now"])?;
    let taken = format!(
        "select cast(extract(epoch from saga.created_at) * 1000000 as bigint) - firing.asked_at from firing \
         join saga on saga.id = firing.saga_id where firing.subject = '{at}' and firing.state = 'done' and firing.asked_at is not null"
    );
    Ok(Duration::from_micros(until(client, &taken).await?.unsigned_abs()))
}

async fn measured(house: &House, client: &Client) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for role in 0..ROUNDS {
        one.push(detached(house, client, role).await?);
        two.push(asked(house, client, role).await?);
    }
    Ok((one, two))
}

async fn listeners(client: &Client) -> Result<i64> {
    let query =
        "select count(*) from pg_stat_activity where datname = current_database() and query ilike 'listen%'";
    Ok(number(client, query).await?.unwrap_or(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_taken_at_once_with_hints_and_at_the_next_look_without() -> Result<()> {
    let postgres = require_lab!(Postgres::shared().await, Ok(()));
    let mut figures = Vec::new();
    for (name, rest) in [("hints_off", "[service]\nhints = false\n"), ("hints_on", "")] {
        let house = house(&database(postgres, name).await?, rest)?;
        let client = postgres.connect(name).await?;
        let service = house.serve("scheduler,worker")?;
        service.until_ready(true, PATIENCE).await?;
        if rest.is_empty() {
            until(&client, "select 1::bigint from pg_stat_activity where datname = current_database() and query ilike 'listen%'").await?;
        } else {
            ensure!(listeners(&client).await? == 0, "it listens although it was told not to");
        }
        let (mut one, mut two) = measured(&house, &client).await?;
        for took in one.iter().chain(&two) {
            ensure!(*took < LOOKS + ALLOWED, "{name}: taken after {took:?}: {one:?} {two:?}");
        }
        house.told()?;
        let (one, two) = (median(&mut one), median(&mut two));
        println!(
            "{name}: median from `rotate --detach` to taken {} ms, from `schedule run` to begun {} ms",
            one.as_millis(),
            two.as_millis()
        );
        figures.push((one, two));
        let (code, _) = service.stop()?;
        ensure!(code == 0, "exit {code}");
    }
    let (off, on) = (figures[0], figures[1]);
    ensure!(on.0 * 2 < off.0, "a detached rotation is taken no sooner: {figures:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_cut_off_again_and_again_makes_nothing_late() -> Result<()> {
    let postgres = require_lab!(Postgres::shared().await, Ok(()));
    let house = house(&database(postgres, "hints_cut").await?, "")?;
    let client = postgres.connect("hints_cut").await?;
    let service = house.serve("scheduler,worker")?;
    service.until_ready(true, PATIENCE).await?;
    let cut = async |every: Duration| -> Result<u64> {
        let client = postgres.connect("hints_cut").await?;
        let mut ended = 0;
        loop {
            let query = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ilike 'listen%'";
            ended += client.execute(query, &[]).await?;
            println!("{ended} cut off");
            tokio::time::sleep(every).await;
        }
    };
    let (one, two) = tokio::select! {
        ended = cut(Duration::from_millis(300)) => anyhow::bail!("{ended:?}"),
        measured = measured(&house, &client) => measured?,
    };
    for took in one.iter().chain(&two) {
        ensure!(*took < LOOKS + ALLOWED, "taken after {took:?}");
    }
    // Left in peace, it listens again by itself.
    until(
        &client,
        "select 1::bigint from pg_stat_activity where datname = current_database() and query ilike 'listen%'",
    )
    .await?;
    house.told()?;
    house.agrees()?;
    let (code, _) = service.stop()?;
    ensure!(code == 0, "exit {code}");
    Ok(())
}
