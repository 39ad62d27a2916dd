//! The service reads copies and logs in with them at intervals.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use claviger_backend_simulated::{EstateFile, estate::Password};

use crate::house::House;

const SUBJECT: &str = "sim/db/role/app_001";
/// An interval of a minute, and what a busy machine needs besides.
const INTERVAL: Duration = Duration::from_secs(150);

fn findings(house: &House) -> Result<Vec<String>> {
    let all = house.items(&["list", "findings"])?;
    let ours = all.iter().filter(|one| one["slug"] == "verify-refused");
    ours.map(|one| Ok(one["subject"].as_str().context("a subject")?.to_owned())).collect()
}

async fn until(house: &House, wanted: &[&str]) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        let found = findings(house)?;
        if found == wanted {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < INTERVAL, "{found:?} instead of {wanted:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_changed_past_us_is_found_within_an_interval() -> Result<()> {
    let house =
        House::new(3, "sqlite://claviger.db", "[verify]\nevery = \"1m\"\n[budgets.sim]\nper_minute = 60\n")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    // Nothing is to be rotated meanwhile.
    house.json(&["schedule", "pause", "--all", "--reason", "only verify"])?;
    let file = EstateFile::new(house.path().join("estate.json"));
    let service = house.serve("scheduler")?;
    let change = |password: Option<Password>| -> Result<Option<Password>> {
        let mut estate = file.load()?;
        let role = estate.database.roles.get_mut("app_001").context("the role")?;
        let before = std::mem::replace(&mut role.password, password);
        role.rotated_at += TimeDelta::seconds(1);
        file.create(&estate)?;
        Ok(before)
    };
    let right = change(Some(Password::scram(b"changed-past-us", &[9; 16])))?;
    let found = until(&house, &[SUBJECT]).await?;
    let metrics = service.get("/metrics").await?.1;
    ensure!(metrics.contains("claviger_credentials_broken 1"), "{metrics}");
    ensure!(metrics.contains("claviger_copies{login=\"refused\"} 1"), "{metrics}");
    ensure!(service.said()?.contains("copies no longer log in"), "{}", service.said()?);
    change(right)?;
    let mended = until(&house, &[]).await?;
    ensure!(service.get("/metrics").await?.1.contains("claviger_credentials_broken 0"), "mended");
    println!("found after {found:?}, mended after {mended:?}");
    let (code, _) = service.stop()?;
    ensure!(code == 0, "exit {code}");
    Ok(())
}
