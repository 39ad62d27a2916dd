//! A job's eyes: a runner of Gitea's that takes a job and runs nothing, to see which values the forge hands out. What an API never shows, a job is
//! given.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::daemon::eventually;
use super::gitea::Gitea;
use super::http;
use super::private::random_token;

/// A runner of one repository.
pub struct Runner<'g> {
    gitea: &'g Gitea,
    repository: String,
    uuid: String,
    token: String,
}

/// The label that its jobs ask for by `runs-on`.
pub const LABEL: &str = "lab";

impl<'g> Runner<'g> {
    /// Registers one for `owner/name`.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn register(gitea: &'g Gitea, repository: &str) -> Result<Runner<'g>> {
        let path = format!("repos/{repository}/actions/runners/registration-token");
        let token = gitea.make(&path, &json!({})).await?["token"].as_str().context("a token")?.to_owned();
        let body = json!({"name": random_token()?, "token": token, "version": "lab", "labels": [LABEL]});
        let made = call(gitea, "Register", &[], &body).await?;
        let text = |key: &str| made["runner"][key].as_str().map(str::to_owned).context("a runner");
        Ok(Self { gitea, repository: repository.to_owned(), uuid: text("uuid")?, token: text("token")? })
    }

    /// Starts the workflow file of this name, which must have the trigger `workflow_dispatch`, takes its job, and gives the secrets that come with it.
    ///
    /// # Errors
    /// When it does not start, or no job comes.
    pub async fn secrets(&self, workflow: &str) -> Result<BTreeMap<String, String>> {
        let path = format!("repos/{}/actions/workflows/{workflow}/dispatches", self.repository);
        let body = json!({"ref": "main"});
        self.gitea.request(Method::POST, &path, Some(&body)).await?.good(&path)?;
        let task = eventually("a job", || async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let who = [("x-runner-uuid", self.uuid.as_str()), ("x-runner-token", self.token.as_str())];
            let answer = call(self.gitea, "FetchTask", &who, &json!({"tasksVersion": "0"})).await.ok()?;
            answer.get("task").cloned()
        })
        .await?;
        let secrets = task["secrets"].as_object().context("secrets")?;
        Ok(secrets
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect())
    }
}

/// A call of the protocol that runners speak, in JSON.
async fn call(gitea: &Gitea, method: &str, headers: &[(&str, &str)], body: &Value) -> Result<Value> {
    let url = format!("{}/api/actions/runner.v1.RunnerService/{method}", gitea.address());
    http::send(&http::client(None)?, Method::POST, &url, headers, Some(body)).await?.good(method)
}
