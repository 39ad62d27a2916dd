//! What cannot be written down is not done.

use std::time::Duration;

use anyhow::{Result, ensure};
use claviger_backend_simulated::EstateFile;
use claviger_tests::{lab::postgres::Postgres, require_lab};

use crate::house::{House, database};

#[tokio::test(flavor = "multi_thread")]
async fn without_the_audit_log_nothing_starts_and_it_recovers_by_itself() -> Result<()> {
    let postgres = require_lab!(Postgres::shared().await, Ok(()));
    let house = House::new(5, &database(postgres, "service_audit").await?, "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    // Everything is planned and due.
    let due = house.items(&["schedule", "next"])?;
    ensure!(due.len() == 5, "{due:#?}");
    let mut client = postgres.connect("service_audit").await?;

    // The log hangs from the start: whoever wants to append to it waits.
    let hold = client.transaction().await?;
    hold.batch_execute("lock table audit_head in access exclusive mode").await?;
    let service = house.serve("scheduler,worker")?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let body = service.until_ready(false, Duration::from_secs(1)).await?;
    ensure!(body.contains("audit log") && service.get("/healthz").await?.0 == 200, "{body}");
    let estate = EstateFile::new(house.path().join("estate.json")).load()?;
    ensure!(estate.effects.is_empty(), "something was changed without an entry: {:?}", estate.effects);
    ensure!(house.items(&["list", "rotations"])?.is_empty(), "something was begun");
    hold.rollback().await?;
    service.until_ready(true, Duration::from_secs(30)).await?;
    house.until_done(5).await?;
    house.in_step()?;

    // It hangs later: that is known within five seconds.
    let hold = client.transaction().await?;
    hold.batch_execute("lock table audit_head in access exclusive mode").await?;
    let begun = std::time::Instant::now();
    service.until_ready(false, Duration::from_secs(10)).await?;
    let took = begun.elapsed();
    ensure!(took < Duration::from_millis(5_300), "known after {took:?} only");
    hold.rollback().await?;
    service.until_ready(true, Duration::from_secs(30)).await?;
    println!("known after {} ms", took.as_millis());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_may_forget_commits_is_refused_at_the_start() -> Result<()> {
    let postgres = require_lab!(Postgres::shared().await, Ok(()));
    let url = database(postgres, "service_async").await?;
    let house = House::new(1, &url, "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let client = postgres.connect("postgres").await?;
    client.batch_execute("ALTER DATABASE service_async SET synchronous_commit = off").await?;
    let said = house.run(&["serve", "--listen", "127.0.0.1:0"])?;
    ensure!(said.code == 4 && said.stderr.contains("error[CLV0103]"), "{}: {}", said.code, said.stderr);
    client
        .batch_execute(
            "ALTER DATABASE service_async SET synchronous_commit = on; ALTER DATABASE service_async SET default_transaction_read_only = on",
        )
        .await?;
    let said = house.run(&["serve", "--listen", "127.0.0.1:0"])?;
    ensure!(said.code == 4 && said.stderr.contains("error[CLV0103]"), "{}: {}", said.code, said.stderr);
    ensure!(said.stderr.contains("default_transaction_read_only"), "{}", said.stderr);
    client.batch_execute("ALTER DATABASE service_async RESET default_transaction_read_only").await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let said = house.run(&["serve", "--listen", &taken.local_addr()?.to_string()])?;
    ensure!(said.code == 1 && said.stderr.contains("error[CLV0602]"), "{}: {}", said.code, said.stderr);
    Ok(())
}

/// A rotation that is begun at the primary could not be told of at a standby, and one at a standby not at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused_at_the_start() -> Result<()> {
    let primary = require_lab!(Postgres::start().await, Ok(()));
    let url = database(&primary, "service_standby").await?;
    let house = House::new(1, &url, "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let standby = primary.standby().await?;
    let other = url.replace(&format!(":{}/", primary.port()), &format!(":{}/", standby.port()));
    house.configure(&other, "")?;
    for command in
        [["serve", "--listen", "127.0.0.1:0"].as_slice(), &["rotate", "sim/db/role/app_000", "--yes"]]
    {
        let said = house.run(command)?;
        ensure!(said.code == 4 && said.stderr.contains("error[CLV0103]"), "{}: {}", said.code, said.stderr);
        ensure!(said.stderr.contains("standby"), "{}", said.stderr);
    }
    ensure!(house.effects()?.is_empty(), "something was changed");
    Ok(())
}
