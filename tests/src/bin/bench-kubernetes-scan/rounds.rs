//! The measurements: in turns, so that a machine's mood falls on all alike.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::lab::assets;
use claviger_tests::lab::daemon::bare_command;
use claviger_tests::lab::kubernetes::Kubernetes;
use serde_json::Value;

use crate::cluster::{Cluster, HEAVY};
use crate::figures::{Figures, median, note};
use crate::process::{self, Run};

/// The goals: a scan takes no more than this part of kubectl's time, this multiple of a bare read, and this much memory.
const OF_KUBECTL: f64 = 0.15;
const OF_BARE_READ: f64 = 3.0;
const PEAK_MIB: f64 = 64.0;

/// Where a scan's stderr goes.
const ERRORS: &str = "scan.err";

pub(crate) struct Bench<'s> {
    server: &'s Kubernetes,
    cluster: &'s Cluster,
    claviger: Option<PathBuf>,
    kubectl: Option<PathBuf>,
    rounds: usize,
}

/// Two scans with the same database.
struct Scans {
    /// Into an empty database.
    first: Run,
    /// Of an unchanged cluster.
    second: Run,
    credentials: usize,
    database: u64,
    /// The pages of Secrets that the first one read.
    pages: Vec<Page>,
}

/// A page as the log has it.
struct Page {
    items: usize,
    bytes: usize,
}

impl<'s> Bench<'s> {
    pub(crate) fn new(
        server: &'s Kubernetes,
        cluster: &'s Cluster,
        claviger: Option<PathBuf>,
        kubectl: bool,
        rounds: usize,
    ) -> Result<Self> {
        let kubectl = kubectl.then(|| assets::path("kubectl")).transpose()?;
        Ok(Self { server, cluster, claviger, kubectl, rounds: rounds.max(1) })
    }

    /// At `count` Secrets. The goals are about the largest number.
    pub(crate) async fn measure(&self, count: usize, goals: bool, figures: &mut Figures) -> Result<()> {
        let prefix = format!("secrets_{count}");
        // Warms the server, and kubectl's cache of what the server offers.
        self.cluster.bare_read().await?;
        if self.kubectl.is_some() {
            self.run_kubectl(&["get", "namespaces"])?;
        }
        let (mut scans, mut listings, mut reads) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=self.rounds {
            note(&format!("{count} Secrets, round {round} of {}", self.rounds));
            if let Some(program) = &self.claviger {
                scans.push(self.scan_twice(program, "", count)?);
            }
            if self.kubectl.is_some() {
                listings.push(self.run_kubectl(&["get", "secrets", "-A", "-o", "json"])?);
            }
            reads.push(self.cluster.bare_read().await?);
        }

        figures.seconds(
            &format!("{prefix}.bare_read.wall"),
            median(reads.iter().map(|read| read.wall).collect()),
        );
        if let Some(read) = reads.last() {
            figures.mebibytes(&format!("{prefix}.bare_read.body"), read.bytes);
            figures.count(&format!("{prefix}.bare_read.pages"), read.pages, "pages");
        }
        if let Some(listing) = listings.last() {
            print_run(figures, &format!("{prefix}.kubectl_get"), &listings.iter().collect::<Vec<_>>());
            figures.mebibytes(&format!("{prefix}.kubectl_get.output"), listing.output_bytes);
        }
        if let Some(last) = scans.last() {
            let name = format!("{prefix}.claviger_scan");
            print_run(figures, &name, &scans.iter().map(|scans| &scans.first).collect::<Vec<_>>());
            figures.count(&format!("{name}.found"), last.credentials, "credentials");
            figures.mebibytes(&format!("{name}.database"), last.database);
            let again = format!("{prefix}.claviger_second_scan");
            print_run(figures, &again, &scans.iter().map(|scans| &scans.second).collect::<Vec<_>>());

            let wall = format!("{name}.wall");
            let (to_kubectl, to_bare) =
                (format!("{prefix}.ratio_to_kubectl"), format!("{prefix}.ratio_to_bare_read"));
            figures.ratio(&to_kubectl, &wall, &format!("{prefix}.kubectl_get.wall"));
            figures.ratio(&to_bare, &wall, &format!("{prefix}.bare_read.wall"));
            if goals {
                figures.goal(&to_kubectl, OF_KUBECTL);
                figures.goal(&to_bare, OF_BARE_READ);
                figures.goal(&format!("{name}.peak_rss"), PEAK_MIB);
                figures.goal(&format!("{again}.peak_rss"), PEAK_MIB);
            }
        }
        Ok(())
    }

    /// A scan of the heavy Secrets alone: pages must become smaller, and memory stay.
    pub(crate) fn measure_heavy(&self, count: usize, figures: &mut Figures) -> Result<()> {
        let Some(program) = &self.claviger else { return Ok(()) };
        note(&format!("{count} heavy Secrets"));
        let scans = self.scan_twice(program, &format!("include = [\"{HEAVY}\"]\n"), count)?;
        let name = "heavy.claviger_scan";
        print_run(figures, name, &[&scans.first]);
        print_run(figures, "heavy.claviger_second_scan", &[&scans.second]);
        figures.count(&format!("{name}.found"), scans.credentials, "credentials");
        let items = || scans.pages.iter().map(|page| page.items);
        figures.count(&format!("{name}.pages"), scans.pages.len(), "pages");
        figures.count(&format!("{name}.largest_page"), items().max().unwrap_or(0), "items");
        figures.count(&format!("{name}.median_page"), median(items().collect()), "items");
        let heaviest = scans.pages.iter().map(|page| page.bytes).max().unwrap_or(0);
        figures.mebibytes(&format!("{name}.heaviest_page"), heaviest as u64);
        figures.goal("heavy.claviger_scan.peak_rss", PEAK_MIB);
        Ok(())
    }

    fn run_kubectl(&self, arguments: &[&str]) -> Result<Run> {
        let program = self.kubectl.as_ref().context("kubectl")?;
        let home = self.server.directory().path();
        let mut command: Command = bare_command(program, home);
        command.arg("--kubeconfig").arg(self.server.kubeconfig()).args(arguments);
        let run = process::run(command, &home.join("kubectl.err"), false)?;
        ensure!(run.status.success(), "kubectl: {}", run.status);
        Ok(run)
    }

    /// Scans into an empty database, and once more.
    fn scan_twice(&self, program: &Path, settings: &str, planted: usize) -> Result<Scans> {
        let directory = tempfile::Builder::new().prefix("claviger-bench-").tempdir()?;
        let config = format!(
            "[backends.prod]\nkind = \"kubernetes\"\nkubeconfig = {:?}\n{settings}",
            self.server.kubeconfig()
        );
        std::fs::write(directory.path().join("claviger.toml"), config)?;
        let (first, answer) = scan(program, directory.path())?;
        let pages = pages(&std::fs::read_to_string(directory.path().join(ERRORS))?);
        let (second, _) = scan(program, directory.path())?;
        let credentials = answer["backends"][0]["counts"]["credentials"].as_u64().unwrap_or(0);
        let credentials = usize::try_from(credentials)?;
        ensure!(
            credentials >= planted,
            "the scan found {credentials} credentials of {planted} that are there"
        );
        let mut database = 0;
        for entry in std::fs::read_dir(directory.path())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("claviger.db") {
                database += entry.metadata()?.len();
            }
        }
        Ok(Scans { first, second, credentials, database, pages })
    }
}

fn scan(program: &Path, directory: &Path) -> Result<(Run, Value)> {
    let mut command = bare_command(program, directory);
    command.args(["scan", "-o", "json", "--log-format", "json"]);
    // A line for each page: nothing that could be measured.
    command.env("CLAVIGER_LOG", "claviger_backend_kubernetes=debug");
    let errors = directory.join(ERRORS);
    let run = process::run(command, &errors, true)?;
    if !run.status.success() {
        let said = std::fs::read_to_string(&errors).unwrap_or_default();
        anyhow::bail!("claviger scan: {}\n{}", run.status, said.trim());
    }
    let answer = serde_json::from_slice(&run.output).context("what claviger scan printed")?;
    Ok((run, answer))
}

/// The pages of Secrets in a log.
fn pages(log: &str) -> Vec<Page> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let fields = lines.map(|line| line["fields"].clone()).filter(|fields| fields["resource"] == "secrets");
    let number = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
    fields
        .filter_map(|fields| {
            Some(Page { items: number(&fields["items"])?, bytes: number(&fields["bytes"])? })
        })
        .collect()
}

fn print_run(figures: &mut Figures, name: &str, runs: &[&Run]) {
    let times = |of: fn(&Run) -> Duration| median(runs.iter().map(|run| of(run)).collect());
    // Of memory the worst: a peak is a peak.
    let most = |of: fn(&Run) -> u64| runs.iter().map(|run| of(run)).max().unwrap_or(0);
    figures.seconds(&format!("{name}.wall"), times(|run| run.wall));
    figures.seconds(&format!("{name}.user"), times(|run| run.user));
    figures.seconds(&format!("{name}.system"), times(|run| run.system));
    figures.mebibytes(&format!("{name}.peak_rss"), most(|run| run.peak_rss));
    figures.mebibytes(&format!("{name}.peak_anonymous"), most(|run| run.peak_anonymous));
}
