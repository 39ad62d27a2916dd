//! How fast and how lean is a scan of a cluster with tens of thousands of Secrets?
//!
//! Starts a real control plane, plants Secrets, and measures `claviger scan` as a person runs it (a new process, an empty database) next to
//! `kubectl get secrets -A -o json` and to a bare paged read of the same answers, in turns. Figures go to stdout, one a line:
//! `name value unit`; what is going on goes to stderr. Nothing here fails because a machine is slow: it fails when a scan misses something.

mod cluster;
mod figures;
mod process;
mod rounds;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use claviger_tests::lab::kubernetes::Kubernetes;
use claviger_tests::lab::{assets, require};

use self::cluster::Cluster;
use self::figures::{Figures, note};
use self::rounds::Bench;

/// Benchmark of `claviger scan` on a real API server.
#[derive(Parser)]
#[command(name = "bench-kubernetes-scan")]
struct Arguments {
    /// At how many Secrets, in ascending order, it is measured.
    #[arg(long, value_delimiter = ',', default_value = "5000,20000")]
    secrets: Vec<usize>,
    /// Size of each value, in bytes.
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// Over how many namespaces they are spread.
    #[arg(long, default_value_t = 20)]
    namespaces: usize,
    /// How many heavy Secrets are planted after that, in a namespace of their own.
    #[arg(long, default_value_t = 300)]
    heavy: usize,
    /// Size of each heavy value, in bytes; the API server takes 1 MiB.
    #[arg(long, default_value_t = 900 << 10)]
    heavy_bytes: usize,
    /// How often each is measured, in turns; the median is printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections that plant.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// The program that is measured; else the one beside this one, so that both are of the same build.
    #[arg(long)]
    claviger: Option<PathBuf>,
    /// Measure kubectl and the bare read alone.
    #[arg(long)]
    skip_claviger: bool,
    /// Do not measure kubectl.
    #[arg(long)]
    skip_kubectl: bool,
}

impl Arguments {
    fn program(&self) -> Result<Option<PathBuf>> {
        if self.skip_claviger {
            return Ok(None);
        }
        let path = match &self.claviger {
            Some(path) => path.canonicalize().with_context(|| format!("{}", path.display()))?,
            None => std::env::current_exe()?.with_file_name("claviger"),
        };
        ensure!(path.exists(), "{} is not there: build it, or name one by --claviger", path.display());
        Ok(Some(path))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let program = arguments.program()?;
    assets::install()?;
    let Some(server) = require(Kubernetes::start().await) else { return Ok(()) };
    let mut figures = Figures::default();
    settings(&mut figures, &arguments, program.as_deref());

    let cluster = Cluster::new(&server, arguments.connections)?;
    let bench = Bench::new(&server, &cluster, program, !arguments.skip_kubectl, arguments.rounds)?;
    let mut planted = 0;
    for (number, count) in arguments.secrets.iter().copied().enumerate() {
        note(&format!("plants {} Secrets of {} bytes", count.saturating_sub(planted), arguments.bytes));
        let took = cluster.plant(planted..count, arguments.bytes, arguments.namespaces).await?;
        figures.seconds(&format!("secrets_{count}.planting.wall"), took);
        planted = planted.max(count);
        bench.measure(count, number + 1 == arguments.secrets.len(), &mut figures).await?;
    }
    figures.flatness(&arguments.secrets);
    if arguments.heavy > 0 {
        note(&format!("plants {} Secrets of {} bytes", arguments.heavy, arguments.heavy_bytes));
        let took = cluster.plant_heavy(arguments.heavy, arguments.heavy_bytes).await?;
        figures.seconds("heavy.planting.wall", took);
        bench.measure_heavy(arguments.heavy, &mut figures)?;
    }
    note("stops the servers");
    Ok(())
}

/// What the figures depend on.
fn settings(figures: &mut Figures, arguments: &Arguments, program: Option<&std::path::Path>) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    figures.count("setting.cores", cores, "cores");
    figures.count("setting.secret_bytes", arguments.bytes, "bytes");
    figures.count("setting.namespaces", arguments.namespaces, "namespaces");
    figures.count("setting.rounds", arguments.rounds, "rounds");
    figures.count("setting.page_of_bare_read", cluster::PAGE, "items");
    figures.word("setting.etcd_fsync", "off");
    if let Some(program) = program {
        let release = program.parent().is_some_and(|directory| directory.ends_with("release"));
        figures.word("setting.claviger_build", if release { "release" } else { "other" });
        figures.word("setting.database", "sqlite");
        figures.word("setting.sqlite_journal_mode", &figures::from_source("SqliteJournalMode::"));
        figures.word("setting.sqlite_synchronous", &figures::from_source("SqliteSynchronous::"));
    }
}
