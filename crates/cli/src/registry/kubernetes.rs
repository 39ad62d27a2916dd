use std::{path::PathBuf, sync::Arc};

use claviger_backend::Backend;
use claviger_backend_kubernetes::{KubernetesConfig, connect};
use claviger_core::model::Labels;
use serde::Deserialize;

use super::Parts;
use crate::{config::Loaded, error::Result};

/// `kind = "kubernetes"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Path of a kubeconfig; left out: in-cluster, then the usual chain.
    kubeconfig: Option<PathBuf>,
    /// Context of it.
    context: Option<String>,
    /// Namespaces, globs.
    #[serde(default)]
    include: Vec<String>,
    /// Namespaces that are left out, globs.
    #[serde(default)]
    exclude: Vec<String>,
}

impl Settings {
    pub(super) async fn build(
        &self,
        name: &str,
        parts: &Parts<'_>,
    ) -> Result<claviger_backend::Result<Arc<dyn Backend>>> {
        let config = self.config(parts.loaded);
        let built = connect(name, config, Arc::clone(&parts.clock)).await;
        Ok(built.map(|backend| Arc::new(backend) as Arc<dyn Backend>))
    }

    /// Which cluster, as whom.
    pub(crate) fn config(&self, loaded: &Loaded) -> KubernetesConfig {
        KubernetesConfig {
            kubeconfig: self.kubeconfig.as_deref().map(|path| loaded.path(path)),
            context: self.context.clone(),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            // The configuration's labels are laid on by the engine, for every kind alike.
            labels: Labels::new(),
        }
    }
}
