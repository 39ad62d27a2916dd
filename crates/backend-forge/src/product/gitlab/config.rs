//! What a GitLab backend is built from. Reading files and environment variables is the caller's work.

use std::{path::PathBuf, sync::Arc};

use claviger_core::{fingerprint::FingerprintKey, secret::SecretValue};

/// Configuration of one server.
pub struct GitlabConfig {
    /// `https://host[:port][/path]`, without user, query or the API's own path.
    pub url: String,
    /// PEM certificates of the authorities to trust instead of the machine's.
    pub ca: Option<Vec<u8>>,
    /// The access token that calls are made with.
    pub token: SecretValue,
    /// Globs (`*`, `?`) of top-level groups and users to read; all when empty.
    pub owners: Vec<String>,
    /// OpenSSH's file of host keys by which the SSH server is known. Left out: no deploy key can be proven, and none is made.
    pub known_hosts: Option<PathBuf>,
    /// For the versions of variables, which GitLab does not number: a keyed digest of the value, so that nobody can guess at one.
    pub version_key: Arc<FingerprintKey>,
}
