//! How fast is `claviger rotate` over thousands of PostgreSQL roles?
//!
//! One server, one run: claviger (a login before, sealed value, SCRAM verifier, login with the new one, the copy in OpenBao by compare-and-set, a
//! refused login with the old one, journal and audit before each effect) beside OpenBao's own `rotate-role` over as many static roles
//! (no login), and beside the bare `ALTER ROLE` that both contain. Figures go to stdout, one a line: `name value unit`. Nothing here fails
//! because a machine is slow: it fails when a role is not in step afterwards.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use claviger_tests::{
    estate::{Estate, fleet::Fleet},
    lab::{assets, private::random_token, require},
};
use reqwest::Method;
use serde_json::json;

/// Benchmark of `claviger rotate` on a real PostgreSQL.
#[derive(Parser)]
#[command(name = "bench-postgresql-rotation")]
struct Arguments {
    /// How many roles each of the three rotates.
    #[arg(long, default_value_t = 2000)]
    roles: usize,
    /// Connections of the bare `ALTER ROLE`, and requests to OpenBao at the same time.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// The program that is measured; else the one beside this one.
    #[arg(long)]
    claviger: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let program = match &arguments.claviger {
        Some(path) => path.canonicalize()?,
        None => std::env::current_exe()?.with_file_name("claviger"),
    };
    ensure!(program.exists(), "{} is not there: build it, or name one by --claviger", program.display());
    assets::install()?;
    let Some(estate) = require(Estate::start().await) else { return Ok(()) };
    let estate = Arc::new(estate);
    let client = estate.postgres.connect("postgres").await?;
    for setting in ["server_version", "scram_iterations", "fsync", "synchronous_commit"] {
        let row = client.query_one("select current_setting($1, true)", &[&setting]).await?;
        let value: Option<String> = row.get(0);
        say(&format!("postgresql_{setting}"), value.as_deref().unwrap_or("unset"), "setting");
    }
    let (count, at_once) = (arguments.roles, arguments.connections);
    let fleet = Fleet::plant(&estate.postgres, &estate.openbao, "claviger", "bench", count).await?;
    let raw = Fleet::plant(&estate.postgres, &estate.openbao, "claviger", "raw", count).await?;
    let engine = Fleet::plant(&estate.postgres, &estate.openbao, "openbao_engine", "bao", count).await?;
    static_roles(&estate, &engine).await?;

    let bare = bare(&estate, &raw, at_once).await?;
    figure("bare_alter_role", count, bare);
    let openbao = rotate_role(&estate, &engine, at_once).await?;
    figure("openbao_rotate_role", count, openbao);
    for (name, database) in [
        ("sqlite", format!("sqlite://{}", estate.directory().join("bench.db").display())),
        ("postgresql", lifecycle(&estate).await?),
    ] {
        let before = fleet.held(&estate.openbao).await?;
        let claviger = |arguments: &[&str]| -> Result<Duration> {
            let begun = Instant::now();
            let status = Command::new(&program)
                .args(arguments)
                .current_dir(estate.directory())
                .env("CLAVIGER_DATABASE", &database)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status()?;
            // 3: the estate has places that may not be read.
            ensure!(matches!(status.code(), Some(0 | 3)), "{arguments:?}: {status}");
            Ok(begun.elapsed())
        };
        claviger(&["scan", "db", "vault", "-q"])?;
        let took = claviger(&["rotate", &fleet.selector(), "--yes", "-q"])?;
        fleet.in_step(&estate, &before).await?;
        figure(&format!("claviger_{name}"), count, took);
        ratio(&format!("claviger_{name}_to_bare"), took, bare);
        ratio(&format!("claviger_{name}_to_openbao"), took, openbao);
        claviger(&["audit", "verify", "-q"])?;
    }
    Ok(())
}

async fn lifecycle(estate: &Estate) -> Result<String> {
    let client = estate.postgres.connect("postgres").await?;
    client.batch_execute("CREATE DATABASE claviger_bench").await?;
    client.batch_execute("ALTER DATABASE claviger_bench SET synchronous_commit = on").await?;
    Ok(estate.postgres.url("claviger_bench"))
}

/// `ALTER ROLE` with a password, over so many connections.
async fn bare(estate: &Arc<Estate>, fleet: &Fleet, connections: usize) -> Result<Duration> {
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (estate, fleet, next) = (Arc::clone(estate), fleet.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            let client = estate.postgres.connect("postgres").await?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= fleet.count() {
                    return anyhow::Ok(());
                }
                let statement = format!("ALTER ROLE {} PASSWORD '{}'", fleet.role(index), random_token()?);
                client.batch_execute(&statement).await.context("alter role")?;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(begun.elapsed())
}

async fn static_roles(estate: &Estate, fleet: &Fleet) -> Result<()> {
    for index in 0..fleet.count() {
        let role = fleet.role(index);
        let body = json!({"db_name": "payments-pg", "username": role, "rotation_period": "8760h"});
        estate.openbao.write(&format!("database/static-roles/{role}"), &body).await?;
    }
    Ok(())
}

async fn rotate_role(estate: &Arc<Estate>, fleet: &Fleet, at_once: usize) -> Result<Duration> {
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        let (estate, fleet, next) = (Arc::clone(estate), fleet.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= fleet.count() {
                    return anyhow::Ok(());
                }
                let path = format!("database/rotate-role/{}", fleet.role(index));
                estate.openbao.request(Method::POST, &path, None).await?.good("rotate-role")?;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(begun.elapsed())
}

fn figure(name: &str, count: usize, took: Duration) {
    say(name, &format!("{:.2}", took.as_secs_f64()), "s");
    say(&format!("{name}_rate"), &format!("{:.1}", count as f64 / took.as_secs_f64()), "roles/s");
}

fn ratio(name: &str, ours: Duration, theirs: Duration) {
    say(name, &format!("{:.2}", ours.as_secs_f64() / theirs.as_secs_f64()), "x");
}

fn say(name: &str, value: &str, unit: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{name} {value} {unit}");
}
