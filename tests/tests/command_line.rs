//! The command line without any server: the demo, the documented configuration, help, completion, manual, output formats.

use std::{fs, path::Path, process::Output};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::binary;
use serde_json::Value;

fn run(directory: &Path, arguments: &[&str]) -> Result<(i32, String, String)> {
    let Output { status, stdout, stderr } =
        binary::command(directory)?.args(arguments).stdin(std::process::Stdio::null()).output()?;
    Ok((
        status.code().unwrap_or(-1),
        String::from_utf8(stdout)?,
        String::from_utf8_lossy(&stderr).into_owned(),
    ))
}

fn ok(directory: &Path, arguments: &[&str]) -> Result<String> {
    let (code, stdout, stderr) = run(directory, arguments)?;
    ensure!(code == 0, "{arguments:?}: exit {code}\n{stdout}\n{stderr}");
    Ok(stdout)
}

fn list_of(directory: &Path, arguments: &[&str], schema: &str) -> Result<Vec<Value>> {
    let document: Value = serde_json::from_str(&ok(directory, &[arguments, &["-o", "json"]].concat())?)?;
    ensure!(document["schema"] == format!("claviger.{schema}/v1"), "{arguments:?}: {}", document["schema"]);
    Ok(document["items"].as_array().context("items")?.clone())
}

#[test]
fn the_demo_runs_the_whole_loop_and_every_command_works_there() -> Result<()> {
    let home = tempfile::tempdir()?;
    let shown = ok(home.path(), &["demo"])?;
    for word in ["Scan", "Findings", "Rotate", "Revoke", "Report", "receipt: proven"] {
        ensure!(shown.contains(word), "`{word}` is not in the demo's output:\n{shown}");
    }
    let dir = home.path().join("claviger-demo");
    for file in ["claviger.toml", "claviger.db", "keys", "report.html"] {
        ensure!(dir.join(file).exists(), "{file} is missing");
    }
    let list = |thing: &str| -> Result<Vec<Value>> {
        let document: Value = serde_json::from_str(&ok(&dir, &["list", thing, "-o", "json"])?)?;
        ensure!(document["schema"] == format!("claviger.{thing}/v1"), "{thing}: {}", document["schema"]);
        Ok(document["items"].as_array().context("items")?.clone())
    };
    ensure!(list("credentials")?.len() >= 20, "credentials");
    ensure!(list("findings")?.len() >= 10, "findings");
    ensure!(list("rotations")?[0]["state"] == "done", "the rotation");
    ensure!(list("revocations")?[0]["state"] == "done", "the revocation");
    for thing in ["identities", "copies", "consumers"] {
        ensure!(!list(thing)?.is_empty(), "{thing}");
    }
    // Recorded now, carried out later.
    let detached: Value = serde_json::from_str(&ok(
        &dir,
        &["rotate", "sim/db/role/reporting", "--yes", "--detach", "-o", "json"],
    )?)?;
    ensure!(detached["rotations"][0]["state"] == "planned", "{detached}");
    ensure!(
        run(&dir, &["rotate", "sim/db/role/reporting", "--yes"])?.0 != 0,
        "a second rotation beside an unfinished one"
    );
    let resumed: Value = serde_json::from_str(&ok(&dir, &["resume", "-o", "json"])?)?;
    ensure!(
        resumed["rotations"][0]["rotation_id"] == detached["rotations"][0]["rotation_id"]
            && resumed["rotations"][0]["state"] == "done",
        "{resumed}"
    );
    // Which policy holds, when it is due, and why.
    let policies = list_of(&dir, &["policy", "list"], "policies")?;
    ensure!(policies.len() == 1 && policies[0]["name"] == "databases", "{policies:?}");
    ensure!(policies[0]["credentials"].as_u64() >= policies[0]["due"].as_u64(), "{policies:?}");
    let test: Value =
        serde_json::from_str(&ok(&dir, &["policy", "test", "sim/db/role/payments_app", "-o", "json"])?)?;
    ensure!(test["policy"] == "databases" && test["due"] == false, "it was rotated a moment ago: {test}");
    let test: Value =
        serde_json::from_str(&ok(&dir, &["policy", "test", "sim/db/role/analytics", "-o", "json"])?)?;
    ensure!(test["due"] == true && test["tried"][0]["matches"] == true, "{test}");
    let none = ok(&dir, &["policy", "test", "sim/kv/ci/github#token"])?;
    ensure!(none.contains("does not match") && none.contains("no policy holds"), "{none}");
    ensure!(run(&dir, &["policy", "test", "sim/db/role/nobody"])?.0 == 1, "an unknown credential");
    // The shared password is one credential with its copies, proven by the verifier.
    let shown: Value = serde_json::from_str(&ok(&dir, &["show", "sim/db/role/payments_app", "-o", "json"])?)?;
    ensure!(
        shown["credential"]["copies"] == 3 && shown["credential"]["link"] == "proven",
        "{:#}",
        shown["credential"]
    );
    for format in ["table", "wide", "json", "jsonl", "yaml", "csv"] {
        ok(&dir, &["list", "credentials", "-o", format])?;
    }
    let verified: Value = serde_json::from_str(&ok(&dir, &["audit", "verify", "-o", "json"])?)?;
    ensure!(verified["valid"] == true && verified["first_bad"].is_null(), "{verified}");
    // An export is verified without the database, and an edited one is refused at the exact entry.
    let export = home.path().join("audit.jsonl");
    let path = export.display().to_string();
    ok(&dir, &["audit", "export", "--out", &path])?;
    ok(&dir, &["audit", "verify", "--file", &path])?;
    let mut lines: Vec<String> = fs::read_to_string(&export)?.lines().map(str::to_owned).collect();
    lines[6] = lines[6].replacen("\"actor\":\"", "\"actor\":\"x", 1);
    fs::write(&export, lines.join("\n"))?;
    let (code, stdout, _) = run(&dir, &["audit", "verify", "--file", &path, "-o", "json"])?;
    let refused: Value = serde_json::from_str(&stdout)?;
    ensure!(code == 1 && refused["valid"] == false && refused["first_bad"] == 7, "exit {code}: {refused}");
    // A second demo goes somewhere else, and a named directory is never overwritten.
    ok(home.path(), &["demo"])?;
    ensure!(home.path().join("claviger-demo-2").is_dir(), "the second demo");
    let (code, _, stderr) = run(home.path(), &["demo", "--dir", "claviger-demo"])?;
    ensure!(code == 2 && stderr.contains("is not empty"), "exit {code}: {stderr}");
    Ok(())
}

#[test]
fn the_documented_configuration_is_read() -> Result<()> {
    let home = tempfile::tempdir()?;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/claviger.toml");
    fs::copy(file, home.path().join("claviger.toml"))?;
    let (code, stdout, stderr) = run(home.path(), &["db", "migrate", "-o", "json"])?;
    ensure!(code == 0, "exit {code}: {stderr}");
    let status: Value = serde_json::from_str(&stdout)?;
    ensure!(
        status["backend"] == "sqlite" && status["pending"].as_array().is_some_and(Vec::is_empty),
        "{status}"
    );
    ensure!(!stderr.contains("warn"), "{stderr}");
    Ok(())
}

#[test]
fn init_writes_what_it_finds_and_overwrites_nothing() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut command = binary::command(home.path())?;
    command.env("VAULT_ADDR", "http://127.0.0.1:8200").env("PGHOST", "127.0.0.1").args(["init", "--yes"]);
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let config = home.path().join("claviger.toml");
    let first = fs::read_to_string(&config)?;
    ensure!(first.contains("[backends.vault]") && first.contains("[backends.db]"), "{first}");
    let key = fs::read(home.path().join("keys/fingerprint.key"))?;
    fs::write(&config, format!("{first}\n# mine\n"))?;
    ok(home.path(), &["init", "--yes"])?;
    ensure!(fs::read_to_string(&config)?.ends_with("# mine\n"), "the file was changed");
    ensure!(fs::read(home.path().join("keys/fingerprint.key"))? == key, "the key was changed");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &str| -> Result<u32> {
        Ok(fs::metadata(home.path().join(path))?.permissions().mode() & 0o777)
    };
    ensure!(mode("keys")? == 0o700 && mode("keys/sealing.key")? == 0o600, "modes");
    Ok(())
}

#[test]
fn help_completion_and_manual_name_every_command() -> Result<()> {
    let home = tempfile::tempdir()?;
    let help = ok(home.path(), &["--help"])?;
    let manual = ok(home.path(), &["man"])?;
    for command in [
        "init",
        "doctor",
        "demo",
        "scan",
        "list",
        "show",
        "trace",
        "rotate",
        "revoke",
        "resume",
        "report",
        "audit",
        "db",
        "completion",
        "man",
    ] {
        ensure!(help.contains(command), "{command} is not in the help");
        ensure!(manual.contains(command), "{command} is not in the manual");
        if command != "man" {
            ok(home.path(), &[command, "--help"])?;
        }
    }
    for shell in ["bash", "zsh", "fish"] {
        ensure!(ok(home.path(), &["completion", shell])?.contains("claviger"), "{shell}");
    }
    Ok(())
}

#[test]
fn a_database_without_its_keys_is_refused() -> Result<()> {
    let home = tempfile::tempdir()?;
    ok(home.path(), &["demo", "--dir", "d"])?;
    let dir = home.path().join("d");
    fs::rename(dir.join("keys"), dir.join("lost"))?;
    let (code, _, stderr) = run(&dir, &["scan"])?;
    ensure!(
        code == 2 && stderr.contains("there are no keys") && stderr.contains("hint"),
        "exit {code}: {stderr}"
    );
    fs::rename(dir.join("lost"), dir.join("keys"))?;
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir.join("keys/sealing.key"), fs::Permissions::from_mode(0o644))?;
    let (code, _, stderr) = run(&dir, &["scan"])?;
    ensure!(code == 4 && stderr.contains("can be read or written by others"), "exit {code}: {stderr}");
    Ok(())
}
