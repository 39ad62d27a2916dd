//! Short-lived identities in the place of static credentials, end to end: real Kubernetes, OpenBao, PostgreSQL and AWS API, and the real binary.
//!
//! The change of a manifest is its owner's here, by the patch that claviger writes: the tests are that owner.

mod access_key;
mod ci;
mod gate;
mod lease;

use std::{
    path::Path,
    process::{Child, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use claviger_tests::{
    binary,
    lab::{kubernetes::Kubernetes, private::write_private},
};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How many kills are spread over a swap, of which so many have to fall into it and not before its first commit.
pub(crate) const KILLS: u32 = 26;
pub(crate) const WITHIN: u32 = 20;
/// The program starts and plans for about so much of a run.
const START: f64 = 0.4;
/// A swap comes to its end within this time, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(240);

/// A run of the binary.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("no JSON (exit {}): {}\n{}", self.code, self.stdout, self.stderr))
    }

    pub(crate) fn expect(self, code: i32) -> Result<Self> {
        ensure!(self.code == code, "exit {} instead of {code}\n{}\n{}", self.code, self.stdout, self.stderr);
        Ok(self)
    }
}

/// Where claviger runs.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    /// With this configuration, and files beside it that only we may read.
    pub(crate) fn new(configuration: &str, files: &[(&str, &str)]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        for (name, text) in files {
            write_private(&directory.path().join(name), text)?;
        }
        let head = "database = \"sqlite://claviger.db\"\nkeys = \"keys\"\n[guards]\nmax_targets = 1000\nmax_share = 1.0\ncanary = 0\n";
        std::fs::write(directory.path().join("claviger.toml"), format!("{head}{configuration}"))?;
        let place = Self { directory };
        place.run(&["init", "--yes"])?.expect(0)?;
        Ok(place)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn start(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = binary::command(self.path())?;
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command.spawn()?)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Run> {
        Ok(Run::of(self.start(arguments)?.wait_with_output()?))
    }

    pub(crate) fn list(&self, thing: &str) -> Result<Vec<Value>> {
        let document = self.run(&["list", thing, "-o", "json"])?.expect(0)?.json()?;
        Ok(document["items"].as_array().context("items")?.clone())
    }

    /// Starts a swap whose patch goes into a folder of this name.
    fn swap(&self, subject: &str, folder: &str) -> Result<Child> {
        self.start(&["swap", subject, "--yes", "--patch", folder, "-o", "json"])
    }

    /// The state of the subject's swap; none before its first commit.
    pub(crate) fn state(&self, subject: &str) -> Result<Option<(String, String)>> {
        let swaps = self.list("swaps")?;
        let found = swaps.iter().find(|swap| text(swap, "ref") == subject);
        Ok(found.map(|swap| {
            let id = ["swap_id", "rotation_id", "id"].into_iter().find_map(|key| swap[key].as_str());
            (id.unwrap_or_default().to_owned(), text(swap, "state").to_owned())
        }))
    }
}

/// A text field of an item.
pub(crate) fn text<'a>(item: &'a Value, key: &str) -> &'a str {
    item[key].as_str().unwrap_or_default()
}

/// Whoever owns the manifests: applies each patch once, when it is there.
pub(crate) struct Owner<'a> {
    cluster: &'a Kubernetes,
    namespace: &'a str,
    workload: &'a str,
    applied: bool,
}

impl<'a> Owner<'a> {
    pub(crate) fn new(cluster: &'a Kubernetes, namespace: &'a str, workload: &'a str) -> Self {
        Self { cluster, namespace, workload, applied: false }
    }

    pub(crate) fn look(&mut self, folder: &Path) -> Result<()> {
        let file = folder.join(format!("{}-deployment-{}.patch.yaml", self.namespace, self.workload));
        // A file that is there may not be whole yet.
        let whole =
            std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n') && text.contains("spec:"));
        if self.applied || !whole {
            return Ok(());
        }
        let file = file.to_string_lossy();
        let (namespace, workload) = (self.namespace, self.workload);
        let patch =
            ["patch", "deployment", workload, "-n", namespace, "--type", "strategic", "--patch-file", &file];
        self.cluster.kubectl(&patch, None)?;
        self.applied = true;
        Ok(())
    }
}

/// One swap by its owner's patch, killed after this time or not at all, and then taken up again until it rests: how long the first run took.
pub(crate) async fn carried_out(
    place: &Place,
    subject: &str,
    folder: &str,
    owner: &mut Owner<'_>,
    kill: Option<Duration>,
) -> Result<Duration> {
    let folder_path = place.path().join(folder);
    let started = Instant::now();
    let mut child = place.swap(subject, folder)?;
    loop {
        if kill.is_some_and(|moment| started.elapsed() >= moment) {
            child.kill()?;
            child.wait()?;
            break;
        }
        if child.try_wait()?.is_some() {
            break;
        }
        ensure!(started.elapsed() < PATIENCE, "the swap of {subject} does not come to its end");
        owner.look(&folder_path)?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = started.elapsed();
    while matches!(place.state(subject)?, Some((_, state)) if !["done", "unwound", "stuck"].contains(&state.as_str()))
    {
        ensure!(started.elapsed() < PATIENCE * 2, "the swap of {subject} is not taken up to its end");
        owner.look(&folder_path)?;
        place.run(&["resume"])?;
    }
    Ok(took)
}

/// When a run is killed that takes so long whole. The first turn is not killed.
pub(crate) fn moment(whole: Duration, turn: u32) -> Option<Duration> {
    let share = START + (1.0 - START) * f64::from(turn) / f64::from(KILLS + 1);
    (turn > 0).then(|| whole.mul_f64(share))
}

/// Starts a swap that nobody's owner helps on, and kills it when it waits for the owner.
pub(crate) async fn halfway(place: &Place, subject: &str, folder: &str) -> Result<String> {
    let mut child = place.swap(subject, folder)?;
    let started = Instant::now();
    loop {
        ensure!(started.elapsed() < PATIENCE, "it never waits");
        if let Some((id, _)) = place.state(subject)? {
            let shown = place.list("swaps")?;
            let waits =
                shown.iter().any(|swap| text(swap, "ref") == subject && text(swap, "state") == "waiting");
            if waits {
                child.kill()?;
                child.wait()?;
                return Ok(id);
            }
        }
        if child.try_wait()?.is_some() {
            let Run { stdout, stderr, .. } = Run::of(child.wait_with_output()?);
            bail!("it ended: {stdout}\n{stderr}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A ServiceAccount, a Secret and a Deployment that reads these fields of it as variables.
pub(crate) fn workload(namespace: &str, name: &str, secret: &[(&str, &str)]) -> Vec<Value> {
    let env: Vec<Value> = secret
        .iter()
        .map(|(field, _)| json!({"name": field, "valueFrom": {"secretKeyRef": {"name": name, "key": field}}}))
        .collect();
    let data: serde_json::Map<String, Value> =
        secret.iter().map(|(field, value)| ((*field).to_owned(), json!(value))).collect();
    let labels = json!({"app": name});
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": data}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"serviceAccountName": name, "containers": [{"name": "app", "image": "app", "env": env}]}}}}),
    ]
}

/// A token of a ServiceAccount as its pods are given it.
pub(crate) async fn token_for(
    cluster: &Kubernetes,
    namespace: &str,
    name: &str,
    audience: &str,
) -> Result<String> {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600, "audiences": [audience]}});
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let body = cluster.request(Method::POST, &path, Some(&request)).await?.good("a token")?;
    Ok(text(&body["status"], "token").to_owned())
}
