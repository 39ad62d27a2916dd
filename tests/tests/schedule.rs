//! What policies have rotated, and when: due dates, windows and blackouts, on the simulated estate through the real binary.

use std::{fs, path::Path, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use claviger_core::clock::{Clock as _, SystemClock};
use claviger_tests::binary;
use serde_json::Value;

fn run(directory: &Path, arguments: &[&str]) -> Result<(i32, String, String)> {
    let output = binary::command(directory)?.args(arguments).stdin(Stdio::null()).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes);
    Ok((output.status.code().unwrap_or(-1), text(output.stdout)?, text(output.stderr)?))
}

fn json(directory: &Path, arguments: &[&str], code: i32) -> Result<Value> {
    let found = run(directory, &[arguments, &["-o", "json"]].concat())?;
    ensure!(found.0 == code, "{arguments:?}: exit {}\n{}\n{}", found.0, found.1, found.2);
    Ok(serde_json::from_str(&found.1)?)
}

/// The demo's configuration with another policy for passwords, and what else is given.
fn configure(directory: &Path, policy: &str, rest: &str) -> Result<()> {
    let file = directory.join("claviger.toml");
    let text = fs::read_to_string(&file)?;
    let (before, _) = text.split_once("[policies.databases]").context("the demo's policy")?;
    fs::write(
        file,
        format!("{before}[policies.databases]\nmatch = \"kind=password backend=sim\"\n{policy}\n{rest}\n"),
    )?;
    Ok(())
}

fn moment(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[test]
fn what_is_due_is_rotated_once_within_its_window_and_outside_blackouts() -> Result<()> {
    let home = tempfile::tempdir()?;
    ensure!(run(home.path(), &["demo"])?.0 == 0, "the demo");
    let dir = home.path().join("claviger-demo");
    let now = SystemClock.now();
    let rotations = || -> Result<usize> {
        Ok(json(&dir, &["list", "rotations"], 0)?["items"].as_array().context("items")?.len())
    };
    let before = rotations()?;

    // Closed: the window begins in two hours.
    let hour = |hours: i64| (now + TimeDelta::hours(hours)).format("%H:%M").to_string();
    let closed = format!("max_age = \"30d\"\nwindow = \"{}-{}\"", hour(2), hour(4));
    configure(&dir, &closed, "")?;
    let waiting = json(&dir, &["list", "schedules"], 0)?;
    let items = waiting["items"].as_array().context("items")?;
    let due: Vec<_> = items.iter().filter(|item| item["due"] == true).collect();
    ensure!(waiting["schema"] == "claviger.schedules/v1" && !due.is_empty(), "{waiting:#}");
    ensure!(due.iter().all(|item| item["waits_for"] == "its window"), "{due:#?}");
    let nothing = run(&dir, &["rotate", "--due", "--yes"])?;
    ensure!(nothing.0 == 0 && nothing.2.contains("nothing is due that may start now"), "{nothing:?}");

    // Open, in a blackout.
    let open = format!("max_age = \"30d\"\nwindow = \"{}-{}\"", hour(-2), hour(2));
    let (from, to) = (moment(now - TimeDelta::hours(1)), moment(now + TimeDelta::hours(1)));
    configure(&dir, &open, &format!("[[blackouts]]\nname = \"release\"\nfrom = {from}\nto = {to}"))?;
    let frozen = json(&dir, &["list", "schedules"], 0)?;
    ensure!(frozen["items"].to_string().contains("the end of blackout `release`"), "{frozen:#}");
    let empty = json(&dir, &["rotate", "--due", "--yes"], 0)?;
    ensure!(empty["rotations"].as_array().is_some_and(Vec::is_empty), "{empty:#}");
    ensure!(rotations()? == before, "something was rotated that may not start");

    // Open: what is due and can be rotated is, once.
    configure(&dir, &open, "")?;
    let done = json(&dir, &["rotate", "--due", "--yes"], 3)?;
    let rotated = done["rotations"].as_array().context("rotations")?;
    ensure!(!rotated.is_empty() && rotated.iter().all(|one| one["state"] == "done"), "{done:#}");
    ensure!(
        rotated.len() + done["plan"]["refused"].as_array().context("refused")?.len() == due.len(),
        "{done:#}"
    );
    let listed = json(&dir, &["list", "rotations"], 0)?;
    ensure!(listed["items"][0]["cause"] == "policy", "{listed:#}");
    let count = rotations()?;
    let again = json(&dir, &["rotate", "--due", "--yes"], 4)?;
    ensure!(again["subjects"].as_array().is_some_and(Vec::is_empty), "rotated twice: {again:#}");
    ensure!(rotations()? == count, "a second run rotated something");
    Ok(())
}

#[test]
fn what_is_no_schedule_is_refused_with_a_reason() -> Result<()> {
    let home = tempfile::tempdir()?;
    ensure!(run(home.path(), &["demo"])?.0 == 0, "the demo");
    let dir = home.path().join("claviger-demo");
    for (policy, said) in [
        ("schedule = \"0 3 * *\"", "five fields"),
        ("schedule = \"0 0 30 2 *\"", "no such day"),
        ("timezone = \"Mars/Olympus\"", "IANA"),
        ("window = \"2-5\"", "no window"),
        ("jitter = \"soon\"", "no age"),
    ] {
        configure(&dir, policy, "")?;
        let (code, _, stderr) = run(&dir, &["list", "schedules"])?;
        ensure!(
            code == 2 && stderr.contains("error[CLV") && stderr.contains(said),
            "{policy}: {code}: {stderr}"
        );
    }
    configure(&dir, "schedule = \"0 3 * * SUN\"\ntimezone = \"Europe/Berlin\"\nmax_age = \"3650d\"", "")?;
    let listed = json(&dir, &["list", "schedules"], 0)?;
    let first = &listed["items"][0];
    ensure!(first["schedule"] == "0 3 * * SUN" && first["timezone"] == "Europe/Berlin", "{listed:#}");
    let (starts, latest): (DateTime<Utc>, DateTime<Utc>) = (
        first["starts_at"].as_str().context("a time")?.parse()?,
        first["latest_at"].as_str().context("a time")?.parse()?,
    );
    ensure!(starts <= latest && latest - starts < TimeDelta::days(8), "{first:#}");
    Ok(())
}
