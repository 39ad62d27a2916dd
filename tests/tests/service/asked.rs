//! Somebody asks by hand for what is scheduled.

use anyhow::{Result, ensure};

use crate::house::House;

const ROLE: &str = "sim/db/role/app_000";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_rotated_although_it_is_not_due() -> Result<()> {
    let house = House::new(2, "sqlite://claviger.db", "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("scheduler,worker")?;
    house.until_done(2).await?;
    let asked = house.json(&["schedule", "run", ROLE, "--reason", "the vendor asks for it"])?;
    ensure!(asked["starts"] == serde_json::json!([ROLE]), "{asked:#}");
    house.until_done(3).await?;
    let rotations = house.items(&["list", "rotations"])?;
    ensure!(rotations.iter().filter(|one| one["ref"] == ROLE).count() == 2, "{rotations:#?}");
    // A pause holds it all the same, and what is not there is told.
    house.json(&["schedule", "pause", ROLE, "--reason", "release"])?;
    let paused = house.run(&["schedule", "run", ROLE, "--reason", "again"])?;
    ensure!(paused.code == 4 && paused.stderr.contains("error[CLV0705]"), "{}", paused.stderr);
    let nobody = house.run(&["schedule", "run", "sim/db/role/nobody", "--reason", "x"])?;
    ensure!(nobody.code == 1 && nobody.stderr.contains("error[CLV0300]"), "{}", nobody.stderr);
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the chain");
    let (code, _) = service.stop()?;
    ensure!(code == 0, "exit {code}");
    Ok(())
}
