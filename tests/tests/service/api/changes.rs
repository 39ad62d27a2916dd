//! What is planned is what is carried out, once, and everybody can watch.

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Answered, Asker};
use crate::house::{House, PATIENCE, Serving};

const SQLITE: &str = "sqlite://claviger.db";
const ROTATIONS: &str = "/api/v1/rotations";

async fn begin(roles: usize, rest: &str) -> Result<(House, Serving)> {
    let house = House::new(roles, SQLITE, rest)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    Ok((house, service))
}

async fn plan(asker: &Asker, selector: &str) -> Result<Value> {
    let planned = asker.post("/api/v1/plans", &json!({ "rotate": { "selector": selector } })).await?;
    ensure!(planned.status == 200, "{planned:?}");
    Ok(planned.body)
}

fn begun(answer: &Answered) -> Result<(String, String)> {
    ensure!(answer.status == 202 && answer.body["failed"] == json!([]), "{answer:?}");
    let id = answer.body["ids"][0]["rotation_id"].as_str().context("an id")?.to_owned();
    Ok((id, answer.headers["location"].to_str()?.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_planned_begun_watched_and_done() -> Result<()> {
    let (house, service) = begin(2, "").await?;
    let operator = Asker::with(&house, &service, "ops", &["--role", "operator"])?;
    let planned = plan(&operator, "sim/db/role/app_000").await?;
    let printed = house.json(&["rotate", "sim/db/role/app_000", "--dry-run"])?;
    ensure!(planned == printed, "{planned:#} is not {printed:#}");
    let how = json!({ "selector": "sim/db/role/app_000" });
    let other = json!({ "plan": "0".repeat(64), "how": how });
    operator.post(ROTATIONS, &other).await?.must_be(409, "CLV0625")?;
    let body = json!({ "plan": planned["hash"], "how": how, "reason": "a test" });
    let (id, place) = begun(&operator.post(ROTATIONS, &body).await?)?;
    ensure!(place == format!("{ROTATIONS}/{id}"), "{place}");
    let events = operator.get(&format!("{place}/events")).await?;
    ensure!(events.headers["content-type"] == "text/event-stream", "{events:?}");
    let names: Vec<_> = events.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    ensure!(names.contains(&"step") && names.last() == Some(&"end"), "{names:?}");
    let last = events.text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
    let whole: Value = serde_json::from_str(last.context("data")?)?;
    ensure!(whole["state"] == "done" && whole["schema"] == "claviger.rotation/v1", "{whole:#}");
    ensure!(operator.get(&place).await?.body == whole, "what is shown is not what was told at the end");
    // Done with it, another plan would be another rotation.
    let again = operator.post(ROTATIONS, &body).await?;
    ensure!(again.status == 409 || again.status == 403, "{again:?}");
    let log = house.run(&["audit", "export"])?.stdout;
    let of = log.lines().filter(|line| line.contains(&id)).collect::<Vec<_>>();
    ensure!(!of.is_empty() && of.iter().all(|line| line.contains("\"actor\":\"ops@token\"")), "{of:#?}");
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_key_is_carried_out_once() -> Result<()> {
    let (house, service) = begin(3, "").await?;
    let operator = Asker::with(&house, &service, "ops", &["--role", "operator"])?;
    let other = Asker::with(&house, &service, "other", &["--role", "operator"])?;
    let planned = plan(&operator, "sim/db/role/app_000").await?;
    let body = json!({ "plan": planned["hash"], "how": { "selector": "sim/db/role/app_000" } }).to_string();
    let key = [("idempotency-key", "one")];
    let send = |asker: &'static Asker, body: String| async move {
        asker.send(Method::POST, ROTATIONS, &key, Some(&body)).await
    };
    let operator: &'static Asker = Box::leak(Box::new(operator));
    let other: &'static Asker = Box::leak(Box::new(other));
    // Twelve at once: one is carried out.
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..12 {
        tasks.spawn(send(operator, body.clone()));
    }
    let (mut ids, mut waiting) = (Vec::new(), 0);
    while let Some(answer) = tasks.join_next().await {
        let answer = answer??;
        match answer.status {
            202 => ids.push(begun(&answer)?.0),
            _ => {
                answer.must_be(409, "CLV0627")?;
                waiting += 1;
            }
        }
    }
    ids.dedup();
    ensure!(ids.len() == 1, "{ids:?}");
    println!("of twelve at once {waiting} were told to wait, the others got the one answer");
    let repeated = send(operator, body.clone()).await?;
    ensure!(repeated.headers["idempotency-replayed"] == "true", "{repeated:?}");
    ensure!(begun(&repeated)? == (ids[0].clone(), format!("{ROTATIONS}/{}", ids[0])), "{repeated:?}");
    let longer = body.replace("app_000", "app_001");
    send(operator, longer).await?.must_be(422, "CLV0626")?;
    operator.until(&format!("{ROTATIONS}/{}", ids[0]), "done").await?;
    // Another one's key is another key.
    let theirs = send(other, body.clone()).await?;
    ensure!(
        theirs.status != 202 || begun(&theirs)?.0 != ids[0],
        "somebody else's answer was given: {theirs:?}"
    );
    let of_it = house.items(&["list", "rotations", "sim/db/role/app_000"])?;
    let mine = of_it.iter().filter(|one| one["rotation_id"] == ids[0].as_str()).count();
    ensure!(mine == 1, "{of_it:#?}");
    let log = house.run(&["audit", "export"])?.stdout;
    let by_us = log.lines().filter(|line| line.contains("\"saga-planned\"") && line.contains("ops@token"));
    ensure!(by_us.count() == 1, "it was begun more than once");
    for bad in ["", &"k".repeat(256)] {
        let answer = operator.send(Method::POST, ROTATIONS, &[("idempotency-key", bad)], Some(&body)).await?;
        answer.must_be(400, "CLV0623")?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_with_receipts_and_an_incident_tells_of_it() -> Result<()> {
    let (house, service) = begin(2, "").await?;
    let responder = Asker::with(&house, &service, "night", &["--role", "responder"])?;
    let opened = responder
        .post("/api/v1/incidents", &json!({ "title": "leaked", "credentials": ["sim/db/role/app_001"] }))
        .await?;
    ensure!(opened.status == 201, "{opened:?}");
    let incident = opened.body["incident"]["id"].as_str().context("an id")?.to_owned();
    ensure!(opened.headers["location"] == format!("/api/v1/incidents/{incident}").as_str(), "{opened:?}");
    let how = json!({ "selector": "sim/db/role/app_001", "incident": incident });
    let planned = responder.post("/api/v1/plans", &json!({ "revoke": how })).await?;
    ensure!(planned.status == 200 && planned.body["schema"] == "claviger.revoke-plan/v1", "{planned:?}");
    let body = json!({ "plan": planned.body["hash"], "how": how, "reason": "it leaked" });
    let (id, place) = begun(&responder.post("/api/v1/revocations", &body).await?)?;
    ensure!(place == format!("/api/v1/revocations/{id}"), "{place}");
    let whole = responder.until(&place, "done").await?;
    ensure!(whole["receipts"][0]["verdict"] == "proven", "{whole:#}");
    let shown = responder.get(&format!("/api/v1/incidents/{incident}")).await?.body;
    ensure!(shown["incident"]["open_items"] == 0, "{shown:#}");
    let close = format!("/api/v1/incidents/{incident}/close");
    let closed = responder.post(&close, &json!({ "note": "rotated by hand" })).await?;
    ensure!(closed.status == 200 && closed.body["incident"]["state"] == "closed", "{closed:?}");
    responder.post(&close, &json!({ "note": "again" })).await?.must_be(403, "CLV0422")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_and_drills_go_on_after_their_answer_and_a_stop_leaves_a_boundary() -> Result<()> {
    let (house, service) = begin(12, "").await?;
    let admin = Asker::with(&house, &service, "root", &["--role", "admin"])?;
    let before = admin.get("/api/v1/scans/newest").await?.body;
    let scan = admin.post("/api/v1/scans", &json!({ "backends": ["sim"] })).await?;
    ensure!(scan.status == 202 && scan.headers["location"] == "/api/v1/scans/newest", "{scan:?}");
    let begun_at = std::time::Instant::now();
    loop {
        let now = admin.get("/api/v1/scans/newest").await?.body;
        if now["scan_id"] != before["scan_id"] && now["complete"] == true {
            break;
        }
        ensure!(begun_at.elapsed() < PATIENCE, "no scan: {now:#}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    admin.post("/api/v1/scans", &json!({ "backends": ["nowhere"] })).await?.must_be(404, "CLV0622")?;
    let planned = plan(&admin, "kind=password").await?;
    let body = json!({ "plan": planned["hash"], "how": { "selector": "kind=password" } });
    let answer = admin.post(ROTATIONS, &body).await?;
    ensure!(answer.status == 202 && answer.headers["location"] == ROTATIONS, "{answer:?}");
    ensure!(answer.body["ids"].as_array().is_some_and(|ids| ids.len() == 12), "{answer:?}");
    let (code, _) = service.stop()?;
    ensure!(code == 0, "exit {code}");
    let resumed = house.run(&["resume"])?;
    ensure!(resumed.code == 0, "{}", resumed.stderr);
    ensure!(house.done()? == 12, "not all are done");
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the log");
    Ok(())
}
