use std::path::PathBuf;

use claviger_core::model::Labels;

/// Which cluster, as whom, and which of its namespaces.
#[derive(Debug, Clone, Default)]
pub struct KubernetesConfig {
    /// Path of a kubeconfig. Left out: the pod's own ServiceAccount when we run in a cluster, else `KUBECONFIG`, else `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current one when left out.
    pub context: Option<String>,
    /// Globs (`*`, `?`) of the namespaces to read; empty means all.
    pub include: Vec<String>,
    /// Globs of the namespaces that are not read even though `include` names them.
    pub exclude: Vec<String>,
    /// Labels that every identity, credential and copy of this backend gets, e.g. `env`. They win over an object's own.
    pub labels: Labels,
}
