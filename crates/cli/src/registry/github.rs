use std::{path::PathBuf, sync::Arc};

use claviger_backend::Backend;
use claviger_backend_forge::{App, Application, GithubBackend, GithubConfig};
use claviger_core::random::OsRandom;
use serde::Deserialize;

use super::Parts;
use crate::{
    config::SecretSource,
    error::{Failure, Result},
};

/// `kind = "github"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// `https://api.github.com`, or `https://host/api/v3` of an Enterprise Server.
    url: String,
    /// PEM file of the authorities to trust.
    ca: Option<PathBuf>,
    /// A token.
    token: Option<SecretSource>,
    /// A GitHub App, instead of a token.
    app: Option<AppSettings>,
    /// An application whose users' tokens may be ended one by one.
    application: Option<ApplicationSettings>,
    /// Users and organisations, globs.
    #[serde(default)]
    owners: Vec<String>,
    /// `host` or `host:port` of the SSH server, where it does not follow from `url`.
    ssh_host: Option<String>,
    /// OpenSSH's file of host keys: deploy keys are tried at the SSH server that it knows.
    known_hosts: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppSettings {
    /// Client id or number.
    id: String,
    /// Private key, PEM.
    key: SecretSource,
    /// Number of the installation.
    installation: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplicationSettings {
    client: String,
    secret: SecretSource,
}

impl Settings {
    pub(super) fn build(
        &self,
        name: &str,
        parts: &Parts<'_>,
    ) -> Result<claviger_backend::Result<Arc<dyn Backend>>> {
        let loaded = parts.loaded;
        let fetch = |source: &SecretSource, setting: &str| {
            source.fetch(loaded, &format!("backends.{name}.{setting}"))
        };
        if self.token.is_some() == self.app.is_some() {
            let text = format!("backends.{name} needs one of `token` and `app`");
            return Err(Failure::config(721, text).hint("set one, and not both"));
        }
        let app = match &self.app {
            Some(app) => Some(App {
                id: app.id.clone(),
                key: fetch(&app.key, "app.key")?,
                installation: app.installation,
            }),
            None => None,
        };
        let application = match &self.application {
            Some(one) => Some(Application {
                client: one.client.clone(),
                secret: fetch(&one.secret, "application.secret")?,
            }),
            None => None,
        };
        let ca = match &self.ca {
            Some(path) => {
                let path = loaded.path(path);
                Some(std::fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?)
            }
            None => None,
        };
        let config = GithubConfig {
            url: self.url.clone(),
            ca,
            token: self.token.as_ref().map(|source| fetch(source, "token")).transpose()?,
            app,
            application,
            owners: self.owners.clone(),
            ssh_host: self.ssh_host.clone(),
            known_hosts: self.known_hosts.as_deref().map(|path| loaded.path(path)),
        };
        let built = GithubBackend::new(name, config, Arc::clone(&parts.clock), Arc::new(OsRandom));
        Ok(built.map(|backend| Arc::new(backend) as Arc<dyn Backend>))
    }
}
