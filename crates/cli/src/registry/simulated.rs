use std::{path::PathBuf, sync::Arc};

use claviger_backend::Backend;
use claviger_backend_simulated::{SimulatedBackend, SimulatedConfig};
use serde::Deserialize;

use super::Parts;
use crate::error::Result;

/// `kind = "simulated"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The estate's file.
    path: PathBuf,
}

impl Settings {
    pub(super) fn build(
        &self,
        name: &str,
        parts: &Parts<'_>,
    ) -> Result<claviger_backend::Result<Arc<dyn Backend>>> {
        let config = SimulatedConfig { path: parts.loaded.path(&self.path) };
        Ok(SimulatedBackend::open(name, config, Arc::clone(&parts.clock))
            .map(|backend| Arc::new(backend) as Arc<dyn Backend>))
    }
}
