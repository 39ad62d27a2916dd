//! Four workers on PostgreSQL, killed and frozen at random while real passwords rotate at PostgreSQL, with copies in OpenBao and in Kubernetes.
//!
//! What is asked at the end is asked of the targets, not of claviger: one value logs in, every former one is refused, every copy holds the one, and as
//! many values were written as rotations were done.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_core::random::{Random as _, SeededRandom};
use claviger_tests::{
    estate::fleet::Fleet,
    lab::{kubernetes::Kubernetes, openbao::OpenBao, postgres::Postgres, private::write_private},
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{House, PATIENCE, Serving, database};

const NAMESPACE: &str = "fleet";
/// Chooses who dies when.
const SEED: u64 = 20_251_128;
/// A worker that is frozen comes back after its leases have ended.
const FROZEN: Duration = Duration::from_secs(7);

#[tokio::test(flavor = "multi_thread")]
async fn four_workers_that_die_at_random_leave_one_live_value_each() -> Result<()> {
    println!("{}", Box::pin(campaign("fleet_short", 40, Duration::from_secs(75), 6)).await?);
    Ok(())
}

/// The size that the service has to stand.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a quarter of an hour: part of the campaign"]
async fn four_workers_that_die_for_ten_minutes_leave_500_credentials_in_step() -> Result<()> {
    println!("{}", Box::pin(campaign("fleet_long", 500, Duration::from_secs(600), 40)).await?);
    Ok(())
}

/// The servers, with so many roles in them.
struct Targets {
    postgres: Postgres,
    openbao: OpenBao,
    kubernetes: Kubernetes,
    fleet: Fleet,
}

impl Targets {
    async fn start(count: usize) -> Result<Self> {
        let (postgres, openbao) = (Postgres::start().await?, OpenBao::start().await?);
        let kubernetes = Kubernetes::start().await?;
        openbao.write("sys/mounts/kv", &json!({"type": "kv", "options": {"version": "2"}})).await?;
        // All versions are kept, so that every former value can be tried.
        openbao.write("kv/config", &json!({"max_versions": 1000})).await?;
        let fleet = Fleet::plant(&postgres, &openbao, postgres.user(), "fleet", count).await?;
        let mut objects =
            vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})];
        for (index, password) in
            fleet.held(&openbao).await?.iter().enumerate().filter(|(at, _)| in_secret(*at))
        {
            objects.push(json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": secret(index), "namespace": NAMESPACE},
                "data": {"username": STANDARD.encode(fleet.role(index)), "password": STANDARD.encode(password)}
            }));
        }
        kubernetes.create(&objects)?;
        Ok(Self { postgres, openbao, kubernetes, fleet })
    }

    /// A place whose policy has every role rotated at each minute.
    async fn house(&self, name: &str) -> Result<House> {
        let directory = tempfile::tempdir()?;
        write_private(&directory.path().join("bao.token"), self.openbao.token())?;
        write_private(&directory.path().join("db.password"), self.postgres.password())?;
        let configuration = format!(
            "database = \"{database}\"\nkeys = \"keys\"\nlease_seconds = 5\n\n\
             [backends.db]\nkind = \"postgresql\"\nurl = \"postgres://{user}@127.0.0.1:{port}/postgres\"\npassword = {{ file = \"db.password\" }}\n\n\
             [backends.vault]\nkind = \"vault\"\naddress = \"{address}\"\ntoken = {{ file = \"bao.token\" }}\ninclude = [\"kv\"]\n\n\
             [backends.prod]\nkind = \"kubernetes\"\nkubeconfig = \"{kubeconfig}\"\ncontext = \"lab\"\ninclude = [\"{NAMESPACE}\"]\n\n\
             [policies.fleet]\nmatch = \"{selector}\"\nschedule = \"* * * * *\"\nstrategy = \"replace\"\n\n\
             [guards]\nmax_targets = 1000\nmax_share = 1.0\ncanary = 0\n\n[budgets.db]\nconcurrency = 12\n\n[service]\nat_once = 4\n",
            database = database(&self.postgres, name).await?,
            user = self.postgres.user(),
            port = self.postgres.port(),
            address = self.openbao.address(),
            kubeconfig = self.kubernetes.kubeconfig().display(),
            selector = self.fleet.selector(),
        );
        House::at(directory, &configuration)
    }

    /// All values that OpenBao ever held of a role, the newest last.
    async fn values(&self, index: usize) -> Result<Vec<String>> {
        let path = format!("fleet/{index:04}");
        let metadata = self
            .openbao
            .request(Method::GET, &format!("kv/metadata/{path}"), None)
            .await?
            .good("its versions")?;
        let newest = metadata["data"]["current_version"].as_u64().context("a version")?;
        let mut values = Vec::new();
        for version in 1..=newest {
            let path = format!("kv/data/{path}?version={version}");
            let answer = self.openbao.request(Method::GET, &path, None).await?;
            let password = answer.body["data"]["data"]["password"].as_str();
            values.push(password.with_context(|| format!("version {version} of {path}"))?.to_owned());
        }
        Ok(values)
    }

    /// What the Secret of a role holds.
    async fn in_kubernetes(&self, index: usize) -> Result<String> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{}", secret(index));
        let object = self.kubernetes.request(Method::GET, &path, None).await?.good("a Secret")?;
        let encoded = object["data"]["password"].as_str().context("a password")?;
        Ok(String::from_utf8(STANDARD.decode(encoded)?)?)
    }

    /// Each role accepts what all of its copies hold and nothing that it had before; gives how many values each one has had since it was planted.
    async fn in_step(&self) -> Result<BTreeMap<String, usize>> {
        let mut changes = BTreeMap::new();
        for index in 0..self.fleet.count() {
            let (role, mut values) = (self.fleet.role(index), self.values(index).await?);
            changes.insert(role.clone(), values.len() - 1);
            let present = values.pop().context("a value")?;
            ensure!(
                self.postgres.accepts(&role, &present).await?,
                "what OpenBao holds of {role} does not log in: {} values were written before it",
                values.len()
            );
            if in_secret(index) {
                ensure!(
                    self.in_kubernetes(index).await? == present,
                    "the Secret of {role} is out of step with OpenBao"
                );
            }
            for former in &values {
                ensure!(*former != present, "{role} has a value again that it had before");
                ensure!(!self.postgres.accepts(&role, former).await?, "a former value of {role} logs in");
            }
        }
        Ok(changes)
    }
}

/// Of three roles one has its copy in OpenBao alone.
fn in_secret(index: usize) -> bool {
    !index.is_multiple_of(3)
}

fn secret(index: usize) -> String {
    format!("fleet-{index:04}")
}

/// Below `limit`, by the seed.
fn below(random: &SeededRandom, limit: u64) -> u64 {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    u64::from_be_bytes(bytes) % limit
}

/// Firings that a process has begun and not ended.
fn under_way(worker: &Serving) -> Result<usize> {
    let said = worker.said()?;
    Ok(said.matches(" fires ").count().saturating_sub(said.matches(" fired ").count()))
}

/// What was done to the workers.
#[derive(Debug, Default)]
struct Struck {
    kills: usize,
    freezes: usize,
    /// Firings that they were in the middle of.
    interrupted: usize,
}

/// Kills, at times freezes, one after the other for as long as this.
async fn strike(house: &House, workers: &mut [Serving], length: Duration) -> Result<Struck> {
    let (random, begun, mut struck) = (SeededRandom::new(SEED), Instant::now(), Struck::default());
    while begun.elapsed() < length {
        tokio::time::sleep(Duration::from_millis(300 + below(&random, 2700))).await;
        let at = usize::try_from(below(&random, 4))?;
        struck.interrupted += under_way(&workers[at])?;
        if below(&random, 6) == 0 {
            workers[at].signal("-STOP")?;
            tokio::time::sleep(FROZEN).await;
            workers[at].signal("-CONT")?;
            struck.freezes += 1;
        } else {
            let next = house.serve("scheduler,worker")?;
            std::mem::replace(&mut workers[at], next).kill()?;
            struck.kills += 1;
        }
    }
    Ok(struck)
}

/// Waits until nothing is claimed and no rotation is under way.
async fn settled(house: &House, workers: &[Serving]) -> Result<()> {
    let (begun, mut left) = (Instant::now(), Vec::new());
    while begun.elapsed() < PATIENCE {
        left = house.items(&["list", "rotations"])?;
        left.retain(|rotation| rotation["state"] != "done" && rotation["state"] != "unwound");
        let mut firings = house.items(&["schedule", "list"])?;
        firings.retain(|firing| firing["state"] == "claimed" || firing["state"] == "open");
        left.extend(firings);
        if left.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    anyhow::bail!("never at rest: {left:#?}\n{}", workers[0].said()?)
}

/// Each firing began at most one rotation and no rotation belongs to two; gives how many were done of each role, those by hand included.
fn once_each(house: &House) -> Result<BTreeMap<String, usize>> {
    let rotations = house.items(&["list", "rotations"])?;
    let firings = house.items(&["schedule", "list", "--done", "--limit", "100000"])?;
    let mut instants = BTreeSet::new();
    let mut begun = BTreeSet::new();
    for firing in &firings {
        let instant = (firing["credential"].to_string(), firing["due_at"].to_string());
        ensure!(instants.insert(instant), "an instant fired twice: {firing:#}");
        if let Some(id) = firing["rotation_id"].as_str() {
            ensure!(begun.insert(id.to_owned()), "one rotation of two firings: {firing:#}");
        }
    }
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    for rotation in &rotations {
        let id = rotation["rotation_id"].as_str().context("an id")?;
        ensure!(
            rotation["cause"] != "schedule" || begun.contains(id),
            "a rotation by schedule that no firing knows: {rotation:#}"
        );
        if rotation["state"] == "done" {
            let role = rotation["ref"].as_str().and_then(|at| at.rsplit('/').next()).context("a role")?;
            *done.entry(role.to_owned()).or_default() += 1;
        }
    }
    Ok(done)
}

async fn campaign(name: &str, count: usize, length: Duration, least: usize) -> Result<String> {
    let targets = require_lab!(Targets::start(count).await, Ok(String::new()));
    let house = targets.house(name).await?;
    let scanned = house.run(&["scan"])?;
    ensure!(scanned.code == 0 || scanned.code == 3, "scan: {}", scanned.stderr);
    // PostgreSQL does not say how old a password is: from the first rotation on it is known.
    let first: Value = house.json(&["rotate", &targets.fleet.selector(), "--yes"])?;
    ensure!(first["rotations"].as_array().context("rotations")?.len() == count, "{first:#}");

    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(house.serve("scheduler,worker")?);
    }
    let struck = strike(&house, &mut workers, length).await?;
    // What is due from now on waits; what was begun is brought to its end by those who live.
    house.json(&["schedule", "pause", "--all", "--reason", "the trial is over"])?;
    settled(&house, &workers).await?;

    let changes = targets.in_step().await.with_context(|| format!("seed {SEED}: {struck:?}"))?;
    let done = once_each(&house)?;
    ensure!(
        changes == done,
        "values written at OpenBao and rotations done are not the same: {:#?}",
        changes.iter().filter(|(role, count)| done.get(*role) != Some(*count)).collect::<Vec<_>>()
    );
    let verdict = house.json(&["audit", "verify"])?;
    ensure!(verdict["valid"] == true, "{verdict:#}");
    let (all, fewest) = (done.values().sum::<usize>(), done.values().min().copied().unwrap_or(0));
    ensure!(
        struck.kills >= least && struck.interrupted >= least / 2,
        "seed {SEED}: {struck:?}: too little was interrupted"
    );
    ensure!(all > count, "nothing was rotated by its schedule");
    Ok(format!(
        "seed {SEED}: {count} credentials, four workers, {} s: {struck:?}; {all} rotations, {fewest} at least of each; {} entries verify",
        length.as_secs(),
        verdict["entries"]
    ))
}
