//! What a GitHub backend is built from. Reading files and environment variables is the caller's work.

use std::path::PathBuf;

use claviger_core::secret::SecretValue;

/// Configuration of one server.
pub struct GithubConfig {
    /// The API's address: `https://api.github.com`, or `https://host/api/v3` of an Enterprise Server.
    pub url: String,
    /// PEM certificates of the authorities to trust instead of the machine's.
    pub ca: Option<Vec<u8>>,
    /// The token that calls are made with. Left out: the app's.
    pub token: Option<SecretValue>,
    /// The GitHub App as whose installation calls are made. Left out: the token's.
    pub app: Option<App>,
    /// The OAuth or GitHub App whose users' tokens may be ended one by one. Left out: none are.
    pub application: Option<Application>,
    /// Globs (`*`, `?`) of owners, users and organisations, to read; all when empty.
    pub owners: Vec<String>,
    /// The SSH server's `host` or `host:port`, where it is another one than follows from `url`; GitHub answers at `ssh.github.com:443` too.
    pub ssh_host: Option<String>,
    /// OpenSSH's file of host keys by which the SSH server is known. Left out: no deploy key can be proven.
    pub known_hosts: Option<PathBuf>,
}

/// A GitHub App.
pub struct App {
    /// Its client id or number.
    pub id: String,
    /// Its private key, PEM.
    pub key: SecretValue,
    /// Number of the installation. Left out: the only one whose account `owners` admits.
    pub installation: Option<u64>,
}

/// An application with a secret of its own.
pub struct Application {
    /// Client id.
    pub client: String,
    /// Client secret.
    pub secret: SecretValue,
}
