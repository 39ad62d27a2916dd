//! A configuration that is read anew while work is under way.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::house::{House, PATIENCE, Serving};

const SQLITE: &str = "sqlite://claviger.db";

/// Waits until the process has said this.
async fn until_said(service: &Serving, words: &str) -> Result<()> {
    let begun = std::time::Instant::now();
    while !service.said()?.contains(words) {
        ensure!(begun.elapsed() < PATIENCE, "it never said `{words}`: {}", service.said()?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_taken_over_and_what_is_under_way_goes_on() -> Result<()> {
    // Nothing is due by this.
    let house = House::new(
        12,
        SQLITE,
        "[service]\nat_once = 3\n[[owners]]\nmatch = \"sim/*\"\nowner = \"nobody\"\n",
    )?;
    let file = house.path().join("claviger.toml");
    let due = std::fs::read_to_string(&file)?;
    let resting = due.replace("max_age = \"30d\"", "max_age = \"3650d\"");
    ensure!(resting != due, "the policy is another one");
    std::fs::write(&file, &resting)?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("scheduler,worker")?;
    service.until_ready(true, PATIENCE).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    ensure!(house.items(&["list", "rotations"])?.is_empty(), "something was rotated that is not due");

    std::fs::write(&file, &due)?;
    service.signal("-HUP")?;
    until_said(&service, "the configuration was read anew").await?;
    // In the middle of them: broken, then with settings that a running process does not change, then whole.
    house.until_done(1).await?;
    std::fs::write(&file, format!("{due}\n[policies.broken"))?;
    service.signal("-HUP")?;
    until_said(&service, "the configuration was not taken over").await?;
    ensure!(service.said()?.contains("CLV0004"), "{}", service.said()?);
    std::fs::write(
        &file,
        due.replace("at_once = 3", "at_once = 4").replace("lease_seconds = 3", "lease_seconds = 5"),
    )?;
    service.signal("-HUP")?;
    until_said(&service, "taken over at the next start").await?;
    for setting in ["[service]", "lease_seconds"] {
        ensure!(service.said()?.contains(setting), "{setting}: {}", service.said()?);
    }
    house.until_done(12).await?;
    house.in_step()?;
    let (code, took) = service.stop()?;
    ensure!(code == 0 && took < Duration::from_secs(10), "exit {code} after {took:?}");
    Ok(())
}

/// A core dump holds everything that a process had in memory.
#[test]
fn the_process_is_not_dumped() -> Result<()> {
    use std::os::unix::process::ExitStatusExt as _;
    let house = House::new(1, SQLITE, "")?;
    let dumps = |command: &str, ready: Duration| -> Result<bool> {
        let mut child = std::process::Command::new("sh")
            .args(["-c", &format!("ulimit -c unlimited 2>/dev/null; exec {command}")])
            .current_dir(house.path())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        std::thread::sleep(ready);
        let sent = std::process::Command::new("kill").args(["-ABRT", &child.id().to_string()]).status()?;
        let status = child.wait()?;
        ensure!(sent.success() && status.signal() == Some(6), "{command}: {status}");
        Ok(status.core_dumped())
    };
    if !dumps("sleep 60", Duration::from_millis(300))? {
        println!("nothing is dumped on this machine: it shows nothing");
        return Ok(());
    }
    let binary = claviger_tests::binary::path()?;
    let serving = format!("'{}' serve --listen 127.0.0.1:0", binary.display());
    ensure!(!dumps(&serving, Duration::from_secs(4))?, "it was dumped");
    Ok(())
}

/// Every line of the log is a document where that is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_the_log_is_a_document() -> Result<()> {
    let house = House::new(2, SQLITE, "[scan]\nevery = \"1d\"\n")?;
    let service = house.serve("scheduler,worker --log-format json")?;
    house.until_done(2).await?;
    let said = service.said()?;
    let mut lines = 0;
    for line in said.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        ensure!(entry["level"].is_string() && entry["timestamp"].is_string(), "{entry}");
        ensure!(entry["fields"]["message"].is_string(), "{entry}");
        lines += 1;
    }
    ensure!(lines > 5, "{lines} lines");
    Ok(())
}
