use std::{path::PathBuf, sync::Arc};

use claviger_backend::Backend;
use claviger_backend_forge::{GitlabBackend, GitlabConfig};
use serde::Deserialize;

use super::Parts;
use crate::{
    config::SecretSource,
    error::{Failure, Result},
};

/// `kind = "gitlab"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// `https://host:port`, without `/api/v4`.
    url: String,
    /// PEM file of the authorities to trust.
    ca: Option<PathBuf>,
    /// An access token with the scope `api`; with `read_api` nothing can be written.
    token: SecretSource,
    /// Top-level groups and users, globs.
    #[serde(default)]
    owners: Vec<String>,
    /// OpenSSH's file of host keys: deploy keys are tried at the SSH server that it knows.
    known_hosts: Option<PathBuf>,
}

impl Settings {
    pub(super) fn build(
        &self,
        name: &str,
        parts: &Parts<'_>,
    ) -> Result<claviger_backend::Result<Arc<dyn Backend>>> {
        let loaded = parts.loaded;
        let ca = match &self.ca {
            Some(path) => {
                let path = loaded.path(path);
                Some(std::fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?)
            }
            None => None,
        };
        let config = GitlabConfig {
            url: self.url.clone(),
            ca,
            token: self.token.fetch(loaded, &format!("backends.{name}.token"))?,
            owners: self.owners.clone(),
            known_hosts: self.known_hosts.as_deref().map(|path| loaded.path(path)),
            version_key: Arc::clone(&parts.version_key),
        };
        let built = GitlabBackend::new(name, config, Arc::clone(&parts.clock));
        Ok(built.map(|backend| Arc::new(backend) as Arc<dyn Backend>))
    }
}
