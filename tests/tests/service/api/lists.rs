//! What is listed over the API is what the command line lists.

use anyhow::{Result, ensure};

use super::{Asker, settled};
use crate::house::{House, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_the_command_lines_page_by_page() -> Result<()> {
    let house = House::new(7, "sqlite://claviger.db", "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    ensure!(house.run(&["rotate", "sim/db/role/app_000", "--yes"])?.code == 0, "rotate");
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let admin = Asker::with(&house, &service, "root", &["--role", "admin"])?;
    for thing in [
        "credentials",
        "identities",
        "copies",
        "consumers",
        "findings",
        "rotations",
        "revocations",
        "swaps",
        "schedules",
        "connections",
        "drills",
        "proposals",
    ] {
        let expected = settled(house.json(&["list", thing])?);
        let whole = admin.get(&format!("/api/v1/{thing}")).await?;
        let whole = settled(whole.body);
        ensure!(whole == expected, "{thing}: {whole:#} is not {expected:#}");
        let items = expected["items"].as_array().cloned().unwrap_or_default();
        ensure!(admin.items(&format!("/api/v1/{thing}"), 3).await? == items, "{thing}, by pages of 3");
        if !matches!(thing, "consumers" | "revocations" | "swaps" | "drills" | "proposals") {
            ensure!(!items.is_empty(), "no {thing}: nothing was shown");
        }
    }
    for (path, command) in [
        ("/api/v1/policies", &["policy", "list"][..]),
        ("/api/v1/incidents", &["incident", "status"]),
        ("/api/v1/credentials/sim%2Fdb%2Frole%2Fapp_001", &["show", "sim/db/role/app_001"]),
        ("/api/v1/credentials/sim%2Fdb%2Frole%2Fapp_001/policy", &["policy", "test", "sim/db/role/app_001"]),
        ("/api/v1/firings?done=true", &["schedule", "list", "--done"]),
        ("/api/v1/audit/verification", &["audit", "verify"]),
    ] {
        let (given, expected) = (admin.get(path).await?, house.json(command)?);
        ensure!(
            given.status == 200 && given.body == expected,
            "{path}: {:#} is not {expected:#}",
            given.body
        );
    }
    let some = admin
        .items("/api/v1/credentials?selector=kind%3Dpassword%20backend%3Dsim&where=copies%20%3E%200", 2)
        .await?;
    let same =
        house.items(&["list", "credentials", "kind=password", "backend=sim", "--where", "copies > 0"])?;
    ensure!(some == same && !same.is_empty(), "{some:#?}");
    let export = admin.get("/api/v1/audit/export").await?;
    std::fs::write(house.path().join("export.jsonl"), &export.text)?;
    let verified =
        house.json(&["audit", "verify", "--file", "export.jsonl", "--public-key", "keys/signing.pub"])?;
    ensure!(verified["valid"] == true, "{verified:#}");
    ensure!(
        export.text.contains("\"actor\":\"root@token\""),
        "the export is no entry of whom it was made for"
    );
    for (path, code) in [
        ("/api/v1/credentials?limit=0", "CLV0623"),
        ("/api/v1/credentials?limit=x", "CLV0623"),
        ("/api/v1/credentials?colour=red", "CLV0623"),
        ("/api/v1/credentials?cursor=x", "CLV0623"),
        ("/api/v1/credentials?selector=colour%3Dred", "CLV0021"),
        ("/api/v1/credentials?where=%29", "CLV0021"),
    ] {
        admin.get(path).await?.must_be(400, code)?;
    }
    admin.get("/api/v1/credentials/nowhere").await?.must_be(404, "CLV0300")?;
    admin.get("/api/v1/rotations/ffffffff").await?.must_be(404, "CLV0622")?;
    admin.get("/api/v1/incidents/ffffffff").await?.must_be(404, "CLV0420")?;
    Ok(())
}
