//! What a Jenkins backend is built from. Reading files and environment variables is the caller's work.

use crate::client::Login;

/// Configuration of one server.
pub struct JenkinsConfig {
    /// `https://host[:port][/path]`, without user and query.
    pub url: String,
    /// PEM certificates of the authorities to trust instead of the machine's.
    pub ca: Option<Vec<u8>>,
    /// A user, with an API token or the password.
    pub login: Login,
    /// Globs (`*`, `?`) of top-level folders to read; all when empty. The system's own store is read in any case.
    pub owners: Vec<String>,
}
