//! The backends of this program, by kind: one file each, and one line here.

mod aws;
mod gitea;
mod github;
mod gitlab;
mod jenkins;
mod kubernetes;
mod manifest;
mod postgresql;
mod simulated;
mod vault;

use std::sync::Arc;

use claviger_backend::Backend;
use claviger_core::{clock::Clock, fingerprint::FingerprintKey};
use serde::Deserialize;

use crate::{config::Loaded, error::Result};

/// `kind = "…"` and the kind's own settings.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum BackendConfig {
    /// A Kubernetes cluster.
    Kubernetes(kubernetes::Settings),
    /// HashiCorp Vault or OpenBao.
    Vault(vault::Settings),
    /// An AWS account in one region.
    Aws(aws::Settings),
    /// A PostgreSQL server.
    Postgresql(postgresql::Settings),
    /// A Gitea or Forgejo server.
    Gitea(gitea::Settings),
    /// GitHub or a GitHub Enterprise Server.
    Github(github::Settings),
    /// A GitLab server.
    Gitlab(gitlab::Settings),
    /// A Jenkins server.
    Jenkins(jenkins::Settings),
    /// A folder of files.
    Manifest(manifest::Settings),
    /// A simulated estate in a file.
    Simulated(simulated::Settings),
}

/// What building a backend needs.
pub(crate) struct Parts<'a> {
    pub(crate) loaded: &'a Loaded,
    pub(crate) clock: Arc<dyn Clock>,
    /// For digests of contents that have no version of their own.
    pub(crate) version_key: Arc<FingerprintKey>,
}

impl BackendConfig {
    /// The word of the configuration.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Kubernetes(_) => "kubernetes",
            Self::Vault(_) => "vault",
            Self::Aws(_) => "aws",
            Self::Postgresql(_) => "postgresql",
            Self::Gitea(_) => "gitea",
            Self::Github(_) => "github",
            Self::Gitlab(_) => "gitlab",
            Self::Jenkins(_) => "jenkins",
            Self::Manifest(_) => "manifest",
            Self::Simulated(_) => "simulated",
        }
    }

    /// Builds the backend. The outer error is the configuration's and stops the program; the inner one is this backend's, and the others go on.
    pub(crate) async fn build(
        &self,
        name: &str,
        parts: &Parts<'_>,
    ) -> Result<claviger_backend::Result<Arc<dyn Backend>>> {
        match self {
            Self::Kubernetes(settings) => settings.build(name, parts).await,
            Self::Vault(settings) => settings.build(name, parts),
            Self::Aws(settings) => settings.build(name, parts),
            Self::Postgresql(settings) => settings.build(name, parts),
            Self::Gitea(settings) => settings.build(name, parts),
            Self::Github(settings) => settings.build(name, parts),
            Self::Gitlab(settings) => settings.build(name, parts),
            Self::Jenkins(settings) => settings.build(name, parts),
            Self::Manifest(settings) => settings.build(name, parts),
            Self::Simulated(settings) => settings.build(name, parts),
        }
    }
}
