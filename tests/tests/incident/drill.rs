//! Drills: a decoy goes the whole way, and nothing of it is left.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::Place;

fn decoys(estate: &Value) -> Vec<&String> {
    let roles = estate["database"]["roles"].as_object();
    roles.into_iter().flat_map(|all| all.keys()).filter(|name| name.starts_with("claviger_drill_")).collect()
}

#[test]
fn a_decoy_is_planted_found_revoked_and_taken_away() -> Result<()> {
    let place = Place::new()?;
    // A crash of an earlier drill has left one.
    let mut estate = place.estate()?;
    let other = estate["database"]["roles"]["payments_app"].clone();
    estate["database"]["roles"]["claviger_drill_left"] = other;
    fs::write(place.dir.join("estate.json"), serde_json::to_string(&estate)?)?;

    place.run(&["drill"])?.refused(2, "CLV0024")?;
    let drill = place.json(&["drill", "--yes"])?;
    ensure!(drill["schema"] == "claviger.drill/v1" && drill["passed"] == true, "{drill:#}");
    ensure!(drill["leftovers"] == 1 && drill["reason"].is_null(), "{drill:#}");
    for time in ["planted_at", "known_at", "revoked_at", "refused_at", "cleared_at"] {
        ensure!(drill[time].is_string(), "{time}: {drill:#}");
    }
    for figure in ["time_to_revoke_ms", "time_to_proof_ms"] {
        ensure!(drill[figure].as_i64().is_some_and(|it| (0..60_000).contains(&it)), "{figure}: {drill:#}");
    }
    let after = place.estate()?;
    ensure!(decoys(&after).is_empty(), "{:?}", decoys(&after));
    ensure!(after["database"]["roles"]["payments_app"].is_object(), "another role was taken away");
    let listed = place.json(&["list", "drills"])?;
    ensure!(listed["schema"] == "claviger.drills/v1", "{listed:#}");
    ensure!(listed["items"].as_array().context("items")?.len() == 1, "{listed:#}");
    ensure!(listed["items"][0]["drill_id"] == drill["drill_id"], "{listed:#}");
    let credentials = place.run(&["list", "credentials", "-o", "json"])?.expect(0)?.stdout;
    ensure!(!credentials.contains("claviger_drill_"), "the decoy is still in the inventory");
    let log = place.run(&["audit", "export"])?.expect(0)?.stdout;
    ensure!(log.matches("\"kind\":\"drill\"").count() == 2, "its beginning and its end are not noted");
    ensure!(place.json(&["audit", "verify"])?["valid"] == true);
    Ok(())
}

/// A drill that fails has told something: it is kept with why, and still nothing is left.
#[test]
fn a_drill_that_fails_is_kept_and_leaves_nothing() -> Result<()> {
    let place = Place::new()?;
    place.policy("[policies.nothing]\nmatch = \"sim/db/role/claviger_drill_*\"\nretain = true\n")?;
    let drill = place.run(&["drill", "sim", "--yes", "-o", "json"])?.expect(1)?.json()?;
    ensure!(drill["passed"] == false && drill["refused_at"].is_null(), "{drill:#}");
    ensure!(drill["reason"].to_string().contains("retain"), "{drill:#}");
    ensure!(decoys(&place.estate()?).is_empty() && drill["cleared_at"].is_string(), "{drill:#}");
    ensure!(place.json(&["list", "drills"])?["items"][0]["passed"] == false);
    place.run(&["drill", "nowhere", "--yes"])?.expect(2)?;
    Ok(())
}
