//! Nobody approves what they have planned.

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use claviger_core::{
    approval::Approval,
    clock::{Clock as _, SystemClock},
    random::OsRandom,
    saga::PlanHash,
    signing::PrivateKey,
};
use serde_json::{Value, json};

use super::Asker;
use crate::house::{House, PATIENCE};

fn signed(plan: &str, name: &str, key: &PrivateKey) -> Value {
    let now = SystemClock.now();
    let approval =
        Approval::sign(PlanHash(plan.to_owned()), name.to_owned(), now, now + TimeDelta::hours(1), key);
    json!({ "approval": approval })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_wants_approval_waits_for_somebody_else() -> Result<()> {
    let (dana, eve) = (PrivateKey::generate(&OsRandom), PrivateKey::generate(&OsRandom));
    let rest = format!(
        "approvals = 1\n[[approvers]]\nname = \"dana\"\npublic_key = \"{}\"\n[[approvers]]\nname = \"eve\"\npublic_key = \"{}\"\n",
        dana.public(),
        eve.public()
    );
    let house = House::new(2, "sqlite://claviger.db", &rest)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let planner = Asker::with(&house, &service, "dana", &["--role", "operator"])?;
    let approver = Asker::with(&house, &service, "eve-approves", &["--role", "approver"])?;
    let elsewhere = Asker::with(&house, &service, "far", &["--role", "approver", "--backend", "other"])?;
    let viewer = Asker::with(&house, &service, "view", &["--role", "viewer"])?;
    let how = json!({ "selector": "sim/db/role/app_000" });
    let planned = planner.post("/api/v1/plans", &json!({ "rotate": how })).await?;
    ensure!(planned.status == 200 && planned.body["approvals"]["approvals"] == 1, "{planned:?}");
    let hash = planned.body["hash"].as_str().context("a hash")?.to_owned();
    let body = json!({ "plan": hash, "how": how });
    planner.post("/api/v1/rotations", &body).await?.must_be(403, "CLV0410")?;

    let place = format!("/api/v1/plans/{hash}");
    let approve = format!("{place}/approvals");
    let shown = approver.get(&place).await?;
    ensure!(shown.status == 200 && shown.body["planned_by"] == "dana@token", "{shown:?}");
    elsewhere.get(&place).await?.must_be(404, "CLV0622")?;
    elsewhere.post(&approve, &signed(&hash, "eve", &eve)).await?.must_be(404, "CLV0622")?;
    viewer.get(&place).await?.must_be(403, "CLV0621")?;
    viewer.post(&approve, &signed(&hash, "eve", &eve)).await?.must_be(403, "CLV0621")?;
    // An operator is no approver, whosever key signs.
    planner.post(&approve, &signed(&hash, "eve", &eve)).await?.must_be(403, "CLV0621")?;
    // Whose name it bears has planned it; whose key it is not; of another plan; changed.
    let mut longer = signed(&hash, "eve", &eve);
    longer["approval"]["expires"] = json!("2999-01-01T00:00:00Z");
    for (what, bad) in [
        ("own plan", signed(&hash, "dana", &dana)),
        ("other key", signed(&hash, "eve", &dana)),
        ("other plan", signed(&"0".repeat(64), "eve", &eve)),
        ("unknown", signed(&hash, "mallory", &PrivateKey::generate(&OsRandom))),
        ("changed", longer),
    ] {
        approver.post(&approve, &bad).await?.must_be(403, "CLV0411").context(what)?;
    }
    planner.post("/api/v1/rotations", &body).await?.must_be(403, "CLV0410")?;
    let given = approver.post(&approve, &signed(&hash, "eve", &eve)).await?;
    ensure!(given.status == 201 && given.body["given"] == json!(["eve"]), "{given:?}");
    let begun = planner.post("/api/v1/rotations", &body).await?;
    ensure!(begun.status == 202, "{begun:?}");
    planner.until(begun.headers["location"].to_str()?, "done").await?;
    let log = house.run(&["audit", "export"])?.stdout;
    let approved: Vec<_> = log.lines().filter(|line| line.contains("\"approved\"")).collect();
    ensure!(approved.len() == 1 && approved[0].contains("eve-approves@token"), "{approved:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_wants_a_key_takes_no_local_token_for_one() -> Result<()> {
    let eve = PrivateKey::generate(&OsRandom);
    let rest = format!(
        "approvals = 1\n[guards]\noperator_key = true\n[[approvers]]\nname = \"eve\"\npublic_key = \"{}\"\n",
        eve.public()
    );
    let house = House::new(1, "sqlite://claviger.db", &rest)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let planner = Asker::with(&house, &service, "ops", &["--role", "operator"])?;
    // A local token's value was seen by whoever made it: for this guard it shows nobody.
    let how = json!({ "selector": "sim/db/role/app_000" });
    let planned = planner.post("/api/v1/plans", &json!({ "rotate": how })).await?;
    ensure!(planned.status == 200, "{planned:?}");
    let body = json!({ "plan": planned.body["hash"], "how": how });
    planner.post("/api/v1/rotations", &body).await?.must_be(403, "CLV0414")?;
    let hash = planned.body["hash"].as_str().context("a hash")?;
    let kept = house.run(&["approve", hash, "--show"])?;
    ensure!(kept.code == 4, "a plan of nobody was kept: {}", kept.stdout);
    Ok(())
}
