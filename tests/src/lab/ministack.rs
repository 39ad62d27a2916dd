//! ministack, an emulator of AWS, with authentication on: the only one quickly had that refuses an inactive access key,
//! so it is here that a revocation is proven. It is wrong elsewhere: see `tests/README.md`.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::daemon::{Daemon, Directory, bare_command, persistently};
use super::reaper::Ending;
use super::{assets, http, ports};

/// The region everything is in.
pub const REGION: &str = "eu-central-1";

/// A running ministack. Dropping it ends it, and what it held is gone.
pub struct Ministack {
    daemon: Daemon,
    endpoint: String,
    directory: Directory,
}

impl Ministack {
    /// Starts one: a second or two.
    ///
    /// # Errors
    /// [`assets::NotInstalled`]; or a process that does not come up, with the path of its log.
    pub async fn start() -> Result<Self> {
        persistently(Self::attempt).await
    }

    /// The server that all tests of this binary share.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Ministack> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn attempt() -> Result<Self> {
        let python = assets::path("python")?;
        let directory = Directory::new("ministack")?;
        let home = directory.path().to_path_buf();
        let port = ports::free()?;
        let mut command = bare_command(python, &home);
        command.args(["-m", "ministack"]).envs([
            ("AUTH", "true"),
            ("BIND_HOST", "127.0.0.1"),
            ("GATEWAY_PORT", &port.to_string()),
            ("CLOUDTRAIL_RECORDING", "1"),
            ("PERSIST_STATE", "0"),
        ]);
        let mut daemon = Daemon::spawn("ministack", command, home.join("ministack.log"), Ending::Kill)?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let client = http::client(None)?;
        let health = format!("{endpoint}/_ministack/health");
        let ready = || async {
            matches!(http::send(&client, Method::GET, &health, &[], None).await, Ok(answer) if answer.status == 200)
        };
        daemon.wait_until("its health", ready).await?;
        Ok(Self { daemon, endpoint, directory })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Access key id and secret access key of the account's root, which is allowed everything.
    pub fn root_key(&self) -> (&'static str, &'static str) {
        ("test", "test")
    }

    /// Its directory; files may be added.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Makes calls as the account's root, see [`calls`].
    ///
    /// # Errors
    /// As [`calls`].
    pub fn calls(&self, list: &[Call]) -> Result<Vec<Value>> {
        calls(&self.endpoint, self.root_key(), list)
    }
}

/// One call of an AWS API, in boto3's words.
pub struct Call {
    /// Such as `iam`.
    pub service: &'static str,
    /// Such as `create_user`.
    pub operation: &'static str,
    /// Such as `{"UserName": "ci"}`. Bytes cannot be said.
    pub parameters: Value,
}

/// Makes calls one after the other with boto3 and gives their answers (dates as text). A call that the server refuses
/// gives `{"Error": {"Code": ..}}`.
///
/// # Errors
/// [`assets::NotInstalled`]; or when a call gets no answer.
pub fn calls(endpoint: &str, key: (&str, &str), list: &[Call]) -> Result<Vec<Value>> {
    send(endpoint, (key.0, key.1, None), list)
}

/// The same with a session: id, secret and token.
///
/// # Errors
/// As [`calls`].
pub fn calls_in(endpoint: &str, session: (&str, &str, &str), list: &[Call]) -> Result<Vec<Value>> {
    send(endpoint, (session.0, session.1, Some(session.2)), list)
}

fn send(endpoint: &str, key: (&str, &str, Option<&str>), list: &[Call]) -> Result<Vec<Value>> {
    let python = assets::path("python")?;
    let list: Vec<Value> =
        list.iter().map(|call| json!({"service": call.service, "operation": call.operation, "parameters": call.parameters})).collect();
    let request = json!({"endpoint": endpoint, "region": REGION, "access_key_id": key.0, "secret_access_key": key.1, "session_token": key.2, "calls": list});
    let mut command = bare_command(python, &std::env::temp_dir());
    command.arg(assets::lab_directory().join("seed_aws.py"));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("seed_aws.py")?;
    child.stdin.take().context("its stdin")?.write_all(&serde_json::to_vec(&request)?)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("seed_aws.py: {}", String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default());
    }
    serde_json::from_slice(&output.stdout).context("the answer of seed_aws.py")
}
