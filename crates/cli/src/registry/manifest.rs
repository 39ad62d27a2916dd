use std::{path::PathBuf, sync::Arc};

use claviger_backend::Backend;
use claviger_backend_manifest::{ManifestBackend, ManifestConfig};
use serde::Deserialize;

use super::Parts;
use crate::error::Result;

/// `kind = "manifest"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The folder.
    path: PathBuf,
    /// The repository at a forge whose files these are: `forge/acme/shop`.
    repository: Option<String>,
}

impl Settings {
    pub(super) fn build(
        &self,
        name: &str,
        parts: &Parts<'_>,
    ) -> Result<claviger_backend::Result<Arc<dyn Backend>>> {
        let config =
            ManifestConfig { path: parts.loaded.path(&self.path), repository: self.repository.clone() };
        Ok(ManifestBackend::open(name, config, Arc::clone(&parts.clock))
            .map(|backend| Arc::new(backend) as Arc<dyn Backend>))
    }
}
