//! What the description promises is tried with what it allows and with what it does not, by schemathesis.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{lab::assets, require_lab};

use crate::house::{House, PATIENCE};

/// Its default checks, at most this many cases of each kind for each operation.
const EXAMPLES: &str = "12";

#[tokio::test(flavor = "multi_thread")]
async fn the_api_keeps_what_its_description_promises() -> Result<()> {
    let program = require_lab!(assets::path("schemathesis"), Ok(()));
    let house = House::new(3, "sqlite://claviger.db", "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let made = house.json(&["token", "create", "fuzz", "--role", "admin"])?;
    let token = made["token"].as_str().context("a token")?;
    let output = claviger_tests::lab::daemon::bare_command(program, house.path())
        .env("SCHEMATHESIS_HOOKS", "schemathesis_formats")
        .env("PYTHONPATH", assets::lab_directory())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg("run")
        .arg(format!("{}/openapi.json", service.address))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        // A watch of what rests ends at once; of what does not it goes on.
        .args(["--exclude-path-regex", "/events$"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "7"])
        .args(["--generation-deterministic", "--request-timeout", "20", "--no-color", "--workers", "2"])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{said}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        service.said()?
    );
    let summary: Vec<_> =
        said.lines().filter(|line| line.contains("Operations:") || line.contains("generated")).collect();
    println!("schemathesis: {}", summary.join("; "));
    ensure!(!summary.is_empty(), "it says nothing of what it tried:\n{said}");
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the log");
    Ok(())
}
