//! The rotation of a ServiceAccount's token Secret on the real servers: another Secret beside it, whoever names the old one is made to name the
//! new one, and no moment in which a consumer cannot log in.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, lab::daemon::eventually, require_lab};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Place, recovery::decoded, text};

const NS: &str = "ops";
const SUBJECT: &str = "prod/ops/Secret/rotor-token";
/// Workloads: mounts the Secret, reads it into a variable, mounts the kubeconfig.
const MOUNTS: &str = "rotor-mount";
const READS: &str = "rotor-env";
const USES: &str = "rotor-kubeconfig";

/// What the servers say, asked without claviger.
struct Servers(Arc<Estate>);

impl Servers {
    async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.0.kubernetes.request(Method::GET, path, None).await?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        Ok(answer.body)
    }

    async fn secret(&self, name: &str) -> Result<Value> {
        self.get(&format!("/api/v1/namespaces/{NS}/secrets/{name}")).await
    }

    async fn token(&self, name: &str) -> Result<String> {
        decoded(&self.secret(name).await?["data"]["token"])
    }

    /// Is this token let in? What it may do does not matter.
    async fn accepts(&self, token: &str) -> Result<bool> {
        let path = format!("/api/v1/namespaces/{NS}/pods");
        Ok(self.0.kubernetes.request_as(token, Method::GET, &path, None).await?.status != 401)
    }

    /// The tokens in the two copies.
    async fn copies(&self) -> Result<[String; 2]> {
        let kubeconfig = decoded(&self.secret("rotor-access").await?["data"]["kubeconfig"])?;
        let kubeconfig: Value = serde_json::from_str(&kubeconfig)?;
        let kv = self.0.openbao.request(Method::GET, "kv/data/ops/rotor", None).await?.body;
        let kv = &kv["data"]["data"];
        ensure!(kv["cluster"] == "lab", "a field beside the token was changed: {}", kv["cluster"]);
        Ok([text(&kubeconfig["users"][0]["user"], "token").to_owned(), text(kv, "token").to_owned()])
    }

    /// Which token Secret a workload names.
    async fn named_by(&self, workload: &str) -> Result<String> {
        let path = format!("/apis/apps/v1/namespaces/{NS}/deployments/{workload}");
        let object = self.get(&path).await?;
        Ok(named_in(&object["spec"]["template"]["spec"]).to_owned())
    }

    /// The account's token Secrets.
    async fn token_secrets(&self) -> Result<Vec<String>> {
        let list = self.get(&format!("/api/v1/namespaces/{NS}/secrets")).await?;
        let of_rotor = list["items"].as_array().context("Secrets")?.iter().filter(|secret| {
            secret["metadata"]["annotations"]["kubernetes.io/service-account.name"] == "rotor"
        });
        Ok(of_rotor.map(|secret| text(&secret["metadata"], "name").to_owned()).collect())
    }

    /// Versions of the namespace's Secrets that no rotation of ours has to do with.
    async fn bystanders(&self) -> Result<BTreeMap<String, String>> {
        let list = self.get(&format!("/api/v1/namespaces/{NS}/secrets")).await?;
        let all = list["items"].as_array().context("Secrets")?.iter().map(|secret| &secret["metadata"]);
        let others = all.filter(|meta| !text(meta, "name").starts_with("rotor-"));
        Ok(others
            .map(|meta| (text(meta, "name").to_owned(), text(meta, "resourceVersion").to_owned()))
            .collect())
    }

    /// All are on one Secret, and its token is in each copy. Gives the Secret's name.
    async fn in_step(&self) -> Result<String> {
        let name = self.named_by(MOUNTS).await?;
        ensure!(self.named_by(READS).await? == name, "the workloads name two Secrets");
        let token = self.token(&name).await?;
        ensure!(self.copies().await? == [token.clone(), token.clone()], "the copies are out of step");
        ensure!(self.accepts(&token).await?, "the token of {name} is not accepted");
        ensure!(self.token_secrets().await? == [name.clone()], "left: {:?}", self.token_secrets().await?);
        Ok(name)
    }
}

fn named_in(spec: &Value) -> &str {
    let mounted = spec["volumes"][0]["secret"]["secretName"].as_str();
    mounted.unwrap_or_else(|| text(&spec["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"], "name"))
}

fn deployment(name: &str, container: Value, volumes: Value) -> Value {
    let mut container = container;
    (container["name"], container["image"]) = ("c".into(), "registry.lab.internal/c:1".into());
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NS},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
            "spec": {"containers": [container], "volumes": volumes}}}})
}

/// An account whose token lies in its Secret, in a kubeconfig and in OpenBao, with three workloads.
async fn plant(servers: &Servers) -> Result<String> {
    let (kubernetes, openbao) = (&servers.0.kubernetes, &servers.0.openbao);
    let meta = |name: &str| json!({"name": name, "namespace": NS, "annotations": {"kubernetes.io/service-account.name": "rotor"}});
    kubernetes.create(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "rotor", "namespace": NS}}),
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": meta("rotor-token")}),
    ])?;
    let token = eventually("a token", || async { servers.token("rotor-token").await.ok() }).await?;
    let kubeconfig = kubernetes.kubeconfig_text("rotor", &token);
    let mounted = json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let volume = |secret: &str| json!([{"name": "v", "secret": {"secretName": secret}}]);
    let env = json!({"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "rotor-token", "key": "token"}}}]});
    kubernetes.create(&[
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "rotor-access", "namespace": NS}, "stringData": {"kubeconfig": kubeconfig}}),
        deployment(MOUNTS, mounted.clone(), volume("rotor-token")),
        deployment(READS, env, json!([])),
        deployment(USES, mounted, volume("rotor-access")),
    ])?;
    openbao.write("kv/data/ops/rotor", &json!({"data": {"token": token, "cluster": "lab"}})).await?;
    kubernetes.rolled_out(NS).await?;
    Ok(token)
}

/// The estate's configuration, with a policy that takes blind evidence, and the right to write.
fn place(estate: &Estate, database: &str) -> Result<Place> {
    let mut place = Place::new(estate.directory(), database);
    let config = std::fs::read_to_string(&place.config)?;
    let policy = "[policies.tokens]\nmatch = \"kind=service-account-token\"\nevidence = \"blind\"\n";
    place.config = estate.directory().join("named-token.toml");
    std::fs::write(&place.config, format!("{config}\n{policy}"))?;
    place
        .environment
        .push(("CLAVIGER_BACKENDS__PROD__KUBECONFIG".to_owned(), "administrator.kubeconfig".to_owned()));
    Ok(place)
}

/// What pods and copies saw.
#[derive(Debug, Default)]
struct Tally {
    logins: u32,
    failed: Vec<String>,
    pods: usize,
}

/// Plays the pods of both workloads that read the Secret: each holds what it read when it started. Whoever starts at any time reads a copy.
async fn play(servers: Arc<Servers>, stop: Arc<AtomicBool>) -> Result<Tally> {
    let (mut held, mut tally) = (BTreeMap::<String, String>::new(), Tally::default());
    while !stop.load(Ordering::SeqCst) {
        for app in [MOUNTS, READS] {
            let path = format!("/api/v1/namespaces/{NS}/pods?labelSelector=app%3D{app}");
            let list = servers.get(&path).await?;
            let running = |pod: &&Value| {
                pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null()
            };
            for pod in list["items"].as_array().context("pods")?.iter().filter(running) {
                let uid = text(&pod["metadata"], "uid");
                if !held.contains_key(uid) {
                    held.insert(uid.to_owned(), servers.token(named_in(&pod["spec"])).await?);
                }
                tally.logins += 1;
                let again = servers.get(&path).await;
                if !servers.accepts(&held[uid]).await? && again?.to_string().contains(uid) {
                    tally.failed.push(format!("a pod of {app}"));
                }
            }
        }
        for token in servers.copies().await? {
            tally.logins += 1;
            // It may have been replaced between reading and trying; then the one that is there now is let in.
            if !servers.accepts(&token).await? && servers.copies().await?.contains(&token) {
                tally.failed.push("a copy".to_owned());
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tally.pods = held.len();
    Ok(tally)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_secret_is_followed_by_another_and_nobody_fails_to_log_in() -> Result<()> {
    let servers = Arc::new(Servers(Arc::new(require_lab!(Estate::start().await, Ok(())))));
    let old = plant(&servers).await?;
    let place = place(&servers.0, "named-token.db")?;
    place.run(&["scan"], None)?;
    let shown = place.run(&["show", SUBJECT, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(shown["copies"].as_array().is_some_and(|copies| copies.len() == 3), "{shown:#}");
    ensure!(servers.in_step().await? == "rotor-token", "before");
    let bystanders = servers.bystanders().await?;

    let plan = place.run(&["rotate", SUBJECT, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    let planned = &plan["subjects"][0];
    ensure!(planned["strategy"] == "dual" && planned["breaks"] == json!([]), "{plan:#}");
    ensure!(planned["notes"].to_string().contains("(blind)"), "the evidence is not named: {plan:#}");
    ensure!(servers.in_step().await? == "rotor-token", "a dry run changes nothing");
    // A token that a manifest names cannot be followed there, and without a policy nothing is ended unseen.
    let estate_s = Place {
        config: servers.0.directory().join("claviger.toml"),
        ..self::place(&servers.0, "named-token.db")?
    };
    let waits = estate_s.run(&["rotate", SUBJECT, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(waits.to_string().contains("no use after it is seen"), "{waits:#}");

    let stop = Arc::new(AtomicBool::new(false));
    let player = tokio::spawn(play(Arc::clone(&servers), Arc::clone(&stop)));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let done = tokio::task::block_in_place(|| {
        place.run(&["rotate", SUBJECT, "--yes", "-o", "json"], None)?.expect(0)?.json()
    })?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::SeqCst);
    let tally = player.await??;
    println!("named: {} logins of {} pods, {} failed", tally.logins, tally.pods, tally.failed.len());
    ensure!(tally.failed.is_empty() && tally.pods >= 4 && tally.logins > 40, "{tally:?}");

    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotation:#}");
    let steps: Vec<_> =
        rotation["steps"].as_array().context("steps")?.iter().map(|step| text(step, "step")).collect();
    for step in
        ["mint-by-name", "repoint", "await-quiet", "disable", "prove-disabled", "revoke", "prove-refused"]
    {
        ensure!(steps.contains(&step), "no {step} in {steps:?}");
    }
    let name = servers.in_step().await?;
    ensure!(rotation["new"]["ref"] == format!("prod/{NS}/Secret/{name}"), "{rotation:#}");
    ensure!(name.starts_with("rotor-token-"), "{name}");
    ensure!(!servers.accepts(&old).await?, "the old token is still accepted");
    ensure!(servers.token(&name).await? != old, "it is the same token");
    ensure!(servers.bystanders().await? == bystanders, "another Secret was changed");

    place.run(&["scan"], None)?;
    let shown = place.run(&["show", SUBJECT, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(shown["credential"]["state"] == "revoked-proven", "{shown:#}");
    let successor = format!("prod/{NS}/Secret/{name}");
    let shown = place.run(&["show", &successor, "-o", "json"], None)?.expect(0)?.json()?;
    let copies = shown["copies"].as_array().context("copies")?;
    let current = copies.iter().filter(|copy| copy["stage"] == "current").count();
    ensure!(shown["credential"]["state"] == "active" && current == 3, "{shown:#}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

/// Killed in the middle: once taken up, once taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_rotation_of_a_token_secret_is_taken_up_or_taken_back() -> Result<()> {
    let servers = Arc::new(Servers(Arc::new(require_lab!(Estate::start().await, Ok(())))));
    let first = plant(&servers).await?;
    let mut place = place(&servers.0, "named-killed.db")?;
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    place.run(&["scan"], None)?;
    let works = async || -> Result<()> {
        for workload in [MOUNTS, READS] {
            let name = servers.named_by(workload).await?;
            ensure!(servers.accepts(&servers.token(&name).await?).await?, "{workload} names a dead token");
        }
        for token in servers.copies().await? {
            ensure!(servers.accepts(&token).await?, "a copy holds a dead token");
        }
        Ok(())
    };
    let mut interrupted = 0;
    for moment in [900, 4000].map(Duration::from_millis) {
        let subject = format!("prod/{NS}/Secret/{}", servers.in_step().await?);
        place.kill_after(moment, &["rotate", &subject, "--yes", "-o", "json"]).await?;
        works().await.with_context(|| format!("killed after {moment:?}"))?;
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        let resumed = resumed["rotations"].as_array().context("rotations")?.clone();
        interrupted += resumed.len();
        ensure!(
            resumed.iter().all(|one| one["state"] == "done" && one["old"]["verdict"] == "proven"),
            "{resumed:#?}"
        );
        servers.in_step().await.with_context(|| format!("killed after {moment:?}"))?;
        place.run(&["audit", "verify"], None)?.expect(0)?;
        place.run(&["scan"], None)?;
    }
    ensure!(interrupted >= 1, "no kill hit a rotation");
    ensure!(!servers.accepts(&first).await?, "the first token is still accepted");

    // The suspension alone waits twelve seconds: after six it is behind its pivot, and its old token is there.
    let before = servers.in_step().await?;
    let subject = format!("prod/{NS}/Secret/{before}");
    place.kill_after(Duration::from_secs(6), &["rotate", &subject, "--yes", "-o", "json"]).await?;
    let rotations = place.list("rotations")?;
    let open = rotations.iter().find(|rotation| rotation["state"] != "done").context("the rotation")?;
    let id = text(open, "rotation_id");
    let made: Vec<_> = servers.token_secrets().await?.into_iter().filter(|name| *name != before).collect();
    let new = servers.token(made.first().context("the new Secret")?).await?;
    let done = place.run(&["rollback", id, "--yes", "-o", "json"], None)?.expect(0)?.json()?;
    let back = &done["rotations"][0];
    ensure!(back["state"] == "done" && back["old"]["verdict"] == "proven", "{back:#}");
    ensure!(servers.in_step().await? == before, "it was not taken back");
    ensure!(!servers.accepts(&new).await?, "what was taken back is still accepted");
    let label =
        &servers.secret(&before).await?["metadata"]["labels"]["kubernetes.io/legacy-token-invalid-since"];
    ensure!(label.is_null(), "it is still suspended: {label}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    println!("killed {} times, {interrupted} of them taken up and one taken back", 3);
    Ok(())
}
