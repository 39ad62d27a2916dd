use std::{path::PathBuf, sync::Arc};

use claviger_backend::Backend;
use claviger_backend_forge::{JenkinsBackend, JenkinsConfig, Login};
use serde::Deserialize;

use super::Parts;
use crate::{
    config::SecretSource,
    error::{Failure, Result},
};

/// `kind = "jenkins"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// `https://host:port`, with the path below which Jenkins answers.
    url: String,
    /// PEM file of the authorities to trust.
    ca: Option<PathBuf>,
    /// A user.
    user: String,
    /// The user's API token, or the password.
    token: SecretSource,
    /// Top-level folders, globs.
    #[serde(default)]
    owners: Vec<String>,
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
        let password = self.token.fetch(loaded, &format!("backends.{name}.token"))?;
        let config = JenkinsConfig {
            url: self.url.clone(),
            ca,
            login: Login { user: self.user.clone(), password },
            owners: self.owners.clone(),
        };
        let built = JenkinsBackend::new(name, config, Arc::clone(&parts.clock));
        Ok(built.map(|backend| Arc::new(backend) as Arc<dyn Backend>))
    }
}
