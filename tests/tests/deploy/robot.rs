//! An identity with these rights and no others, a namespace with its name, and claviger that runs as it.

use std::{collections::BTreeSet, process::Stdio, sync::Arc};

use anyhow::{Context as _, Result};
use claviger_tests::{
    binary,
    lab::{daemon::eventually, kubernetes::Kubernetes},
};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::role::Right;

/// Where it has its ServiceAccount: in none of the namespaces that it reads.
const HOME: &str = "default";

/// One run of the binary.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as a document; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or(Value::Null)
    }

    /// What it said, for whoever looks for the reason.
    pub(crate) fn all(&self) -> String {
        format!("exit {}\n{}\n{}", self.code, self.stderr, self.stdout)
    }
}

pub(crate) struct Robot {
    pub(crate) kubernetes: Arc<Kubernetes>,
    /// Where the flow has its objects.
    pub(crate) namespace: String,
    directory: TempDir,
}

impl Robot {
    /// Makes it. `policy` is appended to its configuration.
    pub(crate) async fn new(
        kubernetes: Arc<Kubernetes>,
        name: &str,
        rights: &BTreeSet<Right>,
        policy: String,
    ) -> Result<Self> {
        let rules: Vec<Value> = rights
            .iter()
            .map(|right| json!({"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]}))
            .collect();
        let rbac = "rbac.authorization.k8s.io";
        kubernetes.create(&[
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": HOME}}),
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}),
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
                   "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
                   "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": HOME}]}),
        ])?;
        let directory = tempfile::tempdir()?;
        let token = kubernetes.service_account_token(HOME, name, 7200).await?;
        kubernetes.write_kubeconfig(&directory.path().join("kubeconfig"), name, &token)?;
        let configuration = format!(
            "database = \"sqlite://claviger.db\"\nkeys = \"keys\"\n\n[backends.prod]\nkind = \"kubernetes\"\nkubeconfig = \"kubeconfig\"\ncontext = \"lab\"\n{policy}\n\
             [guards]\nmax_targets = 1000\nmax_share = 1.0\ncanary = 0\n"
        );
        std::fs::write(directory.path().join("claviger.toml"), configuration)?;
        let robot = Self { kubernetes, namespace: name.to_owned(), directory };
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        eventually("a default ServiceAccount", || async {
            let answer = robot.kubernetes.request(Method::GET, &account, None).await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await?;
        if let Some(right) = rights.first() {
            robot.bound(&token, right).await?;
        }
        Ok(robot)
    }

    /// The authorizer learns of a binding a moment after it is made.
    async fn bound(&self, token: &str, right: &Right) -> Result<()> {
        let (resource, part) = right.resource.split_once('/').unwrap_or((&right.resource, ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"group": right.group, "resource": resource, "subresource": part, "verb": right.verb}},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        eventually("its rights", || async {
            let answer = self.kubernetes.request_as(token, Method::POST, path, Some(&review)).await.ok()?;
            (answer.body["status"]["allowed"] == true).then_some(())
        })
        .await
    }

    /// Where its configuration lies.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Runs claviger as it.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        let mut command = tokio::process::Command::from(binary::command(self.directory.path())?);
        let output = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await?;
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// An object as the administrator sees it; null where it is not.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.kubernetes.request(Method::GET, path, None).await?;
        Ok(if answer.status == 200 { answer.body } else { Value::Null })
    }

    /// The ref of the one credential with a copy or a place at this ref.
    pub(crate) async fn credential(&self, at: &str) -> Result<String> {
        let listed = self.run(&["list", "copies", "-o", "json"]).await?.json();
        let copies = listed["items"].as_array().context("copies")?;
        let found = copies.iter().find(|copy| copy["ref"] == at && copy["stage"] == "current");
        let found = found.with_context(|| format!("no copy at {at}: {listed:#}"))?;
        Ok(found["credential"].as_str().context("a credential")?.to_owned())
    }
}
