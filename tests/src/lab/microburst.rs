//! microburst, a proxy that breaks an HTTP server's answers on command: cut, delayed, refused, wrong.

use anyhow::Result;
use reqwest::Method;
use serde_json::Value;

use super::daemon::{Daemon, Directory, bare_command, persistently};
use super::reaper::Ending;
use super::{assets, http, ports};

/// A running proxy in front of one server.
pub struct Microburst {
    _daemon: Daemon,
    endpoint: String,
    _directory: Directory,
}

impl Microburst {
    /// Starts one in front of `upstream` (`http://127.0.0.1:PORT`).
    ///
    /// # Errors
    /// [`assets::NotInstalled`]; or a process that does not come up, with the path of its log.
    pub async fn start(upstream: &str) -> Result<Self> {
        persistently(|| Self::attempt(upstream)).await
    }

    async fn attempt(upstream: &str) -> Result<Self> {
        let python = assets::path("python")?;
        let directory = Directory::new("microburst")?;
        let home = directory.path().to_path_buf();
        let port = ports::free()?;
        let mut command = bare_command(python, &home);
        command.args([
            "-c",
            "from microburst.cli import main; main()",
            "-u",
            upstream,
            "-p",
            &port.to_string(),
        ]);
        let mut daemon = Daemon::spawn("microburst", command, home.join("microburst.log"), Ending::Kill)?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let client = http::client(None)?;
        let rules = format!("{endpoint}/_microburst/rules");
        let ready = || async {
            matches!(http::send(&client, Method::GET, &rules, &[], None).await, Ok(answer) if answer.status == 200)
        };
        daemon.wait_until("its rules", ready).await?;
        Ok(Self { _daemon: daemon, endpoint, _directory: directory })
    }

    /// `http://127.0.0.1:PORT`, to be used instead of the server's own.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Adds rules: a list such as `[{"service": "*", "times": 1, "response": {"abort_frac": 0.2}}]`, which lets one
    /// request through and cuts its answer.
    ///
    /// # Errors
    /// When they are not accepted.
    pub async fn add_rules(&self, rules: &Value) -> Result<()> {
        let client = http::client(None)?;
        let url = format!("{}/_microburst/rules", self.endpoint);
        http::send(&client, Method::PATCH, &url, &[], Some(rules)).await?.good("rules").map(drop)
    }
}
