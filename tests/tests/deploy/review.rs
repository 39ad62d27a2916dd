//! The API with the one right of its own: it knows ServiceAccounts by their tokens, over TLS, and without that right it knows none.

use std::{
    collections::BTreeSet,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    binary,
    lab::{http, kubernetes::Kubernetes, tls},
    require_lab,
};
use reqwest::Method;
use serde_json::json;

use crate::{robot::Robot, role::rights};

const PATIENCE: Duration = Duration::from_secs(120);

/// `claviger serve` as a pod runs it: the certificate by the environment. Killed when it is dropped.
struct Api {
    child: Child,
    address: String,
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Api {
    fn start(robot: &Robot) -> Result<Self> {
        let directory = robot.directory();
        let log = directory.join("serve.log");
        let mut command: Command = binary::command(directory)?;
        let child = command
            .args(["serve", "--roles", "api", "--listen", "127.0.0.1:0"])
            .env("CLAVIGER_SERVICE__CERTIFICATE", directory.join("tls.crt"))
            .env("CLAVIGER_SERVICE__KEY", directory.join("tls.key"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()?;
        let mut api = Self { child, address: String::new() };
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let said = std::fs::read_to_string(&log)?;
            if let Some((_, rest)) = said.split_once("listening on ") {
                api.address = rest.lines().next().unwrap_or_default().to_owned();
                return Ok(api);
            }
            ensure!(api.child.try_wait()?.is_none(), "it ended: {said}");
            std::thread::sleep(Duration::from_millis(50));
        }
        anyhow::bail!("it does not listen")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_knows_accounts_with_its_role_alone_and_none_without() -> Result<()> {
    let kubernetes = Arc::new(require_lab!(Kubernetes::start().await, Ok(())));
    let all: BTreeSet<_> = rights(&kubernetes, "review")?.into_iter().collect();
    ensure!(all.len() == 1, "each right that is there has to be tried: {all:?}");
    let (authority, server) = tls::issued(&["127.0.0.1"])?;
    for (name, given) in [("reviews", all.clone()), ("reviews-not", BTreeSet::new())] {
        let policy = format!(
            "include = [\"{name}\"]\n[service.kubernetes]\nbackend = \"prod\"\naudience = \"claviger\"\n[[access]]\nrole = \"viewer\"\nservice_accounts = [\"{name}/viewer\"]\n"
        );
        let robot = Robot::new(Arc::clone(&kubernetes), name, &given, policy).await?;
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "viewer", "namespace": name}});
        kubernetes.create(&[account])?;
        std::fs::write(robot.directory().join("tls.crt"), &server.certificate)?;
        std::fs::write(robot.directory().join("tls.key"), &server.key)?;
        let api = Api::start(&robot)?;
        ensure!(api.address.starts_with("https://"), "{}", api.address);
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                          "spec": {"audiences": ["claviger"], "expirationSeconds": 600}});
        let path = format!("/api/v1/namespaces/{name}/serviceaccounts/viewer/token");
        let made = kubernetes.request(Method::POST, &path, Some(&body)).await?.good("a token")?;
        let token = made["status"]["token"].as_str().context("a token")?;
        let client = http::client(Some(authority.as_bytes()))?;
        let asked = client.get(format!("{}/api/v1/credentials", api.address)).bearer_auth(token);
        let answer = asked.send().await?;
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        match given.is_empty() {
            false => ensure!(status == 200, "{name}: {status} {text}"),
            // Whose it is cannot be found out: nobody is let in, and it is not said to be wrong.
            true => ensure!(status == 503, "{name}: {status} {text}"),
        }
        println!("{name}: {status}");
        // The kubelet asks the same way.
        let ready = client.get(format!("{}/readyz", api.address)).send().await?;
        ensure!(matches!(ready.status().as_u16(), 200 | 503), "{}", ready.status());
    }
    Ok(())
}
