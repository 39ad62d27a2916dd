//! The whole program on the planted estate: real Kubernetes, OpenBao, AWS API and PostgreSQL, and the real binary.
//!
//! Tests that change the estate start one of their own; those that only read share one.

mod access_key;
mod canary;
mod comeback;
mod cut;
mod drift;
mod drill;
mod findings;
mod five_places;
mod forge;
mod inventory;
mod journey;
mod kills;
mod lost_answer;
mod named_token;
mod own;
mod pending;
mod recovery;
mod revoke;
mod root;
mod static_role;
mod swap;
mod tls;
mod token;
mod turns;
mod witness;
mod workers;
mod wrong_input;

use std::{
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::binary;
use serde_json::Value;

/// A run of the binary in an estate's directory.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Standard output as one JSON document.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("no JSON (exit {}): {}\n{}", self.code, self.stdout, self.stderr))
    }

    /// Fails unless it ended with this code.
    pub(crate) fn expect(self, code: i32) -> Result<Self> {
        ensure!(self.code == code, "exit {} instead of {code}\n{}\n{}", self.code, self.stdout, self.stderr);
        Ok(self)
    }
}

/// Where claviger runs: its configuration, and a lifecycle database of its own.
pub(crate) struct Place {
    pub(crate) config: PathBuf,
    pub(crate) database: String,
    pub(crate) home: PathBuf,
    pub(crate) environment: Vec<(String, String)>,
}

impl Place {
    /// The estate's configuration with a database of this name beside it.
    pub(crate) fn new(directory: &Path, database: &str) -> Self {
        Self {
            config: directory.join("claviger.toml"),
            database: format!("sqlite://{}", directory.join(database).display()),
            home: directory.to_owned(),
            environment: Vec::new(),
        }
    }

    /// Starts the binary and kills it after this time (`kill -9`).
    pub(crate) async fn kill_after(&self, time: Duration, arguments: &[&str]) -> Result<()> {
        use std::process::Stdio;
        let mut command = self.command(arguments)?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        tokio::time::sleep(time).await;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Runs the binary; `input` goes to its standard input.
    pub(crate) fn run(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<Run> {
        use std::{io::Write as _, process::Stdio};
        let mut command = self.command(arguments)?;
        command
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            // A program that does not read its input is the test's business, not a broken pipe's.
            let _ = stdin.write_all(input);
        }
        let Output { status, stdout, stderr } = child.wait_with_output()?;
        Ok(Run {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    /// The command, for those who start it themselves.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<std::process::Command> {
        let mut command = binary::command(&self.home)?;
        command.arg("--config").arg(&self.config).arg("--database").arg(&self.database).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// A list as the contract has it.
    pub(crate) fn list(&self, thing: &str) -> Result<Vec<Value>> {
        let document = self.run(&["list", thing, "-o", "json"], None)?.expect(0)?.json()?;
        ensure!(document["schema"] == format!("claviger.{thing}/v1"), "schema {}", document["schema"]);
        Ok(document["items"].as_array().context("items")?.clone())
    }
}

/// A text field of an item.
pub(crate) fn text<'a>(item: &'a Value, key: &str) -> &'a str {
    item[key].as_str().unwrap_or_default()
}
