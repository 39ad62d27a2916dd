//! A full disk under PostgreSQL: its database lies on a small file system of its own, which somebody fills. No change is begun at a target, who wants one is
//! told at once, and when there is room again everything goes on without a restart.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, chown},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    lab::{postgres::Postgres, skip},
    require_lab,
};
use tempfile::TempDir;

use crate::house::{House, PATIENCE};

/// What is promised.
const TOLD: Duration = Duration::from_secs(5);
const REST: &str = "[guards]\nmax_targets = 1000\nmax_share = 1.0\ncanary = 0\n";
/// The account under which the server runs.
const NOBODY: u32 = 65_534;

/// A file system in memory, of 96 MiB.
struct Small {
    directory: TempDir,
}

impl Drop for Small {
    fn drop(&mut self) {
        // The server may still have files open there.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

impl Small {
    /// `None`: nobody may mount here, which is said and counted.
    fn mount() -> Result<Option<Self>> {
        let directory = tempfile::Builder::new().prefix("claviger-small-").tempdir()?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711))?;
        let small = Self { directory };
        fs::create_dir(small.path())?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=96m", "claviger-test"])
            .arg(small.path())
            .output();
        let refused = match mounted {
            Ok(said) if said.status.success() => None,
            Ok(said) => Some(String::from_utf8_lossy(&said.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = refused {
            skip::machine(&format!("no file system may be mounted here: {why}"));
            return Ok(None);
        }
        chown(small.path(), Some(NOBODY), Some(NOBODY))?;
        fs::set_permissions(small.path(), fs::Permissions::from_mode(0o700))?;
        Ok(Some(small))
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("small")
    }

    /// A database that lies there.
    async fn database(&self, postgres: &Postgres, name: &str) -> Result<String> {
        let client = postgres.connect("postgres").await?;
        for statement in [
            format!("CREATE TABLESPACE {name} LOCATION '{}'", self.path().display()),
            format!("CREATE DATABASE {name} TABLESPACE {name}"),
            format!("ALTER DATABASE {name} SET synchronous_commit = on"),
        ] {
            client.batch_execute(&statement).await?;
        }
        Ok(postgres.url(name))
    }

    /// Fills it to the last byte.
    fn fill(&self) -> Result<Ballast> {
        let path = self.path().join("ballast");
        let mut file = fs::File::create(&path)?;
        let piece = [0_u8; 64 << 10];
        loop {
            match file.write(&piece) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Ballast(path))
    }
}

/// What fills it, until it is dropped.
struct Ballast(PathBuf);

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_hand_nothing_is_begun_that_cannot_be_written_down() -> Result<()> {
    let postgres = require_lab!(Postgres::start().await, Ok(()));
    let Some(small) = Small::mount()? else { return Ok(()) };
    let house = House::new(6, &small.database(&postgres, "full_hand").await?, REST)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let begun = Instant::now();
    ensure!(house.run(&["db", "status"])?.code == 0, "db status");
    let allowed = TOLD + begun.elapsed() * 3;
    let rotate = ["rotate", "sim/db/role/app_*", "--yes"];
    let (mut refused, mut halfway, mut turn) = (0, 0, 0);
    while refused < 2 {
        turn += 1;
        ensure!(turn < 40, "{refused} were refused at once, {halfway} in the middle");
        // What is left of pages that are there takes a row or two: then nothing more fits.
        let ballast = small.fill()?;
        let (before, begun) = (house.effects()?.len(), Instant::now());
        let said = house.run(&rotate)?;
        let (changed, took) = (house.effects()?.len() - before, begun.elapsed());
        ensure!(said.code != 0, "done, on a full disk");
        println!("turn {turn}: exit {} after {} ms, {changed} changes", said.code, took.as_millis());
        if changed == 0 {
            ensure!(
                said.code == 1 && said.stderr.contains("error[CLV0101]"),
                "exit {}: {}",
                said.code,
                said.stderr
            );
            ensure!(took < allowed, "told after {took:?}, allowed are {allowed:?}");
            refused += 1;
        } else {
            halfway += 1;
        }
        house.told()?;
        if refused < 2 {
            continue;
        }
        drop(ballast);
        let resumed = house.json(&["resume"])?;
        let resumed = resumed["rotations"].as_array().context("rotations")?;
        ensure!(resumed.iter().all(|rotation| rotation["state"] == "done"), "{resumed:#?}");
    }
    let rotated = house.run(&rotate)?;
    ensure!(rotated.code == 0, "exit {}: {}", rotated.code, rotated.stderr);
    house.told()?;
    house.agrees()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_outlives_a_full_disk() -> Result<()> {
    let postgres = require_lab!(Postgres::start().await, Ok(()));
    let Some(small) = Small::mount()? else { return Ok(()) };
    let url = small.database(&postgres, "full_service").await?;
    let house = House::new(24, &url, "[service]\nat_once = 3\n")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let asked = Instant::now();
    ensure!(house.run(&["db", "status"])?.code == 0, "db status");
    // What a machine that does much else takes for a little.
    let allowed = TOLD + Duration::from_secs(1) + asked.elapsed() * 3;
    let service = house.serve("scheduler,worker")?;
    service.until_ready(true, PATIENCE).await?;
    // In the middle of its work.
    house.until_done(3).await?;
    let ballast = small.fill()?;
    let begun = Instant::now();
    let body = service.until_ready(false, Duration::from_secs(30)).await?;
    let known = begun.elapsed();
    ensure!(known < allowed, "known after {known:?} only, allowed are {allowed:?}");
    ensure!(body.contains("audit log"), "{body}");
    // A call whose intent was written before may still come to its end; then nothing does.
    tokio::time::sleep(TOLD).await;
    let before = house.effects()?.len();
    tokio::time::sleep(TOLD).await;
    let after = house.effects()?.len();
    ensure!(before == after, "{} changes on a full disk", after - before);
    ensure!(service.get("/healthz").await?.0 == 200, "it is to be restarted, which mends nothing");
    drop(ballast);
    service.until_ready(true, Duration::from_secs(60)).await?;
    house.until_done(24).await?;
    house.told()?;
    println!(
        "known after {} ms; {after} changes until then, {} in the end",
        known.as_millis(),
        house.effects()?.len()
    );
    let (code, took) = service.stop()?;
    ensure!(code == 0 && took < PATIENCE, "exit {code} after {took:?}");
    house.in_step()
}
