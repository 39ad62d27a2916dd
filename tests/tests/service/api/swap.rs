//! Swaps: planned, carried out, watched and taken back over the API, and at `--server` told as at the database.

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use claviger_backend_simulated::{
    Estate, EstateFile,
    estate::{
        self, Container, Deployment, Mount, ObjectKind, ObjectName, Planted, Secret, SecretType, VaultToken,
    },
};
use claviger_core::{
    clock::{Clock as _, SystemClock},
    model::Labels,
    random::SeededRandom,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Asker, remote::Desk};
use crate::house::{House, PATIENCE, Serving};

const SWAPS: &str = "/api/v1/swaps";
const NAMESPACE: &str = "ci";
/// A token Secret, and a token of the secret store that lies in another Secret.
const TOKEN: &str = "sim/k8s/ci/Secret/runner-token";
const STORED: &str = "sim/auth/token/accessor/puller";
/// Its issuer tells days, of which the one of the swap is never over in time.
const BLIND: &str = "[policies.tokens]\nmatch = \"kind=service-account-token\"\nevidence = \"blind\"\n";

/// The demo's estate, with a workload that reads each of the two.
fn planted() -> Result<Estate> {
    let now = SystemClock.now();
    let mut estate = estate::demo(&SeededRandom::new(31), now);
    let value = Planted::text("hvs.CAESIJ-a-token-that-a-pod-has-had-for-long");
    let token = VaultToken {
        value: value.clone(),
        display_name: "puller".to_owned(),
        policies: vec!["pull".to_owned(), "default".to_owned()],
        created_at: now - TimeDelta::days(200),
        expires_at: None,
        made_by: None,
        entity: None,
    };
    estate.secret_store.tokens.insert("puller".to_owned(), token);
    let held = estate.cluster.namespaces.get_mut(NAMESPACE).context("its namespace")?;
    let mut secret = held.secrets.get("deployer-token").context("a token")?.clone();
    if let SecretType::ServiceAccountToken { last_used, .. } = &mut secret.kind {
        *last_used = Some(now - TimeDelta::days(3));
    }
    secret.uid = "runner".to_owned();
    let data = [("token".to_owned(), value)].into();
    let copy = Secret { uid: "vault".to_owned(), kind: SecretType::Opaque, data, ..secret.clone() };
    held.secrets.insert("runner-token".to_owned(), secret);
    held.secrets.insert("vault-token".to_owned(), copy);
    let tokens = estate.legacy_tokens(NAMESPACE);
    let held = estate.cluster.namespaces.get_mut(NAMESPACE).context("its namespace")?;
    for (name, read) in [("runner", "runner-token"), ("puller", "vault-token")] {
        let object = ObjectName { kind: ObjectKind::Secret, name: read.to_owned() };
        let mounts = vec![Mount { object, sub_path: None }];
        let deployment = Deployment {
            version: 1,
            created_at: now - TimeDelta::days(90),
            labels: Labels::new(),
            replicas: 1,
            service_account: Some("deployer".to_owned()),
            image_pull_secrets: Vec::new(),
            containers: vec![Container { name: "app".to_owned(), mounts, ..Container::default() }],
            witness: None,
            broken: None,
            breaks: 0,
            pods: Vec::new(),
            rollouts: Vec::new(),
            written_by: None,
            projections: Vec::new(),
        };
        held.deployments.insert(name.to_owned(), deployment);
        held.start(name, now - TimeDelta::hours(30), &tokens).map_err(anyhow::Error::msg)?;
    }
    Ok(estate)
}

fn house() -> Result<House> {
    let house = House::new(1, "sqlite://claviger.db", BLIND)?;
    let estate = planted()?;
    file(&house).edit(|there| *there = estate)?;
    house.run(&["scan"])?;
    ensure!(!house.items(&["list", "credentials", TOKEN])?.is_empty(), "the scan has not found it");
    Ok(house)
}

fn file(house: &House) -> EstateFile {
    EstateFile::new(house.path().join("estate.json"))
}

async fn serving(house: &House) -> Result<Serving> {
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    Ok(service)
}

/// What a workload's pods read, by place.
fn read_by(house: &House, name: &str) -> Result<Vec<String>> {
    let estate = file(house).load()?;
    let deployment = estate.cluster.namespaces[NAMESPACE].deployments.get(name).context("it")?;
    ensure!(!deployment.pods.is_empty(), "{name} has no pods");
    Ok(deployment.pods.iter().flat_map(|pod| pod.holds.keys().cloned()).collect())
}

/// What the command says, without its log.
fn told(stderr: &str) -> String {
    stderr.lines().filter(|line| !line.contains("  WARN ")).map(|line| format!("{line}\n")).collect()
}

fn is_own(place: &str) -> bool {
    place.starts_with("ServiceAccount/")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_is_planned_begun_once_watched_and_done() -> Result<()> {
    let house = house()?;
    let service = serving(&house).await?;
    let operator = Asker::with(&house, &service, "ops", &["--role", "operator"])?;
    let how = json!({ "selector": TOKEN });
    let planned = operator.post("/api/v1/plans", &json!({ "swap": how })).await?.body;
    let printed = house.json(&["swap", TOKEN, "--dry-run"])?;
    ensure!(planned == printed, "{planned:#} is not {printed:#}");
    ensure!(planned["patches"][0]["file"] == "k8s-ci-Deployment-runner.patch.yaml", "{planned:#}");
    for role in ["viewer", "approver", "responder"] {
        let other = Asker::with(&house, &service, role, &["--role", role])?;
        let body = json!({ "plan": planned["hash"], "how": how });
        other.post(SWAPS, &body).await?.must_be(403, "CLV0621")?;
    }
    let other = json!({ "plan": "0".repeat(64), "how": how });
    operator.post(SWAPS, &other).await?.must_be(409, "CLV0625")?;
    // What is no candidate is refused in the plan, and cannot be begun.
    let refused = operator.post("/api/v1/plans", &json!({ "swap": { "selector": "kind=password" } })).await?;
    ensure!(
        refused.body["subjects"] == json!([]) && refused.body["refused"][0]["code"].is_string(),
        "{refused:?}"
    );
    let nothing = json!({ "plan": refused.body["hash"], "how": { "selector": "kind=password" } });
    operator.post(SWAPS, &nothing).await?.must_be(403, "CLV0400")?;
    ensure!(house.items(&["list", "swaps"])?.is_empty(), "something was begun");

    let body = json!({ "plan": planned["hash"], "how": how, "reason": "a test" }).to_string();
    let key = [("idempotency-key", "one")];
    let first = operator.send(Method::POST, SWAPS, &key, Some(&body)).await?;
    ensure!(first.status == 202 && first.body["failed"] == json!([]), "{first:?}");
    let id = first.body["ids"][0]["rotation_id"].as_str().context("an id")?.to_owned();
    let place = format!("{SWAPS}/{id}");
    ensure!(first.headers["location"] == place.as_str(), "{first:?}");
    let again = operator.send(Method::POST, SWAPS, &key, Some(&body)).await?;
    ensure!(again.headers["idempotency-replayed"] == "true" && again.body == first.body, "{again:?}");
    let events = operator.get(&format!("{place}/events")).await?;
    let names: Vec<_> = events.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    ensure!(names.contains(&"step") && names.last() == Some(&"end"), "{events:?}");
    let whole = operator.get(&place).await?.body;
    ensure!(whole["state"] == "done" && whole["schema"] == "claviger.swap/v1", "{whole:#}");
    ensure!(whole["receipts"][0]["verdict"] == "proven", "{whole:#}");
    ensure!(read_by(&house, "runner")?.iter().all(|place| is_own(place)), "{:?}", read_by(&house, "runner")?);
    let there = operator.get(SWAPS).await?.body;
    ensure!(
        there == house.json(&["list", "swaps"])? && there["items"][0]["rotation_id"] == id.as_str(),
        "{there:#}"
    );
    for way in ["rollback-plan", "rollback", "resume", "resolve"] {
        let body = match way {
            "rollback" => json!({ "plan": planned["hash"] }),
            "resolve" => json!({ "decision": "retry", "reason": "x" }),
            _ => json!({}),
        };
        // It is over; under another name it is not there.
        if way.starts_with("rollback") {
            operator.post(&format!("{place}/{way}"), &body).await?.must_be(403, "CLV0400")?;
        }
        let elsewhere = format!("/api/v1/rotations/{id}/{way}");
        operator.post(&elsewhere, &body).await?.must_be(404, "CLV0622")?;
    }
    let log = house.run(&["audit", "export"])?.stdout;
    ensure!(log.lines().any(|line| line.contains(&id) && line.contains("ops@token")), "nobody told");
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_waits_for_a_person_is_taken_back() -> Result<()> {
    let house = house()?;
    let service = serving(&house).await?;
    let operator = Asker::with(&house, &service, "ops", &["--role", "operator"])?;
    let how = json!({ "selector": STORED, "by_hand": true });
    let planned = operator.post("/api/v1/plans", &json!({ "swap": how })).await?.body;
    ensure!(planned["patches"][0]["by_hand"].is_string(), "{planned:#}");
    ensure!(planned["arrangements"][0]["at"].is_string(), "{planned:#}");
    let body = json!({ "plan": planned["hash"], "how": how });
    let begun = operator.post(SWAPS, &body).await?;
    ensure!(begun.status == 202, "{begun:?}");
    let id = begun.body["ids"][0]["rotation_id"].as_str().context("an id")?.to_owned();
    let place = format!("{SWAPS}/{id}");
    operator.until(&place, "waiting").await?;
    ensure!(!file(&house).load()?.secret_store.kubernetes_roles.is_empty(), "no role was made");
    let back = operator.post(&format!("{place}/rollback-plan"), &json!({})).await?;
    ensure!(back.status == 200 && back.body["schema"] == "claviger.rollback-plan/v1", "{back:?}");
    let wrong = json!({ "plan": "0".repeat(64), "wait": true });
    operator.post(&format!("{place}/rollback"), &wrong).await?.must_be(409, "CLV0625")?;
    let body = json!({ "plan": back.body["hash"], "wait": true, "reason": "not now" });
    let taken = operator.post(&format!("{place}/rollback"), &body).await?;
    let outcome = &taken.body["outcomes"][0];
    ensure!(taken.status == 200 && outcome["schema"] == "claviger.swap/v1", "{taken:?}");
    ensure!(outcome["state"] == "unwound", "{taken:?}");
    ensure!(file(&house).load()?.secret_store.kubernetes_roles.is_empty(), "its role is left");
    ensure!(
        read_by(&house, "puller")?.iter().all(|place| !is_own(place)),
        "{:?}",
        read_by(&house, "puller")?
    );
    ensure!(house.json(&["audit", "verify"])?["valid"] == true, "the log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn swaps_are_told_at_a_service_as_here() -> Result<()> {
    let house = house()?;
    let service = serving(&house).await?;
    let desk = Desk::new(&house, &service, "root", &["--role", "admin"])?;
    let commands: &[&[&str]] = &[
        &["swap", TOKEN, "--dry-run"],
        &["swap", STORED, "--dry-run"],
        &["swap", STORED, "--dry-run", "--patch", "patches"],
        &["swap", "kind=password", "--dry-run"],
        &["swap", TOKEN, "--plan-hash", "0000"],
        &["swap", TOKEN],
        &["swap", "nowhere", "--dry-run"],
        &["swap", "--where", "kind == \"service-account-token\"", "--dry-run"],
        &["list", "swaps"],
    ];
    for command in commands {
        for format in ["table", "json", "yaml", "csv"] {
            let arguments = [*command, &["-o", format]].concat();
            let (there, here) = (desk.run(&arguments)?, house.run(&arguments)?);
            ensure!(there.code == here.code, "{arguments:?}: {}\nis not\n{}", there.stderr, here.stderr);
            ensure!(there.stdout == here.stdout, "{arguments:?}:\n{}\nis not\n{}", there.stdout, here.stdout);
            // What a backend answered is logged by whoever asked it, which is the service there.
            let said = told(&here.stderr);
            ensure!(there.stderr == said, "{arguments:?}:\n{}\nis not\n{said}", there.stderr);
        }
    }
    let patch = |directory: &std::path::Path| {
        std::fs::read_to_string(directory.join("patches/k8s-ci-Deployment-puller.patch.yaml"))
    };
    let written = patch(desk.directory.path()).context("at the desk")?;
    ensure!(written == patch(house.path())? && !written.is_empty(), "{written}");
    let plan = desk.json(&["swap", TOKEN, "--dry-run"])?;
    let hash = plan["hash"].as_str().context("a hash")?;
    let done = desk.json(&["swap", TOKEN, "--plan-hash", hash, "--reason", "a test"])?;
    ensure!(done["schema"] == "claviger.swap/v1" && done["swaps"][0]["state"] == "done", "{done:#}");
    ensure!(done["receipts"][0]["verdict"] == "proven" && done.get("rotations").is_none(), "{done:#}");
    let expected: Value = {
        let mut plan = plan.clone();
        let fields = plan.as_object_mut().context("a plan")?;
        fields.remove("schema");
        fields.remove("approvals");
        plan
    };
    ensure!(done["plan"] == expected, "{done:#}");
    let id = done["swaps"][0]["rotation_id"].as_str().context("an id")?;
    for command in
        [&["rollback", id, "--dry-run"][..], &["resolve", id, "--close", "--reason", "x"], &["list", "swaps"]]
    {
        let (there, here) = (desk.run(command)?, house.run(command)?);
        ensure!(there.code == here.code, "{command:?}: {} is not {}", there.code, here.code);
        ensure!(there.stdout == here.stdout && there.stderr == here.stderr, "{command:?}: {}", there.stderr);
    }
    ensure!(read_by(&house, "runner")?.iter().all(|place| is_own(place)), "{:?}", read_by(&house, "runner")?);
    // One that waits for a person is taken back from afar.
    let waits = desk.run(&["swap", STORED, "--patch", "patches", "--yes", "-o", "json"])?;
    let waits: Value = serde_json::from_str(&waits.stdout).context(waits.stderr)?;
    ensure!(waits["swaps"][0]["state"] == "waiting", "{waits:#}");
    let id = waits["swaps"][0]["rotation_id"].as_str().context("an id")?;
    let back = desk.json(&["rollback", id, "--yes", "--reason", "not now"])?;
    ensure!(back["rotations"][0]["state"] == "unwound", "{back:#}");
    ensure!(file(&house).load()?.secret_store.kubernetes_roles.is_empty(), "its role is left");
    Ok(())
}
