//! A real Kubernetes control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and kwok, which plays
//! the nodes. Deployments roll out, Pods become Running, token Secrets are filled in; no container runs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::daemon::{Daemon, Directory, bare_command, eventually, persistently};
use super::http::{self, Answer};
use super::private::{random_token, write_private};
use super::reaper::Ending;
use super::{assets, ports, tls};

/// The one node, and the namespace every cluster has.
const NODE: &str = "node-0";

/// A running control plane. Dropping it ends all its processes.
pub struct Kubernetes {
    // Fields drop in this order: those who talk to etcd go before it.
    daemons: Vec<Daemon>,
    url: String,
    ca: PathBuf,
    ca_pem: Vec<u8>,
    kubeconfig: PathBuf,
    token: String,
    kubectl: PathBuf,
    directory: Directory,
}

impl Kubernetes {
    /// Starts a control plane and waits until a node is Ready and the default ServiceAccount exists: 4 s on a quiet
    /// machine, 560 MiB.
    ///
    /// # Errors
    /// [`assets::NotInstalled`]; or a process that does not come up, with the path of its log.
    pub async fn start() -> Result<Self> {
        persistently(Self::attempt).await
    }

    /// The control plane that all tests of this binary share.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Kubernetes> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn attempt() -> Result<Self> {
        let etcd = assets::path("etcd")?;
        let apiserver = assets::path("kube-apiserver")?;
        let controllers = assets::path("kube-controller-manager")?;
        let scheduler = assets::path("kube-scheduler")?;
        let kwok = assets::path("kwok")?;
        let stages = assets::path("kwok-stages")?;
        let kubectl = assets::path("kubectl")?;

        let directory = Directory::new("kubernetes")?;
        let home = directory.path().to_path_buf();
        let (signing_key, verifying_key) = tls::rsa_key()?;
        let signing_key = directory.write("sa.key", signing_key)?;
        let verifying_key = directory.write("sa.pub", verifying_key)?;
        let token = random_token()?;
        let tokens =
            directory.write("tokens.csv", format!("{token},lab-admin,lab-admin,system:masters\n"))?;
        let certificates = home.join("certificates");

        let (client_url, peer_url) = (local_url()?, local_url()?);
        let mut etcd = bare_command(etcd, &home);
        etcd.arg("--data-dir").arg(home.join("etcd")).args([
            "--unsafe-no-fsync",
            "--log-level=error",
            "--initial-cluster-token=lab",
            &format!("--listen-client-urls={client_url}"),
            &format!("--advertise-client-urls={client_url}"),
            &format!("--listen-peer-urls={peer_url}"),
            &format!("--initial-advertise-peer-urls={peer_url}"),
            &format!("--initial-cluster=default={peer_url}"),
            // 20,000 Secrets, and then hundreds of 900 KiB.
            "--quota-backend-bytes=6442450944",
            "--max-request-bytes=4194304",
        ]);
        let mut etcd = Daemon::spawn("etcd", etcd, home.join("etcd.log"), Ending::Kill)?;
        let plain = http::client(None)?;
        let health = format!("{client_url}/health");
        etcd.wait_until("its health", || answers(&plain, &health)).await?;

        let port = ports::free()?;
        let url = format!("https://127.0.0.1:{port}");
        let mut apiserver = bare_command(apiserver, &home);
        apiserver.args([
            &format!("--etcd-servers={client_url}"),
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            &format!("--secure-port={port}"),
            &format!("--cert-dir={}", certificates.display()),
            "--service-account-issuer=https://kubernetes.default.svc",
            &format!("--service-account-key-file={}", verifying_key.display()),
            &format!("--service-account-signing-key-file={}", signing_key.display()),
            "--authorization-mode=RBAC",
            &format!("--token-auth-file={}", tokens.display()),
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
        ]);
        let mut apiserver =
            Daemon::spawn("kube-apiserver", apiserver, home.join("kube-apiserver.log"), Ending::Kill)?;
        let ca = certificates.join("apiserver.crt");
        let ready = format!("{url}/readyz");
        apiserver
            .wait_until("/readyz", || async {
                let Ok(pem) = std::fs::read(&ca) else { return false };
                let Ok(client) = http::client(Some(&pem)) else { return false };
                answers(&client, &ready).await
            })
            .await?;
        let ca_pem = std::fs::read(&ca)?;
        let kubeconfig = directory
            .write("admin.kubeconfig", render_kubeconfig(&url, &ca_pem, "lab-admin", &token, "default"))?;

        let mut controllers = bare_command(controllers, &home);
        controllers.args([
            &format!("--kubeconfig={}", kubeconfig.display()),
            &format!("--service-account-private-key-file={}", signing_key.display()),
            &format!("--root-ca-file={}", ca.display()),
            "--use-service-account-credentials=false",
            "--leader-elect=false",
            "--secure-port=0",
            "--bind-address=127.0.0.1",
            &format!("--cert-dir={}", home.join("controllers").display()),
            // By default twenty requests a second: a benchmark would wait minutes for its token Secrets to be filled.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--concurrent-serviceaccount-token-syncs=16",
        ]);
        let mut scheduler = bare_command(scheduler, &home);
        scheduler.args([
            &format!("--kubeconfig={}", kubeconfig.display()),
            "--leader-elect=false",
            "--secure-port=0",
            "--bind-address=127.0.0.1",
        ]);
        let mut kwok = bare_command(kwok, &home);
        kwok.args([
            &format!("--config={}", stages.display()),
            &format!("--kubeconfig={}", kubeconfig.display()),
            "--manage-all-nodes=true",
            &format!("--server-address=127.0.0.1:{}", ports::free()?),
        ]);
        let daemons = vec![
            apiserver,
            Daemon::spawn(
                "kube-controller-manager",
                controllers,
                home.join("controllers.log"),
                Ending::Kill,
            )?,
            Daemon::spawn("kube-scheduler", scheduler, home.join("scheduler.log"), Ending::Kill)?,
            Daemon::spawn("kwok", kwok, home.join("kwok.log"), Ending::Kill)?,
            etcd,
        ];
        let mut started = Self { daemons, url, ca, ca_pem, kubeconfig, token, kubectl, directory };
        started.settle().await?;
        Ok(started)
    }

    /// Creates the node, and waits for what the controllers make.
    async fn settle(&mut self) -> Result<()> {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": {"kubernetes.io/os": "linux"}}});
        self.request(Method::POST, "/api/v1/nodes", Some(&node)).await?.good("create the node")?;
        let mut kwok = self.daemons.remove(3);
        kwok.wait_until("a Ready node", || async {
            let Ok(answer) = self.request(Method::GET, &format!("/api/v1/nodes/{NODE}"), None).await else {
                return false;
            };
            let conditions = answer.body["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        })
        .await?;
        self.daemons.insert(3, kwok);
        let mut controllers = self.daemons.remove(1);
        controllers
            .wait_until("the default ServiceAccount", || async {
                let path = "/api/v1/namespaces/default/serviceaccounts/default";
                matches!(self.request(Method::GET, path, None).await, Ok(answer) if answer.status == 200)
            })
            .await?;
        self.daemons.insert(1, controllers);
        Ok(())
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file with the certificates that vouch for the API server, PEM.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// A kubeconfig of a member of `system:masters`: everything is allowed.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Where the servers keep their data and logs; files may be added.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Process ids: API server, controllers, scheduler, kwok, etcd.
    pub fn pids(&self) -> Vec<u32> {
        self.daemons.iter().map(Daemon::pid).collect()
    }

    /// One request as the administrator, `path` beginning with `/api`; any status is an answer. A PATCH is sent as a
    /// merge patch.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        self.request_as(&self.token, method, path, body).await
    }

    /// One request with somebody else's bearer token.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn request_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let client = http::client(Some(&self.ca_pem))?;
        let authorization = format!("Bearer {token}");
        let content =
            if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let headers = [("authorization", authorization.as_str()), ("content-type", content)];
        http::send(&client, method, &format!("{}{path}", self.url), &headers, body).await
    }

    /// Runs kubectl as the administrator and gives its stdout.
    ///
    /// # Errors
    /// When it fails; the message carries its stderr.
    pub fn kubectl(&self, arguments: &[&str], stdin: Option<&[u8]>) -> Result<String> {
        let mut command: Command = bare_command(&self.kubectl, self.directory.path());
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("kubectl")?;
        if let Some(input) = stdin {
            // kubectl reads all of its input before it prints.
            child.stdin.take().context("kubectl's stdin")?.write_all(input)?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!(
                "kubectl {}: {}",
                arguments.first().unwrap_or(&""),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Creates objects as they are: no last-applied annotation, any size. Existing ones are an error.
    ///
    /// # Errors
    /// When one of them cannot be created.
    pub fn create(&self, objects: &[Value]) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.kubectl(&["create", "-f", "-"], Some(&serde_json::to_vec(&list)?)).map(drop)
    }

    /// Creates or updates objects as `kubectl apply` does: the last-applied annotation holds them whole.
    ///
    /// # Errors
    /// When one of them cannot be applied.
    pub fn apply(&self, objects: &[Value]) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.kubectl(&["apply", "-f", "-"], Some(&serde_json::to_vec(&list)?)).map(drop)
    }

    /// A token of an existing ServiceAccount (TokenRequest), good for `seconds` (600 at least).
    ///
    /// # Errors
    /// When the ServiceAccount does not exist.
    pub async fn service_account_token(&self, namespace: &str, name: &str, seconds: u64) -> Result<String> {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}});
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let body = self.request(Method::POST, &path, Some(&request)).await?.good("a ServiceAccount token")?;
        Ok(body["status"]["token"].as_str().context("a token in the answer")?.to_owned())
    }

    /// Writes a kubeconfig (mode 0600) that authenticates with `token`; its one context is named `lab`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_kubeconfig(&self, path: &Path, user: &str, token: &str) -> Result<()> {
        write_private(path, &render_kubeconfig(&self.url, &self.ca_pem, user, token, "default"))
    }

    /// A kubeconfig of a new identity that may do what its rules say and no more. Its ServiceAccount is
    /// `namespace/name`; the namespace must exist. The token is good for a day.
    ///
    /// # Errors
    /// When one of the objects cannot be created.
    pub async fn restricted_kubeconfig(&self, path: &Path, identity: &Restricted<'_>) -> Result<()> {
        let Restricted { namespace, name, cluster_rules, grants } = identity;
        let subject = json!([{"kind": "ServiceAccount", "name": name, "namespace": namespace}]);
        let rbac = "rbac.authorization.k8s.io/v1";
        let role = |name: &str, rules: &Value| json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
        let reference = |name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name});
        let everywhere = format!("{name}-cluster");
        let mut objects = vec![
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}),
            role(&everywhere, cluster_rules),
            json!({"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": {"name": everywhere},
                   "roleRef": reference(&everywhere), "subjects": subject}),
        ];
        for (number, (rules, namespaces)) in grants.iter().enumerate() {
            let inside = format!("{name}-{number}");
            objects.push(role(&inside, rules));
            for readable in *namespaces {
                objects.push(json!({"apiVersion": rbac, "kind": "RoleBinding",
                                    "metadata": {"name": inside, "namespace": readable},
                                    "roleRef": reference(&inside), "subjects": subject}));
            }
        }
        self.create(&objects)?;
        let token = self.service_account_token(namespace, name, 86_400).await?;
        self.write_kubeconfig(path, name, &token)
    }

    /// The text of a kubeconfig that authenticates with `token`.
    pub fn kubeconfig_text(&self, user: &str, token: &str) -> String {
        render_kubeconfig(&self.url, &self.ca_pem, user, token, "default")
    }

    /// Waits until every Deployment, StatefulSet and Pod of a namespace is as it should be.
    ///
    /// # Errors
    /// When it is not after a minute and a half.
    pub async fn rolled_out(&self, namespace: &str) -> Result<()> {
        eventually(&format!("the workloads of {namespace} to roll out"), || async {
            let mut all_ready = true;
            for kind in ["deployments", "statefulsets"] {
                let path = format!("/apis/apps/v1/namespaces/{namespace}/{kind}");
                let answer = self.request(Method::GET, &path, None).await.ok()?;
                for workload in answer.body["items"].as_array()? {
                    let wanted = workload["spec"]["replicas"].as_u64().unwrap_or(1);
                    let (status, generation) = (&workload["status"], &workload["metadata"]["generation"]);
                    let count = |field: &str| status[field].as_u64().unwrap_or(0);
                    all_ready &= status["observedGeneration"] == *generation
                        && count("readyReplicas") == wanted
                        && count("updatedReplicas") == wanted
                        && count("replicas") == wanted;
                }
            }
            all_ready.then_some(())
        })
        .await
    }
}

/// An identity with few rights, see [`Kubernetes::restricted_kubeconfig`].
pub struct Restricted<'a> {
    /// Namespace of its ServiceAccount.
    pub namespace: &'a str,
    /// Name of its ServiceAccount.
    pub name: &'a str,
    /// RBAC rules that hold everywhere.
    pub cluster_rules: Value,
    /// RBAC rules, and the namespaces they hold in.
    pub grants: &'a [(Value, &'a [&'a str])],
}

/// A kubeconfig with the token and the certificates in it; JSON, which is YAML.
fn render_kubeconfig(url: &str, ca_pem: &[u8], user: &str, token: &str, namespace: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": url, "certificate-authority-data": STANDARD.encode(ca_pem)}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user, "namespace": namespace}}],
    })
    .to_string()
}

fn local_url() -> Result<String> {
    Ok(format!("http://127.0.0.1:{}", ports::free()?))
}

async fn answers(client: &reqwest::Client, url: &str) -> bool {
    matches!(http::send(client, Method::GET, url, &[], None).await, Ok(answer) if answer.status == 200)
}
