//! The systemd unit and the Dockerfile, as far as they can be held against a tool or against the source.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::shipped;

/// The most exposure that `systemd-analyze security` may find, of 100.
const EXPOSURE: &str = "15";

/// Runs `systemd-analyze`; `None` on a machine without it.
fn analyze(arguments: &[&str]) -> Result<Option<std::process::Output>> {
    match Command::new("systemd-analyze").args(arguments).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        output => Ok(Some(output?)),
    }
}

#[test]
fn the_unit_is_one_and_leaves_little_open() -> Result<()> {
    let text = std::fs::read_to_string(shipped("systemd/claviger.service"))?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("claviger.service");
    // The binary is not installed here: another program stands for it.
    let program = std::env::current_exe()?;
    std::fs::write(&file, text.replace("/usr/bin/claviger", &program.display().to_string()))?;
    let file = file.to_str().context("a path")?;
    for arguments in [vec!["verify", file], vec!["security", "--offline=yes", "--threshold", EXPOSURE, file]]
    {
        let Some(output) = analyze(&arguments)? else {
            println!("there is no systemd-analyze here");
            return Ok(());
        };
        let said = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    }
    Ok(())
}

/// What is copied into the build is there, and the compiler is not older than the source asks.
#[test]
fn the_dockerfile_copies_what_is_there_and_runs_as_nobody() -> Result<()> {
    let text = std::fs::read_to_string(shipped("Dockerfile"))?;
    let root = shipped("..");
    let copied =
        text.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--"));
    for line in copied {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words.pop();
        for name in words {
            ensure!(root.join(name).exists(), "COPY {name}: it is not there");
        }
    }
    let manifest: toml::Table = std::fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let wanted = manifest["workspace"]["package"]["rust-version"].as_str().context("rust-version")?;
    ensure!(text.contains(&format!("ARG RUST_IMAGE=rust:{wanted}")), "another compiler than {wanted}");
    for member in manifest["workspace"]["members"].as_array().context("members")? {
        let member = member.as_str().context("a member")?.trim_end_matches("/*");
        ensure!(text.contains(&format!("COPY {member} {member}")), "cargo wants all members: {member}");
    }
    let user = text.lines().filter_map(|line| line.strip_prefix("USER ")).next_back().context("no USER")?;
    ensure!(user.split(':').all(|part| part.parse::<u32>().is_ok_and(|number| number > 0)), "{user}");
    for (number, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("ARG ")) {
        ensure!(!line.ends_with(":latest") && line.contains(':'), "line {}: not pinned: {line}", number + 1);
    }
    Ok(())
}
