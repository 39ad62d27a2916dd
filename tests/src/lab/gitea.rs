//! A real Gitea: a forge with repositories, Actions secrets, tokens, and an SSH server of its own. Its database is SQLite's, and new each time.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::daemon::{Daemon, Directory, bare_command, persistently};
use super::http::{self, Answer};
use super::private::random_token;
use super::reaper::Ending;
use super::{assets, ports};

/// The site administrator.
pub const ADMINISTRATOR: &str = "lab-admin";

/// A running Gitea. Dropping it ends it, and what it held is gone.
pub struct Gitea {
    daemon: Daemon,
    address: String,
    ssh_port: u16,
    password: String,
    token: String,
    known_hosts: PathBuf,
    directory: Directory,
}

/// An SSH key pair, made by `ssh-keygen`.
pub struct KeyPair {
    /// The private key, as OpenSSH writes it.
    pub private: String,
    /// One line: algorithm, key, comment.
    pub public: String,
}

impl Gitea {
    /// Starts one.
    ///
    /// # Errors
    /// [`assets::NotInstalled`]; or a process that does not come up, with the path of its log.
    pub async fn start() -> Result<Self> {
        persistently(Self::attempt).await
    }

    /// The server that all tests of this binary share. Keep to owners of your own.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Gitea> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn attempt() -> Result<Self> {
        let (program, pages) = (assets::path("gitea")?, assets::path("gitea-static")?);
        let directory = Directory::new("gitea")?;
        let home = directory.path().to_path_buf();
        let (port, ssh_port) = (ports::free()?, ports::free()?);
        let password = random_token()?;
        let configuration = directory.write("app.ini", configuration(&home, &pages, port, ssh_port)?)?;
        let host_key = key_pair_in(&home.join("host"), "lab")?;
        let known_hosts =
            directory.write("known_hosts", format!("[127.0.0.1]:{ssh_port} {}\n", host_key.public))?;

        let command = |arguments: &[&str]| {
            let mut command = bare_command(&program, &home);
            // It refuses to run as root otherwise, which containers do.
            command.env("GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT", "true").env("USER", "lab");
            command.env("GITEA_WORK_DIR", &home).arg("--config").arg(&configuration).args(arguments);
            command
        };
        // The password is random, and lives as long as the server.
        for arguments in [
            &["migrate"][..],
            &[
                "admin",
                "user",
                "create",
                "--admin",
                "--must-change-password=false",
                "--username",
                ADMINISTRATOR,
                "--email",
                "admin@lab.internal",
                "--password",
                &password,
            ],
        ] {
            let output = command(arguments).stdin(Stdio::null()).output().context("gitea")?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.success(), "gitea {}: {said}", arguments[0]);
        }
        let mut daemon = Daemon::spawn("gitea", command(&["web"]), home.join("gitea.log"), Ending::Kill)?;
        let address = format!("http://127.0.0.1:{port}");
        daemon.wait_until("api/v1/version", || healthy(&address, ssh_port)).await?;
        let mut server =
            Self { daemon, address, ssh_port, password, token: String::new(), known_hosts, directory };
        server.token = server.token_for(ADMINISTRATOR, "lab", &["all"]).await?.1;
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The port of its SSH server.
    pub fn ssh_port(&self) -> u16 {
        self.ssh_port
    }

    /// The administrator's token, with all scopes.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The administrator's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// OpenSSH's file with the SSH server's host key.
    pub fn known_hosts(&self) -> &Path {
        &self.known_hosts
    }

    /// Its directory; files may be added.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// One request as the administrator, with user and password; `path` without `/api/v1/`. Any status is an answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let pair = STANDARD.encode(format!("{ADMINISTRATOR}:{}", self.password));
        self.request_as(&format!("Basic {pair}"), method, path, body).await
    }

    /// One request with this `Authorization` header.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn request_as(
        &self,
        authorization: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let client = http::client(None)?;
        let url = format!("{}/api/v1/{path}", self.address);
        http::send(&client, method, &url, &[("authorization", authorization)], body).await
    }

    /// Status of `GET user` with a token: 200 where it is accepted.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn login(&self, token: &str) -> Result<u16> {
        Ok(self.request_as(&format!("token {token}"), Method::GET, "user", None).await?.status)
    }

    /// Makes something (`POST`) that must succeed; the answer's body.
    ///
    /// # Errors
    /// When it does not succeed.
    pub async fn make(&self, path: &str, body: &Value) -> Result<Value> {
        self.request(Method::POST, path, Some(body)).await?.good(path)
    }

    /// Makes an ordinary user with a random password, which it gives.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn user(&self, name: &str) -> Result<String> {
        let password = random_token()?;
        let body = json!({"username": name, "email": format!("{name}@lab.internal"), "password": password, "must_change_password": false});
        self.make("admin/users", &body).await?;
        Ok(password)
    }

    /// Makes an access token of a user; its number and its value.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn token_for(&self, user: &str, name: &str, scopes: &[&str]) -> Result<(u64, String)> {
        let made =
            self.make(&format!("users/{user}/tokens"), &json!({"name": name, "scopes": scopes})).await?;
        let value = made["sha1"].as_str().context("a token")?.to_owned();
        Ok((made["id"].as_u64().context("a number")?, value))
    }

    /// Makes a repository of a user with a first commit.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn repository(&self, user: &str, name: &str) -> Result<()> {
        let body = json!({"name": name, "auto_init": true, "default_branch": "main", "private": true});
        self.make(&format!("admin/users/{user}/repos"), &body).await.map(drop)
    }

    /// Adds a file to a repository's main branch.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn file(&self, repository: &str, path: &str, text: &str) -> Result<()> {
        let body = json!({"content": STANDARD.encode(text), "message": "add", "branch": "main"});
        self.make(&format!("repos/{repository}/contents/{path}"), &body).await.map(drop)
    }

    /// Writes an Actions secret below `repos/<owner>/<name>` or `orgs/<name>`.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn secret(&self, below: &str, name: &str, value: &str, description: &str) -> Result<()> {
        let body = json!({"data": value, "description": description});
        let path = format!("{below}/actions/secrets/{name}");
        self.request(Method::PUT, &path, Some(&body)).await?.good(&path).map(drop)
    }

    /// Name and description of the secrets there.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn descriptions(&self, below: &str) -> Result<Vec<(String, String)>> {
        let path = format!("{below}/actions/secrets");
        let listed = self.request(Method::GET, &path, None).await?.good(&path)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let listed = listed.as_array().context("a list")?;
        Ok(listed.iter().map(|one| (text(&one["name"]), text(&one["description"]))).collect())
    }

    /// Registers a deploy key; its number.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn deploy_key(&self, repository: &str, title: &str, key: &KeyPair) -> Result<u64> {
        let body = json!({"title": title, "key": key.public, "read_only": true});
        let made = self.make(&format!("repos/{repository}/keys"), &body).await?;
        made["id"].as_u64().context("a number")
    }

    /// Does a fetch with this private key get a list of the repository's refs?
    ///
    /// # Errors
    /// When `git` or `ssh` is missing, or fails otherwise than by a refusal of the key.
    pub fn lists_with(&self, repository: &str, key: &str) -> Result<bool> {
        let place = Directory::new("fetch")?;
        let file = place.path().join("key");
        super::private::write_private(&file, &format!("{}\n", key.trim_end()))?;
        let ssh = format!(
            "ssh -F none -i '{}' -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile='{}'",
            file.display(),
            self.known_hosts.display()
        );
        let url = format!("ssh://git@127.0.0.1:{}/{repository}.git", self.ssh_port);
        let mut command = std::process::Command::new("git");
        command.args(["ls-remote", &url]).env("GIT_SSH_COMMAND", ssh).stdin(Stdio::null());
        let output = command.output().context("git")?;
        let said = String::from_utf8_lossy(&output.stderr);
        // Gitea looks a key up twice: the second time it may be gone.
        let refused = said.contains("Permission denied (publickey)") || said.contains("Cannot find key");
        ensure!(output.status.success() || refused, "git ls-remote: {said}");
        Ok(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("refs/heads/main"))
    }

    /// Makes an SSH key pair.
    ///
    /// # Errors
    /// When `ssh-keygen` is missing.
    pub fn key_pair(&self, name: &str) -> Result<KeyPair> {
        key_pair_in(&self.directory.path().join(name), name)
    }
}

fn key_pair_in(path: &Path, comment: &str) -> Result<KeyPair> {
    let mut command = std::process::Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(path).stdin(Stdio::null());
    let output = command.output().context("ssh-keygen, of OpenSSH's client programs")?;
    ensure!(output.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&output.stderr));
    let public = std::fs::read_to_string(path.with_extension("pub"))?.trim().to_owned();
    Ok(KeyPair { private: std::fs::read_to_string(path)?, public })
}

fn configuration(home: &Path, pages: &Path, port: u16, ssh_port: u16) -> Result<String> {
    let home = home.display();
    Ok(format!(
        "APP_NAME = lab\nRUN_MODE = prod\nRUN_USER = {user}\nWORK_PATH = {home}\n\
         [server]\nPROTOCOL = http\nHTTP_ADDR = 127.0.0.1\nHTTP_PORT = {port}\nROOT_URL = http://127.0.0.1:{port}/\n\
         DOMAIN = 127.0.0.1\nSTATIC_ROOT_PATH = {pages}\nAPP_DATA_PATH = {home}/data\nOFFLINE_MODE = true\nLFS_START_SERVER = false\n\
         START_SSH_SERVER = true\nSSH_DOMAIN = 127.0.0.1\nSSH_LISTEN_HOST = 127.0.0.1\nSSH_PORT = {ssh_port}\n\
         SSH_LISTEN_PORT = {ssh_port}\nBUILTIN_SSH_SERVER_USER = git\nSSH_SERVER_HOST_KEYS = {home}/host\nSSH_ROOT_PATH = {home}/ssh\n\
         [database]\nDB_TYPE = sqlite3\nPATH = {home}/gitea.db\nSQLITE_JOURNAL_MODE = WAL\n\
         [security]\nINSTALL_LOCK = true\nSECRET_KEY = {secret}\nINTERNAL_TOKEN = {internal}\nPASSWORD_HASH_ALGO = pbkdf2$1$8\n\
         [oauth2]\nJWT_SECRET = {jwt}\n\
         [service]\nDISABLE_REGISTRATION = true\n[actions]\nENABLED = true\n[cron]\nENABLED = false\n\
         [repository]\nROOT = {home}/repositories\n[indexer]\nISSUE_INDEXER_TYPE = db\n\
         [session]\nPROVIDER = memory\n[log]\nMODE = console\nLEVEL = Warn\nROOT_PATH = {home}/log\n[mailer]\nENABLED = false\n",
        user = user(),
        pages = pages.display(),
        secret = random_token()?,
        internal = random_token()?,
        jwt = jwt_secret()?,
    ))
}

/// Gitea runs as the one that it is told, and insists on it.
fn user() -> String {
    let named = std::process::Command::new("id").arg("-un").output().ok();
    let named = named.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| "root".to_owned())
}

/// 32 bytes in URL-safe base64 without padding.
fn jwt_secret() -> Result<String> {
    let bytes = format!("{}{}", random_token()?, random_token()?);
    let encoded = STANDARD.encode(&bytes.as_bytes()[..32]);
    Ok(encoded.trim_end_matches('=').replace('+', "-").replace('/', "_"))
}

async fn healthy(address: &str, ssh_port: u16) -> bool {
    let Ok(client) = http::client(None) else { return false };
    let answer = http::send(&client, Method::GET, &format!("{address}/api/v1/version"), &[], None).await;
    let answers = answer.is_ok_and(|answer| answer.status == 200);
    answers && tokio::net::TcpStream::connect(("127.0.0.1", ssh_port)).await.is_ok()
}
