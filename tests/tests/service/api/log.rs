//! The log at a service: taken down whole, in part, or as its head, and as good as what is written at the database.

use anyhow::{Result, ensure};
use claviger_tests::{lab::postgres::Postgres, require_lab};

use super::{Asker, remote::Desk};
use crate::house::{House, PATIENCE, database};

const SQLITE: &str = "sqlite://claviger.db";

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_taken_down_from_afar_and_verifies() -> Result<()> {
    let house = House::new(2, SQLITE, "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    for at in ["sim/db/role/app_000", "sim/db/role/app_001"] {
        ensure!(house.run(&["rotate", at, "--yes"])?.code == 0, "rotate {at}");
    }
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let desk = Desk::new(&house, &service, "root", &["--role", "admin"])?;
    let first =
        house.items(&["list", "rotations"])?[0]["rotation_id"].as_str().unwrap_or_default().to_owned();
    let mut entries = Vec::new();
    for rest in [&[][..], &["--receipts"], &["--receipts", "--rotation", &first[..13]]] {
        let there = desk.run(&[&["audit", "export", "--out", "log.jsonl"], rest].concat())?;
        ensure!(there.code == 0 && there.stdout.is_empty(), "{rest:?}: {}", there.stderr);
        let written = std::fs::read_to_string(desk.directory.path().join("log.jsonl"))?;
        let count = written.lines().count() - 1;
        ensure!(there.stderr.contains(&format!("{count} entries; head ")), "{}", there.stderr);
        ensure!(there.stderr.contains(" receipts in ") != rest.is_empty(), "{}", there.stderr);
        ensure!(written.contains("\"actor\":\"root@token\""), "who took it is not in it");
        std::fs::write(house.path().join("log.jsonl"), &written)?;
        let file = ["audit", "verify", "--file", "log.jsonl", "--public-key", "keys/signing.pub"];
        ensure!(house.json(&file)?["valid"] == true, "{rest:?}");
        // What was changed on the way is told.
        std::fs::write(house.path().join("log.jsonl"), written.replacen("app_001", "app_000", 1))?;
        ensure!(house.run(&file)?.code == 1, "{rest:?}: a changed one verifies");
        entries.push(count);
    }
    ensure!(entries[1] < entries[0] && entries[2] <= entries[1] + 1, "{entries:?}");
    // A head that was noted from afar holds for what is exported later.
    let noted = desk.run(&["audit", "checkpoint", "--out", "head.json"])?;
    ensure!(noted.code == 0 && noted.stderr.contains("checkpoint at entry "), "{}", noted.stderr);
    std::fs::copy(desk.directory.path().join("head.json"), house.path().join("head.json"))?;
    ensure!(house.json(&["audit", "verify", "--checkpoint", "head.json"])?["valid"] == true, "the head");
    let nowhere = desk.run(&["audit", "export", "--receipts", "--rotation", "ffffffff"])?;
    ensure!(nowhere.code == 1 && nowhere.stdout.is_empty(), "{}", nowhere.stderr);
    let held = desk.run(&["audit", "verify", "--checkpoint", "head.json"])?;
    ensure!(held.code == 2 && held.stderr.contains("CLV0632"), "{}", held.stderr);
    for role in ["viewer", "operator", "responder", "approver"] {
        let other = Asker::with(&house, &service, role, &["--role", role])?;
        for path in ["export", "checkpoint"] {
            other.get(&format!("/api/v1/audit/{path}")).await?.must_be(403, "CLV0621")?;
        }
    }
    let auditor = Asker::with(&house, &service, "auditor", &["--role", "auditor"])?;
    auditor.get("/api/v1/audit/export?rotation=ffffffff").await?.must_be(404, "CLV0622")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_changed_by_hand_is_not_signed_from_afar() -> Result<()> {
    let postgres = require_lab!(Postgres::shared().await, Ok(()));
    let house = House::new(1, &database(postgres, "service_log").await?, "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let desk = Desk::new(&house, &service, "root", &["--role", "admin"])?;
    let client = postgres.connect("service_log").await?;
    // Whoever owns the server gets past the triggers.
    client.batch_execute("SET session_replication_role = replica").await?;
    let changed = client.execute("UPDATE audit_entry SET actor = 'nobody' WHERE seq = 2", &[]).await?;
    ensure!(changed == 1, "nothing was changed");
    for command in ["export", "checkpoint"] {
        let there = desk.run(&["audit", command, "--out", "it"])?;
        ensure!(there.code == 1 && there.stderr.contains("CLV0500"), "{command}: {}", there.stderr);
        ensure!(!desk.directory.path().join("it").exists(), "{command} wrote something");
    }
    Ok(())
}
