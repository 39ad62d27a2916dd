//! The swap of a token Secret to the pods' own projected tokens, on the real API server.

mod mounted;
mod role;

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, lab::daemon::eventually, require_lab};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Place, kills::Kills, recovery::decoded, text};

const NS: &str = "ops";
/// How many kills the gate spreads over a swap, and how many the campaign does.
const FEW: u32 = 4;
const MANY: u32 = 20;

/// What the servers say, asked without claviger.
struct Servers(Arc<Estate>);

impl Servers {
    async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.0.kubernetes.request(Method::GET, path, None).await?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        Ok(answer.body)
    }

    /// A Secret, if it is there.
    async fn secret(&self, name: &str) -> Result<Option<Value>> {
        let path = format!("/api/v1/namespaces/{NS}/secrets/{name}");
        let answer = self.0.kubernetes.request(Method::GET, &path, None).await?;
        ensure!([200, 404].contains(&answer.status), "{path}: {}", answer.status);
        Ok((answer.status == 200).then_some(answer.body))
    }

    async fn token(&self, name: &str) -> Result<String> {
        decoded(&self.secret(name).await?.context("the Secret")?["data"]["token"])
    }

    /// Who the API server says bears this token; `None` where it refuses it.
    async fn bearer(&self, token: &str) -> Result<Option<String>> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let answer = self.0.kubernetes.request_as(token, Method::POST, path, Some(&review)).await?;
        ensure!([201, 401].contains(&answer.status), "{path}: {}", answer.status);
        let named = answer.body["status"]["userInfo"]["username"].as_str().map(str::to_owned);
        Ok(named.filter(|_| answer.status == 201))
    }

    async fn pod_spec(&self, name: &str) -> Result<Value> {
        let path = format!("/apis/apps/v1/namespaces/{NS}/deployments/{name}");
        Ok(self.get(&path).await?["spec"]["template"]["spec"].clone())
    }

    /// The token that the file of this volume holds: the Secret's, or one of the account's own.
    async fn in_file(&self, volume: &Value, account: &str) -> Result<String> {
        match volume["secret"]["secretName"].as_str() {
            Some(secret) => self.token(secret).await,
            None => self.0.kubernetes.service_account_token(NS, account, 3600).await,
        }
    }

    /// What the workload's pods read is let in, as its account. Gives the volume.
    async fn works(&self, name: &str) -> Result<Value> {
        let spec = self.pod_spec(name).await?;
        let read = spec["volumes"].as_array().context("volumes")?.iter().find(|volume| volume["name"] == "v");
        let volume = read.context("the volume that is mounted")?;
        let token = self.in_file(volume, name).await?;
        let expected = format!("system:serviceaccount:{NS}:{name}");
        ensure!(self.bearer(&token).await? == Some(expected), "what {name} reads is not let in: {volume}");
        Ok(volume.clone())
    }

    /// Everything is as it was planted.
    async fn as_before(&self, name: &str, token: &str) -> Result<()> {
        let volume = self.works(name).await?;
        let secret = format!("{name}-token");
        ensure!(volume["secret"]["secretName"] == secret.as_str(), "{volume}");
        ensure!(
            self.pod_spec(name).await?["volumes"].as_array().map(Vec::len) == Some(1),
            "a volume is left"
        );
        ensure!(self.token(&secret).await? == token, "it is another token");
        ensure!(self.bearer(token).await?.is_some(), "the static token is refused");
        let labels = &self.secret(&secret).await?.context("the Secret")?["metadata"]["labels"];
        ensure!(labels["kubernetes.io/legacy-token-invalid-since"].is_null(), "it is suspended: {labels}");
        let path = format!("/apis/apps/v1/namespaces/{NS}/deployments/{name}");
        let note = self.get(&path).await?["metadata"]["annotations"]["claviger.dev/before-swap"].clone();
        ensure!(note.is_null(), "a note is left: {note}");
        Ok(())
    }

    /// The workload takes its own token, and the static one is dead.
    async fn swapped(&self, name: &str, old: &str) -> Result<()> {
        let volume = self.works(name).await?;
        let sources = &volume["projected"]["sources"];
        ensure!(sources[0]["serviceAccountToken"]["path"] == "token", "{volume}");
        ensure!(sources[0]["serviceAccountToken"]["expirationSeconds"] == 3600, "{volume}");
        ensure!(volume["projected"]["defaultMode"] == 288, "{volume}");
        ensure!(!self.pod_spec(name).await?.to_string().contains("-token\""), "the Secret is named still");
        ensure!(self.secret(&format!("{name}-token")).await?.is_none(), "the Secret is there");
        ensure!(self.bearer(old).await?.is_none(), "the static token is accepted");
        Ok(())
    }
}

/// An account with a right of its own, its token in a Secret, and a workload that mounts that. Gives the token.
async fn plant(servers: &Servers, name: &str) -> Result<String> {
    let kubernetes = &servers.0.kubernetes;
    let meta = |name: &str| json!({"name": name, "namespace": NS});
    let secret = format!("{name}-token");
    let mut of_token = meta(&secret);
    of_token["annotations"] = json!({"kubernetes.io/service-account.name": name});
    kubernetes.create(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(name)}),
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": of_token}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta(name),
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta(name),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NS}]}),
    ])?;
    let token = eventually("a token", || async { servers.token(&secret).await.ok() }).await?;
    let container = json!({"name": "c", "image": "registry.lab.internal/c:1", "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let volume = json!({"name": "v", "secret": {"secretName": secret, "defaultMode": 288}});
    kubernetes.create(&[json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(name),
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
            "spec": {"serviceAccountName": name, "automountServiceAccountToken": false, "containers": [container], "volumes": [volume]}}}})])?;
    kubernetes.rolled_out(NS).await?;
    Ok(token)
}

/// The estate's configuration, with a policy that takes blind evidence, and the right to write.
fn place(estate: &Estate, database: &str) -> Result<Place> {
    let mut place = Place::new(estate.directory(), database);
    let config = std::fs::read_to_string(&place.config)?;
    let policy = "[policies.tokens]\nmatch = \"kind=service-account-token\"\nevidence = \"blind\"\n";
    place.config = estate.directory().join("swap.toml");
    std::fs::write(&place.config, format!("{config}\n{policy}"))?;
    place
        .environment
        .push(("CLAVIGER_BACKENDS__PROD__KUBECONFIG".to_owned(), "administrator.kubeconfig".to_owned()));
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    Ok(place)
}

/// Tries what the workload's file holds, all through the swap.
async fn watch(
    servers: Arc<Servers>,
    name: &'static str,
    stop: Arc<AtomicBool>,
) -> Result<(u32, Vec<String>)> {
    let (mut logins, mut failed) = (0, Vec::new());
    while !stop.load(Ordering::SeqCst) {
        let before = servers.pod_spec(name).await?;
        if let Err(error) = servers.works(name).await
            && servers.pod_spec(name).await? == before
        {
            failed.push(format!("{error:#}"));
        }
        logins += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok((logins, failed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_secret_gives_way_to_the_pods_own_token() -> Result<()> {
    let servers = Arc::new(Servers(Arc::new(require_lab!(Estate::start().await, Ok(())))));
    let old = plant(&servers, "mover").await?;
    let place = place(&servers.0, "swap.db")?;
    place.run(&["scan"], None)?;
    const SUBJECT: &str = "prod/ops/Secret/mover-token";

    let plan = place.run(&["swap", SUBJECT, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(plan["schema"] == "claviger.swap-plan/v1", "{plan:#}");
    ensure!(
        plan["subjects"][0]["strategy"] == "swap" && plan["subjects"][0]["breaks"] == json!([]),
        "{plan:#}"
    );
    let patch = &plan["patches"][0];
    ensure!(text(patch, "text").contains("serviceAccountToken") && patch["by_hand"].is_null(), "{patch:#}");
    servers.as_before("mover", &old).await.context("a dry run changes nothing")?;
    let wrong = place.run(&["swap", SUBJECT, "--plan-hash", "0000"], None)?.expect(4)?;
    ensure!(wrong.stderr.contains("CLV0810"), "{}", wrong.stderr);

    let stop = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch(Arc::clone(&servers), "mover", Arc::clone(&stop)));
    let hash = text(&plan, "hash").to_owned();
    let done = tokio::task::block_in_place(|| {
        place.run(&["swap", SUBJECT, "--plan-hash", &hash, "-o", "json"], None)?.expect(0)?.json()
    })?;
    stop.store(true, Ordering::SeqCst);
    let (logins, failed) = watcher.await??;
    println!("swap: {logins} logins, {} failed", failed.len());
    ensure!(failed.is_empty() && logins > 20, "{logins} logins: {failed:?}");
    let swap = &done["swaps"][0];
    ensure!(swap["state"] == "done" && swap["old"]["verdict"] == "proven", "{swap:#}");
    ensure!(done["receipts"][0]["verdict"] == "proven", "{done:#}");
    let tried =
        swap["steps"].as_array().and_then(|steps| steps.iter().find(|step| step["step"] == "try-identity"));
    ensure!(tried.is_some_and(|step| text(step, "detail").contains("rights compared")), "{swap:#}");
    servers.swapped("mover", &old).await?;

    // The API server's own view of a token as a pod gets it: for it, and for a while.
    let token = servers.0.kubernetes.service_account_token(NS, "mover", 3600).await?;
    let review =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let seen = servers.0.kubernetes.request(Method::POST, path, Some(&review)).await?.good(path)?;
    ensure!(seen["status"]["authenticated"] == true, "{seen:#}");

    place.run(&["scan"], None)?;
    let shown = place.run(&["show", SUBJECT, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(shown["credential"]["state"] == "revoked-proven", "{shown:#}");
    let listed = place.list("swaps")?;
    ensure!(listed.len() == 1 && listed[0]["state"] == "done", "{listed:?}");
    let id = text(&listed[0], "rotation_id").to_owned();
    let late = place.run(&["rollback", &id, "--yes"], None)?;
    ensure!(late.code != 0, "what is over cannot be taken back");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

/// Each reason why something is no candidate has its code, and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_swapped_says_why() -> Result<()> {
    let servers = Servers(Arc::new(require_lab!(Estate::start().await, Ok(()))));
    let old = plant(&servers, "stays").await?;
    let patch = |what: Value| -> Result<()> {
        let text = what.to_string();
        let arguments = ["patch", "deployment", "stays", "-n", NS, "--type", "json", "-p", &text];
        servers.0.kubernetes.kubectl(&arguments, None).map(drop)
    };
    let place = place(&servers.0, "swap-refused.db")?;
    let why = || -> Result<String> {
        place.run(&["scan"], None)?;
        let plan = place.run(&["swap", "prod/ops/Secret/stays-token", "--dry-run", "-o", "json"], None)?;
        Ok(text(&plan.expect(4)?.json()?["refused"][0], "code").to_owned())
    };
    let template = "/spec/template/spec";
    patch(json!([{"op": "replace", "path": format!("{template}/serviceAccountName"), "value": "default"}]))?;
    ensure!(why()? == "other-account");
    patch(json!([{"op": "replace", "path": format!("{template}/serviceAccountName"), "value": "stays"},
        {"op": "add", "path": format!("{template}/containers/0/volumeMounts/0/subPath"), "value": "token"}]))?;
    ensure!(why()? == "sub-path");
    let variable =
        json!([{"name": "T", "valueFrom": {"secretKeyRef": {"name": "stays-token", "key": "token"}}}]);
    patch(json!([{"op": "remove", "path": format!("{template}/containers/0/volumeMounts/0/subPath")},
        {"op": "add", "path": format!("{template}/containers/0/env"), "value": variable}]))?;
    ensure!(why()? == "read-once");
    patch(json!([{"op": "remove", "path": format!("{template}/containers/0/env")},
        {"op": "add", "path": "/metadata/labels", "value": {"argocd.argoproj.io/instance": "shop"}}]))?;
    place.run(&["scan"], None)?;
    // What another system writes is changed there: the patch is written, and waited for.
    let folder = servers.0.directory().join("patches");
    let folder = folder.to_string_lossy().into_owned();
    let arguments = ["swap", "prod/ops/Secret/stays-token", "--dry-run", "--patch", &folder, "-o", "json"];
    let plan = place.run(&arguments, None)?.expect(0)?.json()?;
    ensure!(text(&plan["patches"][0], "by_hand").contains("argocd"), "{plan:#}");
    let written = std::fs::read_to_string(format!("{folder}/{}", text(&plan["patches"][0], "file")))?;
    ensure!(
        written.contains("serviceAccountToken") && written.starts_with("# Deployment stays"),
        "{written}"
    );
    ensure!(servers.bearer(&old).await?.is_some(), "a dry run changes nothing");
    Ok(())
}

/// Killed at moments spread over the whole swap: taken up, and taken back, in turn.
async fn killed(times: u32) -> Result<String> {
    let servers = Servers(Arc::new(require_lab!(Estate::start().await, Ok(String::new()))));
    let place = place(&servers.0, "swap-killed.db")?;
    let mut kills = Kills::new(times);
    let (mut up, mut back, mut over) = (0, 0, 0);
    for turn in kills.turns() {
        let name = format!("killed-{turn}");
        let old = plant(&servers, &name).await?;
        place.run(&["scan"], None)?;
        let subject = format!("prod/{NS}/Secret/{name}-token");
        let said = kills.strike(&place, &["swap", &subject, "--yes", "-o", "json"]).await?;
        servers.works(&name).await.with_context(|| said.clone())?;
        let open = place
            .list("swaps")?
            .into_iter()
            .find(|swap| swap["ref"] == subject.as_str() && swap["finished_at"].is_null());
        let Some(open) = open else {
            // It was killed before it was recorded, or after its end.
            over += 1;
            continue;
        };
        let takes_back = turn % 2 == 1;
        let id = text(&open, "rotation_id");
        let mut resumed = !takes_back;
        if takes_back {
            let run = place.run(&["rollback", id, "--yes", "-o", "json"], None)?;
            if run.code == 0 {
                back += 1;
                servers.as_before(&name, &old).await.with_context(|| format!("taken back, {said}"))?;
            } else {
                // Its static credential has ended: only forward.
                ensure!(
                    run.stderr.contains("has ended") || run.stderr.contains("is over"),
                    "{said}: {}",
                    run.stderr
                );
                resumed = true;
            }
        }
        if resumed {
            let run = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
            let done = run["rotations"].as_array().context("rotations")?;
            ensure!(
                done.iter().all(|one| one["state"] == "done" && one["old"]["verdict"] == "proven"),
                "{said}: {run:#}"
            );
            up += 1;
            servers.swapped(&name, &old).await.with_context(|| format!("taken up, {said}"))?;
        }
        place.run(&["audit", "verify"], None)?.expect(0)?;
    }
    ensure!(up + back >= times / 2, "too few kills hit a swap: {up} and {back}");
    Ok(format!(
        "swap of a token Secret: killed {times} times, {up} taken up, {back} taken back, {over} not under way"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_swap_is_taken_up_or_taken_back() -> Result<()> {
    println!("{}", killed(FEW).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_swap_leaves_a_workload_without_an_identity() -> Result<()> {
    println!("{}", killed(MANY).await?);
    Ok(())
}
