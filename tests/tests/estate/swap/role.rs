//! The swap of a token of OpenBao to a role of its `kubernetes` auth method, on the real servers: OpenBao asks the real API server about the token.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use claviger_core::clock::{Clock as _, SystemClock};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;
use serde_json::{Value, json};

use super::{FEW, MANY, NS};
use crate::{Place, access_key, text};

/// What the servers say, asked without claviger.
struct Servers<'e>(&'e Estate);

impl Servers<'_> {
    /// The policies of this token; `None` where it is refused.
    async fn policies(&self, token: &str) -> Result<Option<Value>> {
        let answer = self.0.openbao.request_as(token, Method::GET, "auth/token/lookup-self", None).await?;
        ensure!([200, 403].contains(&answer.status), "lookup-self says {}", answer.status);
        Ok((answer.status == 200).then(|| answer.body["data"]["policies"].clone()))
    }

    async fn roles(&self) -> Result<Vec<String>> {
        let answer = self.0.openbao.request(Method::GET, "auth/kubernetes/role?list=true", None).await?;
        let names = answer.body["data"]["keys"].as_array().cloned().unwrap_or_default();
        Ok(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
    }

    /// Logs in as the workload would: with a token of its account for the audience. Gives the policies.
    async fn logs_in(&self, role: &str, account: &str) -> Result<Value> {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": ["vault"], "expirationSeconds": 600}});
        let path = format!("/api/v1/namespaces/{NS}/serviceaccounts/{account}/token");
        let given = self.0.kubernetes.request(Method::POST, &path, Some(&request)).await?.good("a token")?;
        let body = json!({"role": role, "jwt": given["status"]["token"]});
        let answer =
            self.0.openbao.request_as("", Method::POST, "auth/kubernetes/login", Some(&body)).await?;
        Ok(answer.body["auth"]["token_policies"].clone())
    }
}

/// OpenBao may ask the API server about tokens.
async fn federated(estate: &Estate) -> Result<()> {
    let kubernetes = &estate.kubernetes;
    kubernetes.create(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reviewer", "namespace": NS}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "reviewer"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
            "subjects": [{"kind": "ServiceAccount", "name": "reviewer", "namespace": NS}]}),
    ])?;
    let reviewer = kubernetes.service_account_token(NS, "reviewer", 7200).await?;
    estate.openbao.write("sys/auth/kubernetes", &json!({"type": "kubernetes"})).await?;
    let config = json!({"kubernetes_host": kubernetes.url(), "kubernetes_ca_cert": std::fs::read_to_string(kubernetes.ca())?,
        "token_reviewer_jwt": reviewer, "disable_local_ca_jwt": true});
    estate.openbao.write("auth/kubernetes/config", &config).await?;
    Ok(())
}

/// A token of OpenBao in a Secret, read by a workload with an account of its own. Gives the token's ref and value.
async fn plant(estate: &Estate, name: &str) -> Result<(String, String)> {
    let body = json!({"policies": ["ci"], "period": "24h", "display_name": name, "no_parent": true});
    let made = estate.openbao.write("auth/token/create", &body).await?;
    let (value, accessor) = (text(&made["auth"], "client_token"), text(&made["auth"], "accessor"));
    let meta = |name: &str| json!({"name": name, "namespace": NS});
    let secret = format!("{name}-bao");
    let env =
        json!([{"name": "VAULT_TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": "token"}}}]);
    let container = json!({"name": "c", "image": "registry.lab.internal/c:1", "env": env});
    estate.kubernetes.create(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(name)}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta(&secret), "stringData": {"token": value}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(name),
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
                "spec": {"serviceAccountName": name, "containers": [container]}}}}),
    ])?;
    estate.kubernetes.rolled_out(NS).await?;
    Ok((format!("vault/auth/token/accessor/{accessor}"), value.to_owned()))
}

fn place(estate: &Estate, database: &str) -> Place {
    let mut place = access_key::place(estate, database);
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    place
}

/// The workload's owner applies what was written.
fn apply(estate: &Estate, name: &str, file: &Path) -> Result<()> {
    let file = file.to_string_lossy().into_owned();
    let arguments =
        ["patch", "deployment", name, "-n", NS, "--type", "strategic", "--patch-file", file.as_str()];
    estate.kubernetes.kubectl(&arguments, None).map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_in_a_secret_gives_way_to_a_role_for_the_account() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let (place, servers) = (place(&estate, "swap-role.db"), Servers(&estate));
    let (subject, old) = plant(&estate, "puller").await?;
    place.run(&["scan"], None)?;
    let none = place.run(&["swap", &subject, "--dry-run", "-o", "json"], None)?.expect(4)?.json()?;
    ensure!(none["refused"][0]["code"] == "no-kubernetes-auth", "{none:#}");
    federated(&estate).await?;
    let folder = estate.directory().join("role-patches");
    let arguments = ["swap", &subject, "--patch", &folder.to_string_lossy(), "--yes", "-o", "json"];
    let begun = place.run(&arguments, None)?.expect(3)?.json()?;
    let swap = &begun["swaps"][0];
    ensure!(swap["state"] == "waiting", "{begun:#}");
    let patch = &begun["plan"]["patches"][0];
    ensure!(text(patch, "by_hand").contains("log in with the role"), "{patch:#}");

    // Side by side: the role is there and lets the account in, the token works, and no manifest was changed.
    let [role] =
        <[String; 1]>::try_from(servers.roles().await?).map_err(|roles| anyhow::anyhow!("{roles:?}"))?;
    let policies = servers.logs_in(&role, "puller").await?;
    ensure!(Some(&policies) == servers.policies(&old).await?.as_ref(), "{policies} are other policies");
    ensure!(servers.logs_in(&role, "default").await?.is_null(), "another account is let in");
    let still = place.run(&["resume", "-o", "json"], None)?.expect(3)?.json()?;
    ensure!(still["rotations"][0]["state"] == "waiting", "{still:#}");
    ensure!(servers.policies(&old).await?.is_some(), "it was retired too early");

    apply(&estate, "puller", &folder.join(text(patch, "file")))?;
    estate.kubernetes.rolled_out(NS).await?;
    let path = format!("/apis/apps/v1/namespaces/{NS}/deployments/puller");
    let applied = estate.kubernetes.request(Method::GET, &path, None).await?.body.to_string();
    ensure!(
        applied.contains("serviceAccountToken") && applied.contains("vault.hashicorp.com/role"),
        "{applied}"
    );
    ensure!(!applied.contains("puller-bao"), "it names the Secret still: {applied}");
    let done = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
    let swap = &done["rotations"][0];
    ensure!(swap["state"] == "done" && swap["old"]["verdict"] == "proven", "{done:#}");
    ensure!(servers.policies(&old).await?.is_none(), "the static token works");
    ensure!(servers.logs_in(&role, "puller").await? == policies, "the role gives something else now");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

/// How long the two halves of a swap take here: up to the record of it, up to the wait for the owner, and from then to the end.
struct Course {
    recorded: Duration,
    begun: Duration,
    ended: Duration,
}

/// One swap that is not killed.
async fn course(estate: &Estate, place: &Place) -> Result<Course> {
    let (subject, _) = plant(estate, "struck").await?;
    place.run(&["scan"], None)?;
    let folder = estate.directory().join("struck");
    let (from, started) = (SystemClock.now(), Instant::now());
    let file = begin(place, &subject, &folder)?;
    let begun = started.elapsed();
    let swaps = place.list("swaps")?;
    let at: DateTime<Utc> = text(swaps.first().context("the swap")?, "started_at").parse()?;
    apply(estate, "struck", &file)?;
    let started = Instant::now();
    place.run(&["resume"], None)?.expect(0)?;
    let recorded = (at - from).to_std().unwrap_or_default();
    Ok(Course { recorded, begun, ended: started.elapsed() })
}

/// Runs it up to the wait for the owner. Gives the patch.
fn begin(place: &Place, subject: &str, folder: &Path) -> Result<PathBuf> {
    let folder_text = folder.to_string_lossy().into_owned();
    let begun = place.run(&["swap", subject, "--patch", &folder_text, "--yes", "-o", "json"], None)?;
    let begun = begun.expect(3)?.json()?;
    Ok(folder.join(text(&begun["plan"]["patches"][0], "file")))
}

/// Killed at moments spread over a swap: before the owner's change, and taken back; and after it, and taken up.
async fn killed(times: u32) -> Result<String> {
    let estate = require_lab!(Estate::start().await, Ok(String::new()));
    let (place, servers) = (place(&estate, "swap-role-killed.db"), Servers(&estate));
    federated(&estate).await?;
    let course = course(&estate, &place).await?;
    let (mut up, mut back, mut over) = (0, 0, 0);
    for turn in 1..=times {
        let name = format!("struck-{turn}");
        let (subject, old) = plant(&estate, &name).await?;
        place.run(&["scan"], None)?;
        let (before, folder) = (servers.roles().await?, estate.directory().join(&name));
        let share = f64::from(turn) / f64::from(times + 1);
        let takes_back = turn % 2 == 1;
        let file = if takes_back {
            let moment = course.recorded + course.begun.saturating_sub(course.recorded).mul_f64(share);
            let folder_text = folder.to_string_lossy().into_owned();
            place.kill_after(moment, &["swap", &subject, "--patch", &folder_text, "--yes"]).await?;
            PathBuf::new()
        } else {
            let file = begin(&place, &subject, &folder)?;
            apply(&estate, &name, &file)?;
            place.kill_after(course.ended.mul_f64(share), &["resume"]).await?;
            file
        };
        let said = format!("killed at {:.0} % ({})", share * 100.0, file.display());
        let mut swaps = place.list("swaps")?.into_iter();
        let open = swaps.find(|swap| swap["ref"] == subject.as_str() && swap["finished_at"].is_null());
        let Some(open) = open else {
            // Before it was recorded, or after its end.
            over += 1;
            continue;
        };
        if takes_back {
            place.run(&["rollback", text(&open, "rotation_id"), "--yes", "-o", "json"], None)?.expect(0)?;
            ensure!(servers.policies(&old).await?.is_some(), "{said}: the static token is dead");
            ensure!(servers.roles().await? == before, "{said}: a role is left");
            back += 1;
        } else {
            let run = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
            let done = run["rotations"].as_array().context("rotations")?;
            let ended = |one: &Value| one["state"] == "done" && one["old"]["verdict"] == "proven";
            ensure!(done.iter().all(ended), "{said}: {run:#}");
            ensure!(servers.policies(&old).await?.is_none(), "{said}: the static token works");
            ensure!(servers.roles().await?.len() == before.len() + 1, "{said}: a role is missing");
            up += 1;
        }
        place.run(&["audit", "verify"], None)?.expect(0)?;
    }
    ensure!(up + back >= times / 2, "too few kills hit a swap: {up} and {back}");
    Ok(format!(
        "swap of a token of OpenBao: killed {times} times, {up} taken up, {back} taken back, {over} not under way"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_swap_to_a_role_is_taken_up_or_taken_back() -> Result<()> {
    println!("{}", killed(FEW).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_swap_to_a_role_leaves_a_workload_without_an_identity() -> Result<()> {
    println!("{}", killed(MANY).await?);
    Ok(())
}
