//! The course of an incident: opened, worked on, proven, closed, reported.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{Place, text};

const TOKEN: &str = "sim/k8s/legacy/Secret/default-token-x7k2p";

fn open(place: &Place, more: &[&str]) -> Result<Value> {
    let arguments = [&["incident", "open", "--title", "token in a gist <b>"], more].concat();
    Ok(place.json(&arguments)?["incident"].clone())
}

#[test]
fn an_incident_goes_from_exposed_to_proven_and_is_reported() -> Result<()> {
    let place = Place::new()?;
    let opened = open(&place, &["--exposed-at", "2026-01-01T00:00:00Z", "--credential", TOKEN])?;
    let id = text(&opened["id"])?;
    ensure!(opened["state"] == "open" && opened["open_items"] == 1, "{opened:#}");
    ensure!(opened["durations"]["time_to_revoke"].is_null(), "it is not over: {opened:#}");
    let tasks = opened["runbook"]["tenant_remediation"].to_string();
    ensure!(tasks.contains(&format!("--incident {id}")), "{tasks}");
    let asks = opened["runbook"]["platform_escalation"].to_string();
    ensure!(
        asks.contains("audit log") && asks.contains("EKS") && !asks.contains("claviger revoke"),
        "{asks}"
    );
    // Not over yet.
    let refused = place.run(&["incident", "close", &id[..13], "--note", "over"])?.refused(4, "CLV0421")?;
    ensure!(refused.stderr.contains(TOKEN), "{}", refused.stderr);
    place.run(&["incident", "close", &id, "--note", " "])?.refused(2, "CLV0423")?;
    let revoke = ["revoke", TOKEN, "--reason", "leaked", "--incident", &id[..13], "--yes", "-o", "json"];
    let revoked = place.run(&revoke)?.expect(0)?.json()?;
    ensure!(revoked["receipts"][0]["verdict"] == "proven", "{revoked:#}");
    ensure!(place.json(&["list", "revocations"])?["items"][0]["cause"] == "incident", "its cause");
    let status = place.json(&["incident", "status", &id])?["incident"].clone();
    ensure!(status["open_items"] == 0 && status["items"][0]["verdict"] == "proven", "{status:#}");
    ensure!(status["items"][0]["receipt"] == revoked["receipts"][0]["audit_seq"], "{status:#}");
    let moments: Vec<_> = status["timeline"]
        .as_array()
        .context("timeline")?
        .iter()
        .map(|moment| text(&moment["what"]))
        .collect::<Result<_>>()?;
    ensure!(moments == ["exposed", "known", "concerned", "decided", "revoked", "proven"], "{moments:?}");
    ensure!(
        status["durations"]["time_to_revoke"].as_i64().is_some_and(|seconds| (0..600).contains(&seconds)),
        "{status:#}"
    );
    ensure!(status["durations"]["exposure"].as_i64().is_some_and(|seconds| seconds > 86_400), "{status:#}");
    // The reports say the same; hostile text stays text.
    let html = place.dir.join("incident.html").display().to_string();
    place.run(&["report", "incident", "--format", "html", "--out", &html])?.expect(0)?;
    let page = fs::read_to_string(&html)?;
    ensure!(page.contains("token in a gist &lt;b&gt;") && page.contains(TOKEN), "the page");
    let json = place.dir.join("incident.json").display().to_string();
    place.run(&["report", "incident", "--id", &id, "--format", "json", "--out", &json])?.expect(0)?;
    let report: Value = serde_json::from_str(&fs::read_to_string(&json)?)?;
    ensure!(
        report["schema"] == "claviger.incident/v1" && report["incident"]["open_items"] == 0,
        "{report:#}"
    );
    place.run(&["report", "incident", "--format", "csv", "--out", "-"])?.refused(2, "CLV0034")?;
    // Closed once, and for good.
    let closed =
        place.json(&["incident", "close", &id, "--note", "the gist was deleted; found by a search"])?;
    ensure!(closed["incident"]["state"] == "closed", "{closed:#}");
    place.run(&["incident", "close", &id, "--note", "again"])?.refused(4, "CLV0422")?;
    place
        .run(&[
            "revoke",
            "sim/k8s/shop/Secret/prometheus-token",
            "--reason",
            "x",
            "--incident",
            &id,
            "--yes",
        ])?
        .refused(4, "CLV0422")?;
    let all = place.json(&["incident", "status"])?;
    ensure!(all["schema"] == "claviger.incidents/v1" && all["items"][0]["state"] == "closed", "{all:#}");
    ensure!(place.json(&["audit", "verify"])?["valid"] == true);
    Ok(())
}

#[test]
fn what_is_open_is_closed_only_with_a_reason() -> Result<()> {
    let place = Place::new()?;
    let id = text(&open(&place, &["--credential", "sim/db/role/analytics"])?["id"])?;
    place.run(&["incident", "close", &id, "--note", "n"])?.refused(4, "CLV0421")?;
    let closed = place.json(&[
        "incident",
        "close",
        &id,
        "--note",
        "n",
        "--unresolved",
        "its vendor cannot rotate it",
    ])?;
    let notes = closed["incident"]["notes"].to_string();
    ensure!(closed["incident"]["state"] == "closed" && closed["incident"]["open_items"] == 1, "{closed:#}");
    ensure!(
        notes.contains("its vendor cannot rotate it") && notes.contains("sim/db/role/analytics"),
        "{notes}"
    );
    place.run(&["incident", "status", "ffffffff"])?.refused(1, "CLV0420")?;
    place
        .run(&["incident", "open", "--title", "t", "--exposed-at", "2999-01-01T00:00:00Z"])?
        .refused(2, "CLV0423")?;
    place.run(&["incident", "open", "--title", "t", "--credential", "sim/nobody"])?.refused(1, "CLV0300")?;
    Ok(())
}

#[test]
fn a_rotation_ends_what_leaked_too() -> Result<()> {
    let place = Place::new()?;
    let id = text(&open(&place, &["--credential", "sim/db/role/payments_app"])?["id"])?;
    ensure!(
        place.json(&["incident", "status", &id])?["incident"]["open_items"] == 1,
        "what was changed before it leaked ended nothing"
    );
    place.run(&["rotate", "sim/db/role/payments_app", "--yes"])?.expect(0)?;
    let status = place.json(&["incident", "status", &id])?["incident"].clone();
    ensure!(status["open_items"] == 0 && status["items"][0]["verdict"] == "proven", "{status:#}");
    Ok(())
}

#[test]
fn a_fresh_incident_lets_a_plan_through_and_says_so_first() -> Result<()> {
    let place = Place::new()?;
    place.policy("[policies.tokens]\nmatch = \"kind=service-account-token\"\napprovals = 2\n")?;
    let id = text(&open(&place, &[])?["id"])?;
    let revoke = |incident: &str| {
        place.run(&["revoke", TOKEN, "--reason", "3 a.m.", "--incident", incident, "--yes", "-o", "json"])
    };
    place.run(&["revoke", TOKEN, "--reason", "no incident", "--yes"])?.refused(4, "CLV0410")?;
    let done = revoke(&id)?.expect(0)?.json()?;
    ensure!(done["receipts"][0]["verdict"] == "proven", "{done:#}");
    let status = place.json(&["incident", "status", &id])?["incident"].clone();
    ensure!(status["break_glass_used"] == true && status["items"][0]["ref"] == TOKEN, "{status:#}");
    // It was noted before anything was begun.
    let log = place.run(&["audit", "export"])?.expect(0)?.stdout;
    let glass = log.find("\"kind\":\"break-glass\"").context("a break-glass entry")?;
    let planned = log.rfind("\"kind\":\"saga-planned\"").context("the revocation")?;
    let decided = log
        .find("\"verb\":\"revoke\",\"plan\"")
        .or_else(|| log.find("\"kind\":\"decided\""))
        .context("the decision")?;
    ensure!(glass < planned && decided < planned, "{glass} {decided} {planned}");
    ensure!(log[glass..planned].contains(&text(&done["plan"]["hash"])?), "it names the plan");
    // It ends, and then it is as without.
    place.configure("[incident]\nbreak_glass = \"0h\"")?;
    let other = "sim/k8s/shop/Secret/prometheus-token";
    place.run(&["revoke", other, "--reason", "x", "--incident", &id, "--yes"])?.refused(4, "CLV0412")?;
    let closed = place.json(&["incident", "close", &id, "--note", "nobody else was awake"])?;
    ensure!(closed["incident"]["break_glass_until"].is_null(), "{closed:#}");
    Ok(())
}
