//! A backup of the database is restored: nothing has an effect until it was compared with the targets.

use std::fs;

use anyhow::{Result, ensure};
use claviger_backend_simulated::EstateFile;
use claviger_tests::{lab::postgres::Postgres, require_lab};

use crate::house::{House, database};

const ROLE: &str = "sim/db/role/app_000";

/// How many effects the estate has seen.
fn effects(house: &House) -> Result<usize> {
    Ok(EstateFile::new(house.path().join("estate.json")).load()?.effects.len())
}

fn refuses(house: &House) -> Result<()> {
    let before = effects(house)?;
    for command in [
        &["rotate", ROLE, "--yes"][..],
        &["revoke", ROLE, "--reason", "leaked", "--yes"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        let said = house.run(command)?;
        ensure!(
            said.code == 4 && said.stderr.contains("error[CLV0710]"),
            "{command:?}: exit {}\n{}\n{}",
            said.code,
            said.stdout,
            said.stderr
        );
    }
    ensure!(effects(house)? == before, "something was changed");
    // What only reads goes on.
    house.items(&["list", "credentials"])?;
    house.json(&["audit", "verify"])?;
    Ok(())
}

fn reconciles(house: &House) -> Result<()> {
    let said = house.json(&["db", "reconcile"])?;
    ensure!(said["reconciled"] == true && said["complete"] == true, "{said:#}");
    let again = house.json(&["db", "reconcile"])?;
    ensure!(again["went_back"].is_null(), "{again:#}");
    let rotated = house.json(&["rotate", ROLE, "--yes"])?;
    ensure!(rotated["rotations"][0]["state"] == "done", "{rotated:#}");
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the chain");
    Ok(())
}

#[test]
fn a_copied_back_sqlite_file_is_read_only_until_it_is_reconciled() -> Result<()> {
    let house = House::new(2, "sqlite://claviger.db", "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let file = |name: &str| house.path().join(name);
    // Nobody has it open: what the log beside it held is in the file.
    let backup = fs::read(file("claviger.db"))?;
    let wal = fs::read(file("claviger.db-wal")).unwrap_or_default();
    let rotated = house.json(&["rotate", ROLE, "--yes"])?;
    ensure!(rotated["rotations"][0]["state"] == "done", "{rotated:#}");
    let restore = || -> Result<()> {
        for name in ["claviger.db", "claviger.db-wal", "claviger.db-shm"] {
            let _ = fs::remove_file(file(name));
        }
        fs::write(file("claviger.db"), &backup)?;
        if !wal.is_empty() {
            fs::write(file("claviger.db-wal"), &wal)?;
        }
        Ok(())
    };
    restore()?;
    refuses(&house)?;
    // What reads writes to the log: however long it gets, it is not the one that was seen.
    for _ in 0..40 {
        house.run(&["trace", "--file", "claviger.toml"])?;
    }
    refuses(&house)?;
    reconciles(&house)
}

#[test]
fn what_is_unfinished_in_a_backup_waits_for_an_operator() -> Result<()> {
    let house = House::new(1, "sqlite://claviger.db", "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    house.json(&["rotate", ROLE, "--yes", "--detach"])?;
    let file = |name: &str| house.path().join(name);
    let (backup, wal) =
        (fs::read(file("claviger.db"))?, fs::read(file("claviger.db-wal")).unwrap_or_default());
    house.json(&["resume"])?;
    for name in ["claviger.db", "claviger.db-wal", "claviger.db-shm"] {
        let _ = fs::remove_file(file(name));
    }
    fs::write(file("claviger.db"), &backup)?;
    if !wal.is_empty() {
        fs::write(file("claviger.db-wal"), &wal)?;
    }
    let before = effects(&house)?;
    house.run(&["resume"])?;
    ensure!(effects(&house)? == before, "what was unfinished in the backup went on");
    let said = house.run(&["db", "reconcile", "-o", "json"])?;
    ensure!(
        said.code == 5 && said.stderr.contains("unfinished in this backup"),
        "{}: {}",
        said.code,
        said.stderr
    );
    ensure!(house.run(&["rotate", ROLE, "--yes"])?.code != 0, "it is read-only still");
    let said = house.json(&["db", "reconcile", "--unfinished"])?;
    ensure!(said["reconciled"] == true, "{said:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_dump_of_postgresql_is_read_only_until_it_is_reconciled() -> Result<()> {
    let postgres = require_lab!(Postgres::shared().await, Ok(()));
    let house = House::new(2, &database(postgres, "restored").await?, "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    // A copy that is made by the server itself: as a dump, restored.
    let client = postgres.connect("postgres").await?;
    client.batch_execute("CREATE DATABASE restored_backup TEMPLATE restored").await?;
    let rotated = house.json(&["rotate", ROLE, "--yes"])?;
    ensure!(rotated["rotations"][0]["state"] == "done", "{rotated:#}");
    client.batch_execute("DROP DATABASE restored").await?;
    client.batch_execute("CREATE DATABASE restored TEMPLATE restored_backup").await?;
    client.batch_execute("ALTER DATABASE restored SET synchronous_commit = on").await?;
    refuses(&house)?;
    reconciles(&house)
}

#[test]
fn another_database_beside_the_same_keys_is_no_restored_one() -> Result<()> {
    let house = House::new(1, "sqlite://claviger.db", "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    house.json(&["rotate", ROLE, "--yes"])?;
    ensure!(house.run(&["--database", "sqlite://other.db", "scan"])?.code == 0, "scan");
    let rotated = house.json(&["--database", "sqlite://other.db", "rotate", ROLE, "--yes"])?;
    ensure!(rotated["rotations"][0]["state"] == "done", "{rotated:#}");
    house.json(&["rotate", ROLE, "--yes"])?;
    Ok(())
}
