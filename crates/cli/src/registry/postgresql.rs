use std::{path::PathBuf, sync::Arc};

use claviger_backend::Backend;
use claviger_backend_postgresql::{PostgresqlBackend, PostgresqlConfig};
use serde::Deserialize;

use super::Parts;
use crate::{config::SecretSource, error::Result};

/// `kind = "postgresql"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// `postgres://user@host:port/database`, without a password.
    url: String,
    /// The user's password.
    password: Option<SecretSource>,
    /// PEM file of the authorities to trust.
    ca: Option<PathBuf>,
}

impl Settings {
    pub(super) fn build(
        &self,
        name: &str,
        parts: &Parts<'_>,
    ) -> Result<claviger_backend::Result<Arc<dyn Backend>>> {
        let password = self
            .password
            .as_ref()
            .map(|source| source.fetch(parts.loaded, &format!("backends.{name}.password")))
            .transpose()?;
        let mut config = PostgresqlConfig::new(self.url.clone(), password);
        config.ca = self.ca.as_deref().map(|path| parts.loaded.path(path));
        let built = PostgresqlBackend::new(name, config, Arc::clone(&parts.clock));
        Ok(built.map(|backend| Arc::new(backend) as Arc<dyn Backend>))
    }
}
