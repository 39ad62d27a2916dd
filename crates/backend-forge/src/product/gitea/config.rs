//! What a Gitea backend is built from. Reading files and environment variables is the caller's work.

use std::path::PathBuf;

use claviger_core::secret::SecretValue;

use crate::client::Login;

/// Configuration of one server.
pub struct GiteaConfig {
    /// `https://host[:port][/path]`, without user, query or the API's own path.
    pub url: String,
    /// PEM certificates of the authorities to trust instead of the machine's.
    pub ca: Option<Vec<u8>>,
    /// The token that calls are made with. Left out: the login does.
    pub token: Option<SecretValue>,
    /// User and password, which alone may list, make and delete tokens.
    pub login: Option<Login>,
    /// Globs (`*`, `?`) of owners, users and organisations, to read; all when empty.
    pub owners: Vec<String>,
    /// OpenSSH's file of host keys by which the SSH server is known. Left out: no deploy key can be proven.
    pub known_hosts: Option<PathBuf>,
}
