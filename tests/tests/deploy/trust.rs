//! The shipped policy of OpenBao for swaps, tried like the others: the swaps of a token and of a database's password are taken back, that of a secret-id comes to
//! its end. The API server and PostgreSQL let everything happen: what is shipped for them is tried by itself.

use std::{process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    binary,
    lab::{
        kubernetes::Kubernetes,
        openbao::OpenBao,
        postgres::Postgres,
        private::{random_token, write_private},
    },
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::policy::{Right, policy, rights};

const AT_ONCE: usize = 3;
/// Where OpenBao's own account lies, by which it asks about tokens.
const HOME: &str = "default";

struct Servers {
    kubernetes: Kubernetes,
    openbao: OpenBao,
    postgres: Postgres,
}

impl Servers {
    async fn start() -> Result<Self> {
        let kubernetes = Kubernetes::start().await?;
        let (openbao, postgres) = (OpenBao::start().await?, Postgres::start().await?);
        let rbac = "rbac.authorization.k8s.io";
        kubernetes.create(&[
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reviewer", "namespace": HOME}}),
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "reviewer"},
                   "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "system:auth-delegator"},
                   "subjects": [{"kind": "ServiceAccount", "name": "reviewer", "namespace": HOME}]}),
        ])?;
        // What the development server brings along is none of it.
        openbao.request(Method::DELETE, "sys/mounts/secret", None).await?;
        openbao.write("sys/mounts/kv", &json!({"type": "kv", "options": {"version": "2"}})).await?;
        openbao.write("sys/mounts/database", &json!({"type": "database"})).await?;
        for method in ["approle", "kubernetes", "jwt"] {
            openbao.write(&format!("sys/auth/{method}"), &json!({"type": method})).await?;
        }
        let login = json!({
            "kubernetes_host": kubernetes.url(), "kubernetes_ca_cert": std::fs::read_to_string(kubernetes.ca())?,
            "token_reviewer_jwt": kubernetes.service_account_token(HOME, "reviewer", 7200).await?, "disable_local_ca_jwt": true,
        });
        openbao.write("auth/kubernetes/config", &login).await?;
        let job = json!({"policy": "path \"kv/data/none\" { capabilities = [\"read\"] }"});
        openbao.write("sys/policies/acl/job", &job).await?;
        let url = format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres?sslmode=disable",
            postgres.port()
        );
        let connection = json!({
            "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": url,
            "username": postgres.user(), "password": postgres.password(),
        });
        openbao.write("database/config/pg", &connection).await?;
        Ok(Self { kubernetes, openbao, postgres })
    }
}

/// One identity with its policy, and what only it works on.
struct Holder {
    servers: Arc<Servers>,
    name: String,
    /// The refs of what gives way: a token, a secret-id, a password.
    token: String,
    secret_id: String,
    password: String,
    directory: TempDir,
}

impl Holder {
    async fn new(servers: Arc<Servers>, name: &str, rights: &[Right]) -> Result<Self> {
        let bao = &servers.openbao;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        servers.kubernetes.create(&[namespace])?;
        bao.write(&format!("sys/policies/acl/{name}"), &json!({"policy": policy(rights)})).await?;
        let made = json!({"policies": [name], "no_parent": true, "period": "24h", "display_name": name});
        let own = bao.write("auth/token/create", &made).await?["auth"]["client_token"].clone();

        let made = json!({"policies": ["job"], "no_parent": true, "period": "24h"});
        let auth = bao.write("auth/token/create", &made).await?["auth"].clone();
        let value = auth["client_token"].as_str().context("a token")?;
        deploy(&servers, name, "token", &[("token", value)])?;
        let role = format!("auth/approle/role/{name}");
        bao.write(&role, &json!({"token_policies": "job", "token_ttl": "1h", "secret_id_ttl": "0"})).await?;
        let about = json!({"metadata": json!({"of": name}).to_string()});
        let given = bao.write(&format!("{role}/secret-id"), &about).await?["data"].clone();
        let value = given["secret_id"].as_str().context("a secret-id")?;
        deploy(&servers, name, "secret-id", &[("token", value)])?;
        let (account, password) = (format!("app_{}", name.replace('-', "_")), random_token()?);
        let client = servers.postgres.connect("postgres").await?;
        client.batch_execute(&format!("CREATE ROLE {account} LOGIN PASSWORD '{password}'")).await?;
        deploy(&servers, name, "password", &[("username", &account), ("password", &password)])?;
        servers.kubernetes.rolled_out(name).await?;

        let directory = tempfile::tempdir()?;
        write_private(&directory.path().join("token"), own.as_str().context("a token")?)?;
        write_private(&directory.path().join("password"), servers.postgres.password())?;
        let configuration = format!(
            "database = \"sqlite://claviger.db\"\nkeys = \"keys\"\n\n\
             [backends.prod]\nkind = \"kubernetes\"\nkubeconfig = \"{}\"\ninclude = [\"{name}\"]\n\n\
             [backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"token\" }}\n\n\
             [backends.db]\nkind = \"postgresql\"\nurl = \"postgres://{}@127.0.0.1:{}/postgres?sslmode=disable\"\npassword = {{ file = \"password\" }}\n\n\
             [policies.vault]\nmatch = \"backend=vault\"\nevidence = \"blind\"\n\n[policies.db]\nmatch = \"backend=db\"\nevidence = \"blind\"\n\n\
             [guards]\nmax_targets = 1000\nmax_share = 1.0\ncanary = 0\n",
            servers.kubernetes.kubeconfig().display(),
            bao.address(),
            servers.postgres.user(),
            servers.postgres.port()
        );
        std::fs::write(directory.path().join("claviger.toml"), configuration)?;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self {
            token: format!("vault/auth/token/accessor/{}", word(&auth["accessor"])),
            secret_id: format!("vault/{role}/secret-id/{}", word(&given["secret_id_accessor"])),
            password: format!("db/role/{account}"),
            name: name.to_owned(),
            servers,
            directory,
        })
    }

    async fn run(&self, arguments: &[&str]) -> Result<(i32, Value, String)> {
        let mut command = tokio::process::Command::from(binary::command(self.directory.path())?);
        let command = command.args(arguments).args(["-o", "json"]).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await?;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let code = output.status.code().unwrap_or(-1);
        let document = serde_json::from_str(&stdout).unwrap_or(Value::Null);
        Ok((code, document, format!("{arguments:?}: exit {code}\n{stderr}\n{stdout}")))
    }

    /// Begins a swap and lets it wait for the manifest's owner: its id, and the patch's file.
    async fn begin(&self, subject: &str) -> Result<Result<(String, String), String>> {
        let (_, document, said) = self.run(&["swap", subject, "--patch", "patches", "--yes"]).await?;
        let swap = &document["swaps"][0];
        if swap["state"] != "waiting" {
            return Ok(Err(said));
        }
        let id = swap["rotation_id"].as_str().with_context(|| said.clone())?.to_owned();
        let file = document["plan"]["patches"][0]["file"].as_str().with_context(|| said.clone())?.to_owned();
        Ok(Ok((id, file)))
    }

    /// Does it do its work? If not, what it said.
    async fn succeeds(&self) -> Result<Result<(), String>> {
        let (code, _, said) = self.run(&["scan"]).await?;
        if code != 0 {
            return Ok(Err(said));
        }
        for subject in [&self.token, &self.password] {
            let (id, _) = match self.begin(subject).await? {
                Ok(begun) => begun,
                Err(said) => return Ok(Err(said)),
            };
            let (_, _, said) = self.run(&["rollback", &id, "--yes"]).await?;
            let (_, listed, _) = self.run(&["list", "swaps"]).await?;
            let items = listed["items"].as_array().context("swaps")?;
            if !items.iter().any(|swap| swap["rotation_id"] == id.as_str() && swap["state"] == "unwound") {
                return Ok(Err(said));
            }
        }
        let file = match self.begin(&self.secret_id).await? {
            Ok((_, file)) => self.directory.path().join("patches").join(file).display().to_string(),
            Err(said) => return Ok(Err(said)),
        };
        let (namespace, kind) = (self.name.as_str(), "strategic");
        let patch =
            ["patch", "deployment", "secret-id", "-n", namespace, "--type", kind, "--patch-file", &file];
        self.servers.kubernetes.kubectl(&patch, None)?;
        self.servers.kubernetes.rolled_out(namespace).await?;
        let (_, document, said) = self.run(&["resume"]).await?;
        let swap = &document["rotations"][0];
        let done = swap["state"] == "done" && swap["old"]["verdict"] == "proven";
        Ok(if done { Ok(()) } else { Err(said) })
    }
}

/// An account, a Secret with these fields and a workload that reads them, all of one name.
fn deploy(servers: &Servers, namespace: &str, name: &str, fields: &[(&str, &str)]) -> Result<()> {
    let meta = json!({"name": name, "namespace": namespace});
    let read = |field: &str| json!({"name": field.to_uppercase(), "valueFrom": {"secretKeyRef": {"name": name, "key": field}}});
    let env: Vec<Value> = fields.iter().map(|(field, _)| read(field)).collect();
    let data: serde_json::Map<String, Value> =
        fields.iter().map(|(field, value)| ((*field).to_owned(), json!(value))).collect();
    let container = json!({"name": "c", "image": "registry.lab.internal/c:1", "env": env});
    servers.kubernetes.create(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
                "spec": {"serviceAccountName": name, "containers": [container]}}}}),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_needs_every_capability_of_its_policy() -> Result<()> {
    let servers = Arc::new(require_lab!(Servers::start().await, Ok(())));
    let (own, beside) = (rights("swap")?, rights("scan")?);
    let (places, mut tried) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for (index, left_out) in std::iter::once(None).chain(own.iter().map(Some)).enumerate() {
        ensure!(!left_out.is_some_and(|right| beside.contains(right)), "{left_out:?} is in `scan` already");
        let all: Vec<Right> =
            own.iter().chain(&beside).filter(|right| Some(*right) != left_out).cloned().collect();
        let holder = Holder::new(Arc::clone(&servers), &format!("swap-{index}"), &all).await?;
        let (places, left_out) = (Arc::clone(&places), left_out.cloned());
        tried.spawn(async move {
            let _place = places.acquire_owned().await?;
            let outcome = tokio::time::timeout(Duration::from_secs(240), holder.succeeds()).await;
            let outcome = outcome.unwrap_or_else(|_| Ok(Err("it does not end".to_owned())))?;
            Ok::<_, anyhow::Error>((left_out, outcome))
        });
    }
    let (mut superfluous, mut broken) = (Vec::new(), 0);
    while let Some(answer) = tried.join_next().await {
        match answer?? {
            (None, Ok(())) => {}
            (None, Err(why)) => anyhow::bail!("`swap` does not do its work with its own policy: {why}"),
            (Some(left_out), Ok(())) => superfluous.push(left_out),
            (Some(_), Err(_)) => broken += 1,
        }
    }
    ensure!(superfluous.is_empty(), "`swap` does its work without {superfluous:?}");
    println!("swap: does its work with its policy; each of {broken} capabilities taken away breaks it");
    Ok(())
}
