//! `--server`: the same output and the same exit codes as at the database.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use claviger_backend_simulated::EstateFile;
use claviger_core::{random::OsRandom, signing::PrivateKey};
use claviger_tests::binary;
use serde_json::Value;

use super::Asker;
use crate::house::{House, PATIENCE, Said, Serving};

const SQLITE: &str = "sqlite://claviger.db";

/// A machine that has a token, and neither configuration nor database nor keys.
pub(super) struct Desk<'a> {
    pub(super) directory: tempfile::TempDir,
    service: &'a Serving,
    token: String,
}

impl<'a> Desk<'a> {
    pub(super) fn new(house: &House, service: &'a Serving, name: &str, rest: &[&str]) -> Result<Self> {
        let made = house.json(&[&["token", "create", name], rest].concat())?;
        let token = made["token"].as_str().context("a token")?.to_owned();
        Ok(Self { directory: tempfile::tempdir()?, service, token })
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Result<Said> {
        let output = binary::command(self.directory.path())?
            .env("CLAVIGER_TOKEN", &self.token)
            .args(["--server", &self.service.address])
            .args(arguments)
            .stdin(Stdio::null())
            .output()?;
        Ok(Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    pub(super) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let said = self.run(&[arguments, &["-o", "json"]].concat())?;
        ensure!(said.code == 0, "{arguments:?}: exit {}\n{}\n{}", said.code, said.stdout, said.stderr);
        Ok(serde_json::from_str(&said.stdout)?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_a_service_is_answered_as_at_the_database() -> Result<()> {
    let house = House::new(4, SQLITE, "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    ensure!(house.run(&["rotate", "sim/db/role/app_003", "--yes"])?.code == 0, "rotate");
    ensure!(
        house.run(&["incident", "open", "--title", "t", "--credential", "sim/db/role/app_003"])?.code == 0,
        "open"
    );
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let desk = Desk::new(&house, &service, "root", &["--role", "admin"])?;
    let done = house.items(&["list", "rotations"])?[0]["rotation_id"].as_str().context("an id")?.to_owned();
    let commands: &[&[&str]] = &[
        &["list", "credentials"],
        &["list", "credentials", "kind=password", "--where", "copies > 0"],
        &["list", "identities"],
        &["list", "copies"],
        &["list", "consumers"],
        &["list", "findings"],
        &["list", "rotations"],
        &["list", "revocations"],
        &["list", "swaps"],
        &["list", "schedules"],
        &["list", "connections"],
        &["list", "connections", "kind=password"],
        &["list", "drills"],
        &["list", "notifications"],
        &["list", "proposals"],
        &["resume"],
        &["resume", "ffffffff"],
        &["resolve", "ffffffff", "--retry", "--reason", "x"],
        &["rollback", "ffffffff", "--dry-run"],
        &["rollback", &done, "--dry-run"],
        &["resolve", &done, "--close", "--reason", "x"],
        &["verify"],
        &["verify", "--copies", "nowhere"],
        &["report", "incident", "--format", "json", "--out", "-"],
        &["report", "incident", "--format", "csv", "--out", "-"],
        &["report", "incident", "--id", "ffffffff", "--out", "-"],
        &["show", "sim/db/role/app_000"],
        &["policy", "list"],
        &["policy", "test", "sim/db/role/app_000"],
        &["schedule", "list"],
        &["schedule", "next", "--limit", "2"],
        &["incident", "status"],
        &["audit", "verify"],
        &["doctor"],
        &["doctor", "sim"],
        &["doctor", "nowhere"],
        &["rotate", "sim/db/role/app_000", "--dry-run"],
        &["revoke", "sim/db/role/app_001", "--reason", "x", "--dry-run"],
        &["show", "nowhere"],
        &["list", "credentials", "colour=red"],
        &["rotate", "nowhere", "--dry-run"],
        &["incident", "status", "ffffffff"],
        &["rotate", "sim/db/role/app_000"],
    ];
    for command in commands {
        for format in ["table", "json", "yaml", "csv"] {
            let arguments = [*command, &["-o", format]].concat();
            let (there, here) = (desk.run(&arguments)?, house.run(&arguments)?);
            ensure!(
                there.code == here.code,
                "{arguments:?}: exit {} is not {}: {}",
                there.code,
                here.code,
                there.stderr
            );
            // What is due may start at the moment that is looked at.
            let dated = command.get(1) == Some(&"schedules");
            ensure!(
                dated || there.stdout == here.stdout,
                "{arguments:?}:\n{}\nis not\n{}",
                there.stdout,
                here.stdout
            );
            ensure!(there.stderr == here.stderr, "{arguments:?}:\n{}\nis not\n{}", there.stderr, here.stderr);
            ensure!(!dated || there.stdout.lines().count() == here.stdout.lines().count(), "{arguments:?}");
        }
    }
    println!("{} commands in 4 formats", commands.len());
    for command in [
        &["init", "--yes"][..],
        &["token", "list"],
        &["db", "status"],
        &["verify", "--revoked", "--yes"],
        &["keys", "list"],
    ] {
        let said = desk.run(command)?;
        ensure!(said.code == 2 && said.stderr.contains("error[CLV0632]"), "{command:?}: {}", said.stderr);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_carried_out_at_a_service_and_told_as_here() -> Result<()> {
    let house = House::new(5, SQLITE, "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let desk = Desk::new(&house, &service, "root", &["--role", "admin"])?;
    let there = desk.json(&["rotate", "sim/db/role/app_000", "--yes", "--reason", "a test"])?;
    let here = house.json(&["rotate", "sim/db/role/app_001", "--yes"])?;
    ensure!(there["rotations"][0]["state"] == "done", "{there:#}");
    ensure!(shape(&there) == shape(&here), "{there:#} has another shape than {here:#}");
    let there = desk.json(&["revoke", "sim/db/role/app_002", "--yes", "--reason", "leaked"])?;
    let here = house.json(&["revoke", "sim/db/role/app_003", "--yes", "--reason", "leaked"])?;
    ensure!(there["receipts"][0]["verdict"] == "proven", "{there:#}");
    ensure!(shape(&there) == shape(&here), "{there:#} has another shape than {here:#}");
    let pages = desk.run(&["rotate", "sim/db/role/app_004", "--yes"])?;
    ensure!(
        pages.code == 0 && pages.stdout.contains("sim/db/role/app_004: done"),
        "{}{}",
        pages.stdout,
        pages.stderr
    );
    let paused = desk.json(&["schedule", "pause", "--all", "--reason", "a freeze"])?;
    let id = paused["id"].as_str().context("an id")?;
    ensure!(house.json(&["schedule", "list"])?["pauses"][0]["id"] == id, "it is not paused");
    ensure!(house.json(&["schedule", "list"])?["pauses"][0]["actor"] == "root@token", "by somebody else");
    desk.json(&["schedule", "resume", id])?;
    let opened = desk.json(&["incident", "open", "--title", "t", "--credential", "sim/db/role/app_002"])?;
    let id = opened["incident"]["id"].as_str().context("an id")?;
    let closed = desk.json(&["incident", "close", id, "--note", "over"])?;
    ensure!(closed["incident"]["state"] == "closed", "{closed:#}");
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the log");
    Ok(())
}

/// The value of a role, as its copy holds it.
pub(super) fn value(house: &House, role: &str) -> Result<Vec<u8>> {
    let estate = EstateFile::new(house.path().join("estate.json")).load()?;
    let entry = estate.secret_store.paths.get(&format!("apps/{role}")).context("its copy")?;
    Ok(entry.current().context("a version")?.fields["password"].expose().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_its_time_is_done_at_a_service_as_here() -> Result<()> {
    let house = House::new(4, SQLITE, "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let revoked = house.run(&["revoke", "sim/db/role/app_003", "--yes", "--reason", "leaked"])?;
    ensure!(revoked.code == 0, "{}", revoked.stderr);
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let desk = Desk::new(&house, &service, "root", &["--role", "admin"])?;
    for command in [
        &["scan"][..],
        &["scan", "sim"],
        &["scan", "nowhere"],
        &["verify", "--copies"],
        &["verify", "--copies", "sim/db/role/app_000"],
        &["verify", "--revoked"],
        &["drill", "sim", "--yes"],
        &["report", "inventory", "--format", "json", "--out", "-"],
        &["report", "findings", "--format", "json", "--out", "-"],
    ] {
        let arguments = [command, &["-o", "json"]].concat();
        let (there, here) = (desk.run(&arguments)?, house.run(&arguments)?);
        ensure!(
            there.code == here.code,
            "{arguments:?}: exit {} is not {}: {}",
            there.code,
            here.code,
            there.stderr
        );
        let read = |said: &Said| serde_json::from_str::<Value>(&said.stdout).unwrap_or(Value::Null);
        let (a, b) = (shape(&read(&there)), shape(&read(&here)));
        ensure!(a == b, "{arguments:?}: {}\nhas another shape than\n{}", there.stdout, here.stdout);
    }
    // Pages for people differ in times alone.
    for (kind, format) in [
        ("inventory", "html"),
        ("inventory", "csv"),
        ("findings", "html"),
        ("findings", "csv"),
        ("incident", "html"),
    ] {
        house.json(&["incident", "open", "--title", "t"])?;
        let file = desk.directory.path().join("report");
        let at = file.display().to_string();
        let command = ["report", kind, "--format", format, "--out", at.as_str()];
        let there = desk.run(&command)?;
        let written = std::fs::read_to_string(&file)?;
        let here = house.run(&command)?;
        ensure!(there.code == 0 && here.code == 0, "{command:?}: {} {}", there.stderr, here.stderr);
        let (a, b) = (written.lines().count(), std::fs::read_to_string(&file)?.lines().count());
        ensure!(a == b && a > 1, "{command:?}: {a} lines are not {b}");
        ensure!(there.stderr == here.stderr, "{}\nis not\n{}", there.stderr, here.stderr);
    }
    // What was left is taken up there.
    for role in ["sim/db/role/app_000", "sim/db/role/app_001"] {
        ensure!(house.run(&["rotate", role, "--yes", "--detach"])?.code == 0, "detach {role}");
    }
    let left = house.items(&["list", "rotations", "sim/db/role/app_000"])?;
    let id = left[0]["rotation_id"].as_str().context("an id")?;
    let one = desk.json(&["resume", &id[..13]])?;
    ensure!(one["schema"] == "claviger.resume/v1" && one["rotations"][0]["state"] == "done", "{one:#}");
    let rest = desk.json(&["resume"])?;
    ensure!(rest["rotations"].as_array().is_some_and(|all| all.len() == 1), "{rest:#}");
    ensure!(rest["rotations"][0]["ref"] == "sim/db/role/app_001", "{rest:#}");
    // A leaked value goes there and is nowhere kept, not as a hash of it either.
    let text = String::from_utf8(value(&house, "app_002")?)?;
    let asker = Asker::new(&service, Some(&desk.token))?;
    let body = serde_json::json!({ "values": [{ "value": text }] }).to_string();
    let key = [("idempotency-key", "one")];
    let traced = asker.send(reqwest::Method::POST, "/api/v1/traces", &key, Some(&body)).await?;
    ensure!(traced.status == 200 && traced.body["matches"][0]["ref"] == "sim/db/role/app_002", "{traced:?}");
    let again = asker.send(reqwest::Method::POST, "/api/v1/traces", &key, Some(&body)).await?;
    ensure!(!again.headers.contains_key("idempotency-replayed"), "the request was kept: {again:?}");
    ensure!(!traced.text.contains(&text) && !service.said()?.contains(&text), "it is repeated");
    let log = house.run(&["audit", "export"])?.stdout;
    ensure!(
        log.lines().any(|line| line.contains("\"traced\"") && line.contains("root@token")),
        "nobody told"
    );
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the log");
    Ok(())
}

/// What is there, and not what it says.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(all) => all.iter().map(shape).collect(),
        Value::Null => Value::Null,
        _ => Value::Bool(true),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_approves_from_their_own_desk() -> Result<()> {
    let eve = PrivateKey::generate(&OsRandom);
    let rest = format!("approvals = 1\n[[approvers]]\nname = \"eve\"\npublic_key = \"{}\"\n", eve.public());
    let house = House::new(1, SQLITE, &rest)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let planner = Desk::new(&house, &service, "ops", &["--role", "operator"])?;
    let approver = Desk::new(&house, &service, "eve", &["--role", "approver"])?;
    let file = approver.directory.path().join("eve.key");
    std::fs::write(&file, eve.to_text().expose())?;
    let mut permissions = std::fs::metadata(&file)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    std::fs::set_permissions(&file, permissions)?;
    let rotate = ["rotate", "sim/db/role/app_000", "--yes"];
    let (there, here) = (planner.run(&rotate)?, house.run(&rotate)?);
    ensure!(there.code == 4 && there.stderr.contains("error[CLV0410]"), "{}: {}", there.code, there.stderr);
    ensure!(there.stderr == here.stderr, "{}\nis not\n{}", there.stderr, here.stderr);
    let planned = planner.run(&["rotate", "sim/db/role/app_000", "--dry-run", "-o", "json"])?;
    let hash = serde_json::from_str::<Value>(&planned.stdout)?["hash"].as_str().context("a hash")?.to_owned();
    let shown = approver.run(&["approve", &hash[..12], "--show"])?;
    ensure!(
        shown.code == 0 && shown.stderr.contains("planned by ops@token"),
        "{}{}",
        shown.stdout,
        shown.stderr
    );
    let nameless = approver.run(&["approve", &hash, "--key", "eve.key"])?;
    ensure!(nameless.code == 2, "{}", nameless.stderr);
    let given = approver.json(&["approve", &hash, "--key", "eve.key", "--name", "eve"])?;
    ensure!(given["given"] == serde_json::json!(["eve"]), "{given:#}");
    let done = planner.run(&rotate)?;
    ensure!(done.code == 0, "{}{}", done.stdout, done.stderr);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_to_nobody_but_the_service() -> Result<()> {
    let house = House::new(1, SQLITE, "")?;
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let mut desk = Desk::new(&house, &service, "view", &["--role", "viewer"])?;
    let clear = binary::command(desk.directory.path())?
        .env("CLAVIGER_TOKEN", &desk.token)
        .args(["--server", "http://claviger.example:8470", "list", "credentials"])
        .output()?;
    let text = String::from_utf8_lossy(&clear.stderr).into_owned();
    ensure!(clear.status.code() == Some(4) && text.contains("error[CLV0633]"), "{text}");
    std::fs::write(desk.directory.path().join("token"), &desk.token)?;
    let open = binary::command(desk.directory.path())?
        .args(["--server", &service.address, "--token-file", "token", "list", "credentials"])
        .output()?;
    let text = String::from_utf8_lossy(&open.stderr).into_owned();
    ensure!(open.status.code() == Some(4) && text.contains("error[CLV0112]"), "others can read it: {text}");
    let refused = desk.run(&["rotate", "sim/db/role/app_000", "--yes"])?;
    ensure!(refused.code == 4 && refused.stderr.contains("error[CLV0621]"), "{}", refused.stderr);
    desk.token = "nobody".to_owned();
    let refused = desk.run(&["list", "credentials"])?;
    ensure!(refused.code == 4 && refused.stderr.contains("error[CLV0620]"), "{}", refused.stderr);
    ensure!(!refused.stderr.contains("nobody\n"), "{}", refused.stderr);
    Ok(())
}
