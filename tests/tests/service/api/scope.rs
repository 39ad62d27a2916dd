//! Who may see a part sees that part, and of the rest not that it is there.

use anyhow::{Context as _, Result, ensure};
use claviger_backend_simulated::EstateFile;
use serde_json::json;

use super::Asker;
use crate::house::{House, PATIENCE, planted};

/// Two estates, the second of which has a label.
const OTHER: &str = "[backends.other]\nkind = \"simulated\"\npath = \"other.json\"\nlabels = { team = \"pay\" }\n\
    [policies.others]\nmatch = \"kind=password backend=other\"\nmax_age = \"30d\"\n";

fn house() -> Result<House> {
    let house = House::new(3, "sqlite://claviger.db", OTHER)?;
    EstateFile::new(house.path().join("other.json")).create(&planted(2, 23)?)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    Ok(house)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_what_the_scope_covers_and_nothing_else_is_there() -> Result<()> {
    let house = house()?;
    for at in ["sim/db/role/app_000", "other/db/role/app_000"] {
        ensure!(house.run(&["rotate", at, "--yes"])?.code == 0, "rotate {at}");
    }
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let all = Asker::with(&house, &service, "all", &["--role", "viewer"])?;
    let by_backend = Asker::with(&house, &service, "part", &["--role", "viewer", "--backend", "oth*"])?;
    let by_label = Asker::with(&house, &service, "team", &["--role", "viewer", "--label", "team=pay"])?;
    let none = Asker::with(&house, &service, "none", &["--role", "viewer", "--backend", "nothing"])?;
    let mut compared = 0;
    for thing in ["credentials", "identities", "copies", "findings", "rotations", "schedules", "revocations"]
    {
        let path = format!("/api/v1/{thing}");
        let everything = all.items(&path, 500).await?;
        let of = |item: &serde_json::Value| {
            let at = item["ref"].as_str().or(item["subject"].as_str()).unwrap_or_default();
            at.starts_with("other/")
        };
        let expected: Vec<_> = everything.iter().filter(|item| of(item)).cloned().collect();
        if thing != "revocations" {
            ensure!(!expected.is_empty() && expected.len() < everything.len(), "{thing} shows nothing");
        }
        ensure!(by_backend.items(&path, 500).await? == expected, "{thing} by backend");
        if !matches!(thing, "identities" | "findings") {
            // An identity has the labels of its backend too; a finding is judged by what it is about.
            ensure!(by_label.items(&path, 500).await? == expected, "{thing} by label");
        }
        ensure!(none.items(&path, 500).await?.is_empty(), "{thing} of nothing");
        compared += 1;
    }
    println!("{compared} lists compared");
    for scoped in [&by_backend, &by_label] {
        for path in ["credentials/sim%2Fdb%2Frole%2Fapp_000", "credentials/sim%2Fdb%2Frole%2Fapp_000/policy"]
        {
            let (hidden, absent) = (
                scoped.get(&format!("/api/v1/{path}")).await?,
                scoped.get(&format!("/api/v1/{}", path.replace("sim", "zim"))).await?,
            );
            hidden.must_be(404, "CLV0300")?;
            ensure!(
                hidden.text == absent.text.replace("zim", "sim"),
                "{hidden:?} tells more than {absent:?}"
            );
        }
        let own = scoped.get("/api/v1/credentials/other%2Fdb%2Frole%2Fapp_000").await?;
        ensure!(own.status == 200, "its own is not shown");
        let chain = &own.body["chain"];
        ensure!(chain["ref"] == "other/db/role/app_000", "{chain:#}");
        ensure!(!own.text.contains("sim/") && !chain.to_string().contains("no backend reads"), "{chain:#}");
        let rotations = all.items("/api/v1/rotations", 500).await?;
        for rotation in rotations {
            let id = rotation["rotation_id"].as_str().context("an id")?;
            let is_own = rotation["ref"].as_str().is_some_and(|at| at.starts_with("other/"));
            for path in [format!("/api/v1/rotations/{id}"), format!("/api/v1/rotations/{id}/events")] {
                let answer = scoped.get(&path).await?;
                ensure!(answer.status == if is_own { 200 } else { 404 }, "{path}: {answer:?}");
            }
        }
    }
    let pauses = by_backend.get("/api/v1/firings").await?.body;
    ensure!(pauses.get("pauses").is_none() && !pauses["items"].to_string().contains("sim/"), "{pauses:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_beyond_the_scope_can_be_neither_planned_nor_changed() -> Result<()> {
    let house = house()?;
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let part = Asker::with(&house, &service, "part", &["--role", "operator", "--backend", "other"])?;
    let admin = Asker::with(&house, &service, "root", &["--role", "admin"])?;
    let rotate = |selector: &str| json!({ "rotate": { "selector": selector } });
    part.post("/api/v1/plans", &rotate("sim/db/role/app_000")).await?.must_be(404, "CLV0300")?;
    let planned = part.post("/api/v1/plans", &rotate("kind=password")).await?;
    ensure!(planned.status == 200, "{planned:?}");
    ensure!(!planned.text.contains("sim/") && planned.text.contains("other/"), "{}", planned.text);
    // Somebody else's hash opens nothing.
    let foreign = admin.post("/api/v1/plans", &rotate("sim/db/role/app_000")).await?.body;
    let body = json!({ "plan": foreign["hash"], "how": { "selector": "sim/db/role/app_000" } });
    part.post("/api/v1/rotations", &body).await?.must_be(404, "CLV0300")?;
    part.post("/api/v1/scans", &json!({})).await?.must_be(403, "CLV0621")?;
    part.post("/api/v1/scans", &json!({ "backends": ["sim"] })).await?.must_be(403, "CLV0621")?;
    part.post("/api/v1/pauses", &json!({ "selector": "*", "reason": "x" })).await?.must_be(403, "CLV0621")?;
    part.post("/api/v1/pauses", &json!({ "selector": "kind=password", "reason": "x" }))
        .await?
        .must_be(403, "CLV0621")?;
    let own = json!({ "selector": "other/db/role/app_001", "reason": "x" });
    let paused = part.post("/api/v1/pauses", &own).await?;
    ensure!(paused.status == 201, "{paused:?}");
    let whole = admin.post("/api/v1/pauses", &json!({ "selector": "*", "reason": "a freeze" })).await?.body;
    let id = whole["id"].as_str().context("an id")?;
    let ended = part.post(&format!("/api/v1/pauses/{id}/end"), &json!({})).await?;
    ended.must_be(404, "CLV0430")?;
    let revoke = json!({ "revoke": { "selector": "other/db/role/app_000" } });
    part.post("/api/v1/plans", &revoke).await?.must_be(403, "CLV0621")?;
    ensure!(house.items(&["list", "rotations"])?.is_empty(), "something was rotated");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tells_of_everything_is_told_to_nobody_who_sees_a_part() -> Result<()> {
    let house = house()?;
    ensure!(house.run(&["rotate", "sim/db/role/app_000", "--yes"])?.code == 0, "rotate");
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let as_role = |name: &str, role: &str, part: bool| {
        let scope: &[&str] = if part { &["--backend", "other"] } else { &[] };
        Asker::with(&house, &service, name, &[&["--role", role], scope].concat())
    };
    let trace = json!({ "values": [{ "value": "whatever-it-is" }] });
    let verify = json!({ "what": "copies" });
    let resolve = json!({ "decision": "retry", "reason": "x" });
    for (role, part) in
        [("responder", true), ("operator", true), ("operator", false), ("auditor", false), ("viewer", false)]
    {
        let asker = as_role(&format!("{role}-{part}"), role, part)?;
        asker.post("/api/v1/traces", &trace).await?.must_be(403, "CLV0621")?;
        asker.post("/api/v1/resumptions", &json!({})).await?.must_be(403, "CLV0621")?;
        if part {
            asker.post("/api/v1/verifications", &verify).await?.must_be(403, "CLV0621")?;
            for kind in ["inventory", "findings", "incident"] {
                asker.get(&format!("/api/v1/reports/{kind}")).await?.must_be(403, "CLV0621")?;
            }
        }
        if role != "auditor" {
            asker.get("/api/v1/notifications").await?.must_be(403, "CLV0621")?;
        }
    }
    let part = as_role("auditor-part", "auditor", true)?;
    part.get("/api/v1/notifications").await?.must_be(403, "CLV0621")?;
    // Somebody else's rotation is not there.
    let foreign =
        house.items(&["list", "rotations"])?[0]["rotation_id"].as_str().context("an id")?.to_owned();
    let part = as_role("ops-part", "operator", true)?;
    let path = format!("/api/v1/rotations/{foreign}/resolve");
    part.post(&path, &resolve).await?.must_be(404, "CLV0622")?;
    part.post(&format!("/api/v1/rotations/{foreign}/resume?wait=true"), &json!({}))
        .await?
        .must_be(404, "CLV0622")?;
    // And who sees all of it is told.
    let viewer = as_role("viewer-whole", "viewer", false)?;
    let report = viewer.get("/api/v1/reports/inventory?format=csv").await?;
    ensure!(
        report.status == 200 && report.headers["content-type"] == "text/csv; charset=utf-8",
        "{report:?}"
    );
    ensure!(report.text.contains("sim/") && report.text.contains("other/"), "{}", report.text);
    let page = viewer.get("/api/v1/reports/findings").await?;
    ensure!(page.headers["content-type"] == "text/html; charset=utf-8", "{page:?}");
    viewer.get("/api/v1/reports/incident?format=csv").await?.must_be(400, "CLV0034")?;
    viewer.get("/api/v1/reports/nothing").await?.must_be(404, "CLV0622")?;
    let responder = as_role("responder-whole", "responder", false)?;
    let traced = responder.post("/api/v1/traces", &trace).await?;
    ensure!(traced.status == 200 && traced.body["unmatched"] == 1, "{traced:?}");
    ensure!(
        as_role("auditor-whole", "auditor", false)?.get("/api/v1/notifications").await?.status == 200,
        "notifications"
    );
    Ok(())
}
