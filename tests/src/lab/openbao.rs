//! A real OpenBao in dev mode: unsealed, in memory, with a root token. `secret/` is a KV v2 mount, as dev mode makes it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use reqwest::Method;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::daemon::{Daemon, Directory, bare_command, persistently};
use super::http::{self, Answer};
use super::private::random_token;
use super::reaper::Ending;
use super::{assets, ports};

/// A running OpenBao. Dropping it ends it, and what it held is gone.
pub struct OpenBao {
    daemon: Daemon,
    address: String,
    ca: Option<PathBuf>,
    token: String,
    directory: Directory,
}

impl OpenBao {
    /// Starts one that speaks plain HTTP.
    ///
    /// # Errors
    /// [`assets::NotInstalled`]; or a process that does not come up, with the path of its log.
    pub async fn start() -> Result<Self> {
        persistently(|| Self::attempt(false)).await
    }

    /// Starts one that speaks TLS, with an authority of its own ([`Self::ca`]).
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with_tls() -> Result<Self> {
        persistently(|| Self::attempt(true)).await
    }

    /// The plain-HTTP server that all tests of this binary share. Keep to mounts of your own.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<OpenBao> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn attempt(with_tls: bool) -> Result<Self> {
        let program = assets::path("bao")?;
        let directory = Directory::new("openbao")?;
        let home = directory.path().to_path_buf();
        let token = format!("lab-{}", random_token()?);
        // The next port becomes its cluster listener, unasked.
        let port = ports::run_of(2)?;
        let mut command = bare_command(program, &home);
        command.env("BAO_DEV_ROOT_TOKEN_ID", &token).args([
            "server",
            "-dev",
            "-dev-no-store-token",
            &format!("-dev-listen-address=127.0.0.1:{port}"),
        ]);
        if with_tls {
            command.arg("-dev-tls").arg(format!("-dev-tls-cert-dir={}", home.display()));
        }
        let mut daemon = Daemon::spawn("openbao", command, home.join("openbao.log"), Ending::Kill)?;
        let scheme = if with_tls { "https" } else { "http" };
        let address = format!("{scheme}://127.0.0.1:{port}");
        let ca = with_tls.then(|| home.join("vault-ca.pem"));
        daemon.wait_until("sys/health", || healthy(&address, ca.as_deref(), &token)).await?;
        Ok(Self { daemon, address, ca, token, directory })
    }

    /// `http://127.0.0.1:PORT`, or `https://...`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The authority's certificate (PEM file), with TLS only.
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The root token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Its directory; files may be added.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// One request as root, `path` without `/v1/`; any status is an answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        self.request_as(&self.token, method, path, body).await
    }

    /// One request with somebody else's token.
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
        request(&self.address, self.ca.as_deref(), token, method, path, body).await
    }

    /// A write (POST) as root that must succeed; the answer's body.
    ///
    /// # Errors
    /// When it does not succeed.
    pub async fn write(&self, path: &str, body: &Value) -> Result<Value> {
        self.request(Method::POST, path, Some(body)).await?.good(path)
    }
}

async fn request(
    address: &str,
    ca: Option<&Path>,
    token: &str,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer> {
    let pem = ca.map(std::fs::read).transpose()?;
    let client = http::client(pem.as_deref())?;
    http::send(&client, method, &format!("{address}/v1/{path}"), &[("x-vault-token", token)], body).await
}

/// Unsealed, and the root token works: the dev server answers health a moment before that.
async fn healthy(address: &str, ca: Option<&Path>, token: &str) -> bool {
    for path in ["sys/health", "auth/token/lookup-self"] {
        match request(address, ca, token, Method::GET, path, None).await {
            Ok(answer) if answer.status == 200 => {}
            _ => return false,
        }
    }
    true
}
