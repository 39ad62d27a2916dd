//! The flows: what each of them finds in its namespace, what it is told to do, and when that was done.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_tests::lab::{daemon::eventually, private::random_token};
use rcgen::{CertificateParams, DnType, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};

use crate::robot::{Ran, Robot};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Scan,
    Rotate,
    RotateToken,
    RotateCertificate,
    Revoke,
    RevokeAccount,
    RevokePod,
    Mitigate,
    Swap,
}

const RBAC: &str = "rbac.authorization.k8s.io";

impl Flow {
    pub(crate) const ALL: [Self; 9] = [
        Self::Scan,
        Self::Rotate,
        Self::RotateToken,
        Self::RotateCertificate,
        Self::Revoke,
        Self::RevokeAccount,
        Self::RevokePod,
        Self::Mitigate,
        Self::Swap,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Rotate => "rotate",
            Self::RotateToken => "rotate-token",
            Self::RotateCertificate => "rotate-certificate",
            Self::Revoke => "revoke",
            Self::RevokeAccount => "revoke-account",
            Self::RevokePod => "revoke-pod",
            Self::Mitigate => "mitigate",
            Self::Swap => "swap",
        }
    }

    /// The roles of which each right is tried.
    pub(crate) fn roles(&self) -> Vec<&'static str> {
        match self {
            Self::Scan => vec!["scan", "scan-cluster"],
            other => vec![other.name()],
        }
    }

    /// The roles that are said to be needed beside it.
    pub(crate) fn beside(self) -> &'static [&'static str] {
        match self {
            Self::Scan => &[],
            Self::RotateToken | Self::RotateCertificate => &["scan", "scan-cluster", "rotate"],
            Self::RevokeAccount => &["scan", "scan-cluster", "revoke"],
            Self::Rotate | Self::Revoke | Self::RevokePod | Self::Mitigate | Self::Swap => {
                &["scan", "scan-cluster"]
            }
        }
    }

    /// A right that is needed only where somebody else is faster, which nobody can put in an order: it is not taken away. A ServiceAccount that its
    /// namespace's controller or a GitOps tool makes again first is changed to what it was.
    pub(crate) fn unordered(self) -> Option<&'static str> {
        (self == Self::RevokeAccount).then_some("patch serviceaccounts")
    }

    /// What its configuration says beside the backend's address.
    pub(crate) fn policy(self, namespace: &str) -> String {
        let include = format!("include = [\"{namespace}\"]\n");
        match self {
            Self::Scan => String::new(),
            Self::Rotate => format!(
                "{include}[policies.hooks]\nmatch = \"prod/{namespace}/*/hook*\"\nstrategy = \"copy-only\"\n"
            ),
            Self::RotateToken | Self::Swap => {
                format!(
                    "{include}[policies.tokens]\nmatch = \"kind=service-account-token\"\nevidence = \"blind\"\n"
                )
            }
            _ => include,
        }
    }

    /// Makes what it works on.
    pub(crate) async fn plant(self, robot: &Robot) -> Result<()> {
        let namespace = robot.namespace.as_str();
        let value = random_token()?;
        match self {
            Self::Scan => {
                let label = json!({"metadata": {"labels": {"owner": "team-scan"}}});
                let path = format!("/api/v1/namespaces/{namespace}");
                robot.kubernetes.request(Method::PATCH, &path, Some(&label)).await?.good("a label")?;
                robot.kubernetes.create(&[secret(namespace, "db", "password", &value)])
            }
            Self::Rotate => {
                let mut objects = hook(namespace, &value);
                let container = json!({"env": [{"name": "HOOK", "valueFrom": {"secretKeyRef": {"name": "hook", "key": "webhook-secret"}}}]});
                objects.extend(workloads(namespace, "reader", &pod(container)));
                objects.extend(runs(namespace, "run", &pod(objects_env("hook", "webhook-secret"))));
                robot.kubernetes.create(&objects)
            }
            Self::RotateToken => {
                token(robot).await?;
                let spec = pod(objects_env("bot-token", "token"));
                let mut objects = vec![workload(namespace, "Deployment", "reader", &spec)];
                objects
                    .extend(runs(namespace, "run", &spec).into_iter().filter(|one| one["kind"] == "CronJob"));
                robot.kubernetes.create(&objects)
            }
            Self::RotateCertificate => robot.kubernetes.create(&[certificate(namespace)?]),
            Self::Revoke => {
                robot.kubernetes.create(&hook(namespace, &value))?;
                token(robot).await
            }
            Self::RevokeAccount => {
                token(robot).await?;
                let mut spec = pod(json!({}));
                spec["serviceAccountName"] = "bot".into();
                robot.kubernetes.create(&workloads(namespace, "runs", &spec))
            }
            Self::RevokePod => {
                robot.kubernetes.create(&[workload(namespace, "Deployment", "runs", &pod(json!({})))])
            }
            Self::Mitigate => robot.kubernetes.create(&certified(namespace, robot.kubernetes.url())?),
            Self::Swap => {
                token(robot).await?;
                let mount = json!({"volumeMounts": [{"name": "token", "mountPath": "/token"}]});
                let mut spec = pod(mount);
                spec["serviceAccountName"] = "bot".into();
                spec["volumes"] = json!([{"name": "token", "secret": {"secretName": "bot-token"}}]);
                let mut objects = workloads(namespace, "mounts", &spec);
                objects
                    .extend(runs(namespace, "run", &spec).into_iter().filter(|one| one["kind"] == "CronJob"));
                robot.kubernetes.create(&objects)
            }
        }
    }

    /// Does it do its work? If not, what it said.
    pub(crate) async fn succeeds(self, robot: &Robot) -> Result<Result<(), String>> {
        let scanned = robot.run(&["scan", "-o", "json"]).await?;
        if scanned.code != 0 {
            return Ok(Err(format!("scan: {}", incomplete(&scanned))));
        }
        match self {
            Self::Scan => {
                let listed = robot.run(&["list", "credentials", "-o", "json"]).await?;
                let owned = listed.stdout.contains("team-scan");
                Ok(if owned {
                    Ok(())
                } else {
                    Err("the owner that a namespace names is not known".to_owned())
                })
            }
            Self::Rotate => rotate(robot, "webhook-secret").await,
            Self::RotateToken => {
                let at = format!("prod/{}/Secret/bot-token", robot.namespace);
                rotated(robot.run(&["rotate", &at, "--yes", "-o", "json"]).await?)
            }
            Self::RotateCertificate => {
                let at = format!("prod/{}/Secret/alone#tls.crt", robot.namespace);
                let plan = robot.run(&["rotate", &at, "--dry-run", "-o", "json"]).await?;
                let notes = plan.json()["subjects"][0]["notes"].to_string();
                if notes.contains("could not be read") {
                    return Ok(Err(notes));
                }
                rotated(robot.run(&["rotate", &at, "--yes", "-o", "json"]).await?)
            }
            Self::Revoke => revoke(robot).await,
            Self::RevokeAccount => {
                let at = format!("prod/{}/ServiceAccount/bot", robot.namespace);
                let ran = revoke_run(robot, &[&at, "--recreate-service-account"]).await?;
                // The account itself, and its token Secret.
                let both = ran.json()["receipts"].as_array().is_some_and(|receipts| receipts.len() == 2);
                if both { revoked(ran, "proven") } else { Ok(Err(ran.all())) }
            }
            Self::RevokePod => {
                let list = robot.get(&format!("/api/v1/namespaces/{}/pods", robot.namespace)).await?;
                let pod = list["items"][0]["metadata"]["name"].as_str().context("a pod")?;
                let at = format!("prod/{}/Pod/{pod}", robot.namespace);
                revoked(revoke_run(robot, &[&at]).await?, "proven")
            }
            Self::Mitigate => mitigate(robot).await,
            Self::Swap => swap(robot).await,
        }
    }
}

/// The scopes that were not read.
fn incomplete(scanned: &Ran) -> String {
    let document = scanned.json();
    let scopes = document["backends"].as_array().into_iter().flatten();
    let scopes = scopes.flat_map(|backend| backend["scopes"].as_array().into_iter().flatten());
    let unread: Vec<_> = scopes.filter(|scope| scope["status"] != "complete").map(Value::to_string).collect();
    if unread.is_empty() { scanned.all() } else { unread.join("\n") }
}

async fn rotate(robot: &Robot, key: &str) -> Result<Result<(), String>> {
    let (secret, map) = copies(robot, key).await?;
    ensure!(secret == map, "planted differently");
    let id = robot.credential(&format!("prod/{}/Secret/hook#{key}", robot.namespace)).await?;
    let ran = robot.run(&["rotate", &id, "--yes", "-o", "json"]).await?;
    if let Err(why) = rotated(ran)? {
        return Ok(Err(why));
    }
    let (after, other) = copies(robot, key).await?;
    Ok(if after == other && after != secret { Ok(()) } else { Err("the copies were not changed".to_owned()) })
}

/// What the Secret and the ConfigMap hold.
async fn copies(robot: &Robot, key: &str) -> Result<(Option<String>, Option<String>)> {
    let object = |kind: &str| format!("/api/v1/namespaces/{}/{kind}/hook", robot.namespace);
    let secret = robot.get(&object("secrets")).await?;
    let held = secret["data"][key].as_str().map(|text| STANDARD.decode(text)).transpose()?;
    let held = held.map(String::from_utf8).transpose()?;
    let map = robot.get(&object("configmaps")).await?;
    Ok((held, map["data"][key].as_str().map(str::to_owned)))
}

fn rotated(ran: Ran) -> Result<Result<(), String>> {
    let done = ran.code == 0 && ran.json()["rotations"][0]["state"] == "done";
    Ok(if done { Ok(()) } else { Err(ran.all()) })
}

async fn revoke_run(robot: &Robot, more: &[&str]) -> Result<Ran> {
    let arguments = ["revoke", "--reason", "leaked", "-o", "json", "--yes"];
    robot.run(&[&arguments, more].concat()).await
}

fn revoked(ran: Ran, verdict: &str) -> Result<Result<(), String>> {
    let document = ran.json();
    let receipts = document["receipts"].as_array().cloned().unwrap_or_default();
    let all = !receipts.is_empty() && receipts.iter().all(|receipt| receipt["verdict"] == verdict);
    Ok(if all { Ok(()) } else { Err(ran.all()) })
}

/// A token, and a value that nobody could refuse and that is taken out of its copies.
async fn revoke(robot: &Robot) -> Result<Result<(), String>> {
    let key = "webhook-secret";
    let id = robot.credential(&format!("prod/{}/Secret/hook#{key}", robot.namespace)).await?;
    let scrubbed = revoke_run(robot, &[&id, "--scrub"]).await?;
    if copies(robot, key).await? != (None, None) {
        return Ok(Err(scrubbed.all()));
    }
    let at = format!("prod/{}/Secret/bot-token", robot.namespace);
    revoked(revoke_run(robot, &[&at]).await?, "proven")
}

async fn mitigate(robot: &Robot) -> Result<Result<(), String>> {
    let listed = robot.run(&["list", "credentials", "-o", "json"]).await?.json();
    let of = format!("prod/{}/Secret/dana#", robot.namespace);
    let items = listed["items"].as_array().context("credentials")?;
    let mine = items.iter().filter_map(|one| one["ref"].as_str()).find(|at| at.starts_with(&of));
    let at = mine.with_context(|| format!("{listed:#}"))?;
    if let Err(why) = revoked(revoke_run(robot, &[at]).await?, "attested")? {
        return Ok(Err(why));
    }
    let namespaced = format!("/apis/{RBAC}/v1/namespaces/{0}/rolebindings", robot.namespace);
    for path in [
        format!("{namespaced}/dana-edits"),
        format!("{namespaced}/dana-reads"),
        format!("/apis/{RBAC}/v1/clusterrolebindings/{}-views", robot.namespace),
    ] {
        let left = robot.get(&path).await?;
        if left["subjects"].to_string().contains("dana-") {
            return Ok(Err(format!("{path} names it: {left}")));
        }
    }
    Ok(Ok(()))
}

/// Every workload takes a token of its own, and the Secret is gone.
async fn swap(robot: &Robot) -> Result<Result<(), String>> {
    let at = format!("prod/{}/Secret/bot-token", robot.namespace);
    let ran = robot.run(&["swap", &at, "--yes", "-o", "json"]).await?;
    let swap = &ran.json()["swaps"][0];
    if ran.code != 0 || swap["state"] != "done" || swap["old"]["verdict"] != "proven" {
        return Ok(Err(ran.all()));
    }
    for (group, kind, name) in [
        ("apps", "deployments", "mounts-deployment"),
        ("apps", "statefulsets", "mounts-statefulset"),
        ("apps", "daemonsets", "mounts-daemonset"),
        ("batch", "cronjobs", "run-cronjob"),
    ] {
        let path = format!("/apis/{group}/v1/namespaces/{}/{kind}/{name}", robot.namespace);
        let spec = robot.get(&path).await?["spec"].to_string();
        if spec.contains("bot-token") || !spec.contains("serviceAccountToken") {
            return Ok(Err(format!("{name} takes no token of its own: {spec}")));
        }
    }
    Ok(Ok(()))
}

fn secret(namespace: &str, name: &str, key: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": {key: value}})
}

/// A value in a Secret and in a ConfigMap.
fn hook(namespace: &str, value: &str) -> Vec<Value> {
    vec![
        secret(namespace, "hook", "webhook-secret", value),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hook", "namespace": namespace}, "data": {"webhook-secret": value}}),
    ]
}

/// A container that reads a key of a Secret.
fn objects_env(secret: &str, key: &str) -> Value {
    json!({"env": [{"name": "VALUE", "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}]})
}

fn pod(mut container: Value) -> Value {
    (container["name"], container["image"]) = ("c".into(), "registry.lab.internal/c:1".into());
    json!({"containers": [container]})
}

fn workload(namespace: &str, kind: &str, name: &str, spec: &Value) -> Value {
    let name = format!("{name}-{}", kind.to_lowercase());
    let labels = json!({"app": name});
    let mut workload = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    });
    if kind == "StatefulSet" {
        workload["spec"]["serviceName"] = name.into();
    }
    workload
}

/// One of each kind that is rolled out.
fn workloads(namespace: &str, name: &str, spec: &Value) -> Vec<Value> {
    ["Deployment", "StatefulSet", "DaemonSet"].map(|kind| workload(namespace, kind, name, spec)).to_vec()
}

/// One of each kind that runs and ends.
fn runs(namespace: &str, name: &str, spec: &Value) -> Vec<Value> {
    let mut spec = spec.clone();
    spec["restartPolicy"] = "Never".into();
    let job = json!({"template": {"spec": spec}});
    let meta = |kind: &str| json!({"name": format!("{name}-{kind}"), "namespace": namespace});
    vec![
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta("job"), "spec": job}),
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta("cronjob"),
               "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}}}),
    ]
}

/// An account `bot` and its token Secret, filled.
async fn token(robot: &Robot) -> Result<()> {
    let namespace = &robot.namespace;
    let annotations = json!({"kubernetes.io/service-account.name": "bot"});
    robot.kubernetes.create(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot", "namespace": namespace}}),
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
               "metadata": {"name": "bot-token", "namespace": namespace, "annotations": annotations}}),
    ])?;
    let path = format!("/api/v1/namespaces/{namespace}/secrets/bot-token");
    eventually("a token", || async {
        robot.get(&path).await.ok()?["data"]["token"].is_string().then_some(())
    })
    .await
}

fn params(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new([format!("{name}.lab.internal")])?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// A certificate that signs itself, and lies beside itself as what is trusted.
fn certificate(namespace: &str) -> Result<Value> {
    let key = KeyPair::generate()?;
    let pem = params("alone")?.self_signed(&key)?.pem();
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "alone", "namespace": namespace},
        "stringData": {"tls.crt": pem, "tls.key": key.serialize_pem(), "ca.crt": pem},
    }))
}

/// A kubeconfig with a client certificate, and what its user may do: by a role of the namespace, by a ClusterRole there, and everywhere. The user is
/// one of this namespace alone, as bindings are the cluster's.
fn certified(namespace: &str, server: &str) -> Result<Vec<Value>> {
    let user = format!("dana-{namespace}");
    let mut params = params(&user)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user.as_str());
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": server}}],
        "users": [{"name": user, "user": {
            "client-certificate-data": STANDARD.encode(pem), "client-key-data": STANDARD.encode(key.serialize_pem()),
        }}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
    });
    let bound = |kind: &str, name: &str, namespace: Option<&str>, to: &str, role: &str| {
        json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": RBAC, "kind": to, "name": role},
            "subjects": [{"kind": "User", "name": user, "apiGroup": RBAC}, {"kind": "User", "name": "lee", "apiGroup": RBAC}],
        })
    };
    Ok(vec![
        secret(namespace, "dana", "config", &config.to_string()),
        json!({"apiVersion": format!("{RBAC}/v1"), "kind": "Role", "metadata": {"name": "reads", "namespace": namespace},
               "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
        bound("RoleBinding", "dana-edits", Some(namespace), "ClusterRole", "edit"),
        bound("RoleBinding", "dana-reads", Some(namespace), "Role", "reads"),
        bound("ClusterRoleBinding", &format!("{namespace}-views"), None, "ClusterRole", "view"),
    ])
}
