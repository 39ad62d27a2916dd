//! How fast is `claviger revoke` over thousands of ServiceAccount token Secrets?
//!
//! One API server, one run: claviger (a login with each token before, its suspension and a refused login, the delete, the wait for the server's
//! cache, a refused login again with our own credential accepted beside it, journal and audit before each effect, a receipt) beside
//! `kubectl delete` and beside bare deletes, which prove nothing, over as many. Figures go to stdout, one a line: `name value unit`. Nothing here
//! fails because a machine is slow: it fails when a Secret is left, or a token without a proof.

mod fleet;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use claviger_tests::lab::{assets, kubernetes::Kubernetes, require};
use serde_json::Value;

use crate::fleet::Fleet;

/// How many proofs the time to the first of them is told for.
const FIRST: usize = 100;

/// Benchmark of `claviger revoke` on a real Kubernetes API server.
#[derive(Parser)]
#[command(name = "bench-kubernetes-revocation")]
struct Arguments {
    /// How many token Secrets each of the three ends.
    #[arg(long, default_value_t = 2000)]
    secrets: usize,
    /// Connections of the bare deletes.
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
    let Some(cluster) = require(Kubernetes::start().await) else { return Ok(()) };
    let count = arguments.secrets;
    let [ours, kubectl, bare] = ["bench-claviger", "bench-kubectl", "bench-bare"];
    let mut fleets = Vec::new();
    for namespace in [ours, kubectl, bare] {
        fleets.push(Fleet::plant(&cluster, namespace, count, arguments.connections).await?);
    }

    let begun = Instant::now();
    fleets[2].delete(&cluster, arguments.connections).await?;
    let bare = begun.elapsed();
    figure("bare_delete", count, bare);
    fleets[2].is_gone(&cluster).await?;

    let begun = Instant::now();
    cluster.kubectl(&["delete", "secrets", "--namespace", kubectl, "--selector", "bench=token"], None)?;
    let kubectl = begun.elapsed();
    figure("kubectl_delete", count, kubectl);
    fleets[1].is_gone(&cluster).await?;

    let home = tempfile::tempdir()?;
    configure(home.path(), &cluster)?;
    let claviger = |arguments: &[&str]| -> Result<Vec<u8>> {
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(home.path()).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command.output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", output.status);
        Ok(output.stdout)
    };
    let begun = Instant::now();
    claviger(&["scan", "-q"])?;
    say("claviger_scan", &format!("{:.2}", begun.elapsed().as_secs_f64()), "s");
    let selector = format!("prod/{ours}/Secret/*");
    // What time it is the file system tells: receipts have times of the wall clock.
    let mark = home.path().join("begun");
    std::fs::write(&mark, "")?;
    let (begun, since) = (Instant::now(), std::fs::metadata(&mark)?.modified()?);
    let answer = claviger(&["revoke", &selector, "--reason", "benchmark", "--yes", "-q", "-o", "json"])?;
    let took = begun.elapsed();
    let answer: Value = serde_json::from_slice(&answer)?;
    let proven = proofs(&answer, since)?;
    ensure!(proven.len() == count, "{} of {count} are proven", proven.len());
    fleets[0].is_gone(&cluster).await?;
    fleets[0].is_refused(&cluster).await?;
    figure("claviger_revoke", count, took);
    ratio("claviger_to_kubectl", took, kubectl);
    ratio("claviger_to_bare", took, bare);
    let first = proven.get(FIRST.min(count) - 1).copied().unwrap_or_default();
    say("claviger_first_100_proven", &format!("{:.2}", first.as_secs_f64()), "s");
    claviger(&["audit", "verify", "-q"])?;
    Ok(())
}

fn configure(home: &Path, cluster: &Kubernetes) -> Result<()> {
    let toml = format!(
        "database = \"sqlite://bench.db\"\nkeys = \"keys\"\n[backends.prod]\nkind = \"kubernetes\"\nkubeconfig = \"{}\"\n",
        cluster.kubeconfig().display()
    );
    Ok(std::fs::write(home.join("claviger.toml"), toml)?)
}

/// When each proof was made, from the start of the command on, in order.
fn proofs(answer: &Value, since: SystemTime) -> Result<Vec<Duration>> {
    let receipts = answer["receipts"].as_array().context("receipts")?;
    let start = since.duration_since(UNIX_EPOCH)?;
    let mut times = Vec::new();
    for receipt in receipts.iter().filter(|receipt| receipt["verdict"] == "proven") {
        let at = receipt["observed_at"].as_str().context("a time")?;
        let at = fleet::instant(at).with_context(|| format!("{at} is no time"))?;
        times.push(at.saturating_sub(start));
    }
    times.sort_unstable();
    Ok(times)
}

fn figure(name: &str, count: usize, took: Duration) {
    say(name, &format!("{:.2}", took.as_secs_f64()), "s");
    say(&format!("{name}_rate"), &format!("{:.1}", count as f64 / took.as_secs_f64()), "secrets/s");
}

fn ratio(name: &str, ours: Duration, theirs: Duration) {
    say(name, &format!("{:.2}", ours.as_secs_f64() / theirs.as_secs_f64()), "x");
}

fn say(name: &str, value: &str, unit: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{name} {value} {unit}");
}
