use std::{path::PathBuf, sync::Arc};

use claviger_backend::Backend;
use claviger_backend_forge::{GiteaBackend, GiteaConfig, Login};
use serde::Deserialize;

use super::Parts;
use crate::{
    config::SecretSource,
    error::{Failure, Result},
};

/// `kind = "gitea"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// `https://host:port`
    url: String,
    /// PEM file of the authorities to trust.
    ca: Option<PathBuf>,
    /// A token.
    token: Option<SecretSource>,
    /// A user, with the password.
    user: Option<String>,
    /// The user's password: tokens are listed, made and deleted with it only.
    password: Option<SecretSource>,
    /// Users and organisations, globs.
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
        let fetch = |source: &Option<SecretSource>, setting: &str| {
            let source = source.as_ref();
            source.map(|source| source.fetch(loaded, &format!("backends.{name}.{setting}"))).transpose()
        };
        let login = match (&self.user, fetch(&self.password, "password")?) {
            (Some(user), Some(password)) => Some(Login { user: user.clone(), password }),
            (None, None) => None,
            _ => {
                let text = format!("backends.{name} has one of `user` and `password`");
                return Err(Failure::config(720, text).hint("set both, or neither"));
            }
        };
        let ca = match &self.ca {
            Some(path) => {
                let path = loaded.path(path);
                Some(std::fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?)
            }
            None => None,
        };
        let config = GiteaConfig {
            url: self.url.clone(),
            ca,
            token: fetch(&self.token, "token")?,
            login,
            owners: self.owners.clone(),
            known_hosts: self.known_hosts.as_deref().map(|path| loaded.path(path)),
        };
        let built = GiteaBackend::new(name, config, Arc::clone(&parts.clock));
        Ok(built.map(|backend| Arc::new(backend) as Arc<dyn Backend>))
    }
}
