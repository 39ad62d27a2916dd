use std::{path::PathBuf, sync::Arc};

use claviger_backend::Backend;
use claviger_backend_vault::{VaultAuth, VaultBackend, VaultConfig};
use serde::Deserialize;

use super::Parts;
use crate::{
    config::SecretSource,
    error::{Failure, Result},
};

/// `kind = "vault"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// `https://host:port`
    address: String,
    /// PEM file of the authorities to trust.
    ca: Option<PathBuf>,
    /// Namespace.
    namespace: Option<String>,
    /// A token.
    token: Option<SecretSource>,
    /// Or a login.
    auth: Option<Auth>,
    /// Mounts, globs.
    #[serde(default)]
    include: Vec<String>,
    /// Mounts that are left out, globs.
    #[serde(default)]
    exclude: Vec<String>,
    /// Mounts and folders to read although no list shows them.
    #[serde(default)]
    mounts: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Auth {
    /// The pod's own ServiceAccount.
    Kubernetes(KubernetesAuth),
    /// An AppRole.
    Approle(AppRoleAuth),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KubernetesAuth {
    role: String,
    #[serde(default = "kubernetes_mount")]
    mount: String,
    #[serde(default = "service_account_token")]
    jwt: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppRoleAuth {
    role_id: String,
    secret_id: SecretSource,
    #[serde(default = "approle_mount")]
    mount: String,
}

fn kubernetes_mount() -> String {
    "kubernetes".to_owned()
}

fn approle_mount() -> String {
    "approle".to_owned()
}

fn service_account_token() -> PathBuf {
    PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount/token")
}

impl Settings {
    pub(super) fn build(
        &self,
        name: &str,
        parts: &Parts<'_>,
    ) -> Result<claviger_backend::Result<Arc<dyn Backend>>> {
        let loaded = parts.loaded;
        let auth = match (&self.token, &self.auth) {
            (Some(token), None) => VaultAuth::Token(token.fetch(loaded, &format!("backends.{name}.token"))?),
            (None, Some(Auth::Kubernetes(auth))) => VaultAuth::Kubernetes {
                mount: auth.mount.clone(),
                role: auth.role.clone(),
                jwt: loaded.path(&auth.jwt),
            },
            (None, Some(Auth::Approle(auth))) => VaultAuth::AppRole {
                mount: auth.mount.clone(),
                role_id: auth.role_id.clone(),
                secret_id: auth
                    .secret_id
                    .fetch(loaded, &format!("backends.{name}.auth.approle.secret_id"))?,
            },
            (None, None) => {
                return Err(Failure::config(6, format!("backends.{name} says no way to log in")).hint(
                    "set `token = { env = \"VAULT_TOKEN\" }` or `auth = { kubernetes = { role = \"…\" } }`",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(Failure::config(6, format!("backends.{name} has both `token` and `auth`"))
                    .hint("keep one of them"));
            }
        };
        let ca = match &self.ca {
            Some(path) => {
                let path = loaded.path(path);
                Some(std::fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?)
            }
            None => None,
        };
        let config = VaultConfig {
            address: self.address.clone(),
            ca,
            namespace: self.namespace.clone(),
            auth,
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            mounts: self.mounts.clone(),
            version_key: Some(Arc::clone(&parts.version_key)),
        };
        let built = VaultBackend::new(name, config, Arc::clone(&parts.clock));
        Ok(built.map(|backend| Arc::new(backend) as Arc<dyn Backend>))
    }
}
