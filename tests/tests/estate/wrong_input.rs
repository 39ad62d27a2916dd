//! Wrong input: a coded error with a hint, nothing lost, and the other backends go on.

use std::fs;

use anyhow::{Result, ensure};
use claviger_tests::{estate::Estate, require_lab};

use crate::{Place, text};

/// Runs a command in an empty directory with this configuration.
fn refused(config: Option<&str>, arguments: &[&str]) -> Result<(i32, String)> {
    let dir = tempfile::tempdir()?;
    let mut place = Place::new(dir.path(), "claviger.db");
    match config {
        Some(config) => fs::write(&place.config, config)?,
        None => place.config = dir.path().join("absent.toml"),
    }
    // `Place` names the database itself.
    let arguments = match arguments {
        ["--database", url, rest @ ..] => {
            place.database = (*url).to_owned();
            rest
        }
        all => all,
    };
    let run = place.run(arguments, None)?;
    Ok((run.code, run.stderr))
}

#[test]
fn a_configuration_that_cannot_be_used_is_a_coded_error_with_a_hint() -> Result<()> {
    for (config, arguments, code, word) in [
        (None, &["scan"][..], 2, "cannot read"),
        (Some("databse = 'x'"), &["scan"], 2, "did you mean `database`"),
        (Some("database = "), &["scan"], 2, "is no TOML"),
        (Some(""), &["scan"], 2, "no backends"),
        (
            Some("[backends.v]\nkind = 'vault'\naddress = 'http://127.0.0.1:1'\ntoken = 'hvs.abc'"),
            &["scan"],
            2,
            "never written",
        ),
        (
            Some(
                "[backends.v]\nkind = 'vault'\naddress = 'http://127.0.0.1:1'\ntoken = { env = 'ABSENT_VARIABLE' }",
            ),
            &["scan"],
            2,
            "ABSENT_VARIABLE",
        ),
        (Some("[backends.v]\nkind = 'wault'"), &["scan"], 2, "vault"),
        (Some("[backends.'a/b']\nkind = 'manifest'\npath = '.'"), &["scan"], 2, "cannot be a backend's name"),
        (Some("[backends.m]\nkind = 'manifest'\npath = '.'"), &["scan", "nonsense"], 2, "nonsense"),
        (
            Some("[backends.m]\nkind = 'manifest'\npath = '.'"),
            &["list", "credentials", "kind=nonsense"],
            2,
            "kinds are",
        ),
        (
            Some("[backends.m]\nkind = 'manifest'\npath = '.'"),
            &["show", "nothing/like/this"],
            1,
            "nothing in the inventory",
        ),
        (
            Some("[backends.m]\nkind = 'manifest'\npath = '.'"),
            &["rotate", "x/y", "--yes"],
            1,
            "nothing in the inventory",
        ),
        (Some("[backends.m]\nkind = 'manifest'\npath = '.'"), &["resume", "0190"], 1, "no rotation"),
        (
            Some("[backends.m]\nkind = 'manifest'\npath = '.'"),
            &["--database", "mysql://x/y", "scan"],
            2,
            "neither sqlite:// nor postgres://",
        ),
        (Some("[backends.m]\nkind = 'manifest'\npath = '.'"), &["frobnicate"], 2, "unrecognized"),
    ] {
        let (exit, stderr) = refused(config, arguments)?;
        ensure!(exit == code, "{arguments:?} with {config:?}: exit {exit}: {stderr}");
        ensure!(
            stderr.contains("error[CLV") && stderr.contains(word),
            "{arguments:?} with {config:?}: {stderr}"
        );
        ensure!(stderr.contains("hint") || stderr.contains("--help"), "no hint: {stderr}");
        ensure!(!stderr.contains("hvs.abc") && !stderr.contains("panicked"), "{stderr}");
    }
    Ok(())
}

/// Each backend broken in its own way: it is reported as failed, and the manifests beside it are read.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_fails_does_not_stop_the_others() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    let directory = estate.directory();
    let expired = "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: nonsense}}]\n";
    fs::write(directory.join("nobody.kubeconfig"), expired)?;
    fs::write(directory.join("broken.kubeconfig"), "{ this is: [no kubeconfig")?;
    fs::write(directory.join("wrong.secret"), "nonsense")?;
    let port = estate.postgres.port();
    let address = estate.openbao.address();
    let backends = [
        ("no server", "kind = 'vault'\naddress = 'http://127.0.0.1:1'\ntoken = { file = 'wrong.secret' }".to_owned()),
        ("wrong token", format!("kind = 'vault'\naddress = '{address}'\ntoken = {{ file = 'wrong.secret' }}")),
        ("no url", "kind = 'vault'\naddress = 'not a url'\ntoken = { file = 'wrong.secret' }".to_owned()),
        ("wrong password", format!("kind = 'postgresql'\nurl = 'postgres://claviger@127.0.0.1:{port}/postgres'\npassword = {{ file = 'wrong.secret' }}")),
        ("no database", format!("kind = 'postgresql'\nurl = 'postgres://claviger@127.0.0.1:{port}/nowhere'\npassword = {{ file = 'db.password' }}")),
        ("no port", "kind = 'postgresql'\nurl = 'postgres://claviger@127.0.0.1:1/postgres'\npassword = { file = 'wrong.secret' }".to_owned()),
        ("dead cluster", "kind = 'kubernetes'\nkubeconfig = 'nobody.kubeconfig'".to_owned()),
        ("malformed kubeconfig", "kind = 'kubernetes'\nkubeconfig = 'broken.kubeconfig'".to_owned()),
        ("no kubeconfig", "kind = 'kubernetes'\nkubeconfig = 'absent.kubeconfig'".to_owned()),
        ("wrong key", format!("kind = 'aws'\nregion = 'us-east-1'\nendpoint = '{}'\naccess_key_id = {{ file = 'wrong.secret' }}\nsecret_access_key = {{ file = 'wrong.secret' }}", estate.ministack.endpoint())),
        ("no folder", "kind = 'manifest'\npath = 'absent'".to_owned()),
    ];
    for (name, backend) in backends {
        let mut place = Place::new(directory, "wrong.db");
        place.config = directory.join("wrong.toml");
        fs::write(
            &place.config,
            format!(
                "keys = 'wrong.keys'\n[backends.bad]\n{backend}\n[backends.repo]\nkind = 'manifest'\npath = 'manifests'\n"
            ),
        )?;
        let run = place.run(&["scan", "-o", "json"], None)?;
        ensure!(run.code == 3, "{name}: exit {}: {}", run.code, run.stderr);
        let scan = run.json()?;
        let views = scan["backends"].as_array().cloned().unwrap_or_default();
        let of = |wanted: &str| views.iter().find(|view| view["name"] == wanted).cloned().unwrap_or_default();
        ensure!(of("bad")["status"] == "failed" && !text(&of("bad"), "error").is_empty(), "{name}: {scan:#}");
        ensure!(
            of("repo")["counts"]["copies"].as_u64() > Some(3),
            "{name}: the manifests were not read: {scan:#}"
        );
        ensure!(!run.stderr.contains("panicked"), "{name}: {}", run.stderr);
        let doctor = place.run(&["doctor", "bad", "-o", "json"], None)?;
        ensure!(
            doctor.code == 3 && doctor.stdout.contains("failed"),
            "{name}: doctor: {} {}",
            doctor.code,
            doctor.stdout
        );
    }
    Ok(())
}

/// Names with HTML, escapes and formulas, and values that are no valid anything, go through every output harmlessly.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_and_values_do_no_harm() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    let place = Place::new(estate.directory(), "hostile.db");
    place.run(&["scan"], None)?.expect(3)?;
    for thing in ["credentials", "identities", "copies", "consumers", "findings"] {
        for format in ["table", "wide", "csv"] {
            let run = place.run(&["list", thing, "-o", format], None)?.expect(0)?;
            ensure!(!run.stdout.contains('\u{1b}'), "{thing} as {format} has an escape");
            if format == "csv" {
                for line in run.stdout.lines() {
                    let cells = line.split("\",\"").map(|cell| cell.trim_start_matches('"'));
                    ensure!(
                        cells.into_iter().all(|cell| !cell.starts_with(['=', '+', '@', '\t'])),
                        "a formula: {line}"
                    );
                }
            }
        }
    }
    let out = tempfile::tempdir()?;
    let file = out.path().join("report.html");
    place.run(&["report", "inventory", "--out", &file.display().to_string()], None)?.expect(0)?;
    let html = fs::read_to_string(&file)?;
    ensure!(
        html.contains("Content-Security-Policy") && !html.contains("<script"),
        "the page could run a script"
    );
    ensure!(!html.contains('\u{1b}'), "the page has an escape");
    Ok(())
}
