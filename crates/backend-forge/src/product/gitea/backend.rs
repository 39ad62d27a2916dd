//! The backend itself: what it is made of and what it can do.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use claviger_backend::{
    Backend, BackendInfo, Capability, Issuer, Letterbox, Permission, Phase, Result, Runtime, ScanSink, Store,
    Turns,
};
use claviger_core::{clock::Clock, model::Scope};
use tokio::sync::Mutex;

use super::{config::GiteaConfig, inventory, names::Names, token::Listed};
use crate::{client::Api, owners::Owners};

/// A Gitea or Forgejo server.
pub struct GiteaBackend {
    info: BackendInfo,
    pub(super) api: Api,
    pub(super) names: Names,
    pub(super) owners: Owners,
    pub(super) known_hosts: Option<PathBuf>,
    pub(super) clock: Arc<dyn Clock>,
    /// The tokens of all users, for a short while: a scan asks about many values.
    pub(super) listed: Mutex<Option<Listed>>,
}

impl GiteaBackend {
    /// Builds the backend. Nothing is sent.
    ///
    /// # Errors
    /// `Config` when the address or the authorities cannot be used, or there is no credential.
    pub fn new(name: &str, config: GiteaConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let api = Api::new(&config.url, "api/v1", config.ca.as_deref(), config.token, config.login)?;
        Ok(Self {
            info: BackendInfo { name: name.to_owned(), kind: "gitea", endpoint: api.address().to_owned() },
            api,
            names: Names::new(name),
            owners: Owners::new(config.owners),
            known_hosts: config.known_hosts,
            clock,
            listed: Mutex::new(None),
        })
    }
}

/// Users, organisations and repositories come from one list each; what belongs to one of them, from its own.
fn may_hide(unread: &Scope, missing: &Scope) -> bool {
    if unread.area == inventory::INSTANCE {
        return match unread.part.as_str() {
            "users" => missing.area.starts_with("users/"),
            "organisations" => missing.area.starts_with("orgs/"),
            _ => !missing.area.starts_with("users/") && !missing.area.starts_with("orgs/"),
        };
    }
    unread == missing
}

#[async_trait]
impl Backend for GiteaBackend {
    fn info(&self) -> &BackendInfo {
        &self.info
    }

    fn capability(&self) -> Capability {
        Capability {
            inventory: true,
            issue: true,
            issue_marks: true,
            issue_adds: true,
            verify: true,
            identify: true,
            revoke: true,
            // Measured on 1.26.0: the request after the deletion is refused, of tokens and of keys.
            revoke_cache_seconds: 0,
            // Of variables.
            read: true,
            post: true,
            ..Capability::default()
        }
    }

    fn may_hide(&self, unread: &Scope, missing: &Scope) -> bool {
        may_hide(unread, missing)
    }

    async fn check(&self) -> Result<Vec<Permission>> {
        self.permissions().await
    }

    async fn inventory(&self, phase: Phase, sink: &mut ScanSink) -> Result<()> {
        inventory::Survey { backend: self }.run(phase, sink).await
    }

    fn issuer(&self) -> Option<&dyn Issuer> {
        Some(self)
    }

    fn turns(&self) -> Option<&dyn Turns> {
        None
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }

    fn letterbox(&self) -> Option<&dyn Letterbox> {
        Some(self)
    }

    fn runtime(&self) -> Option<&dyn Runtime> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_list_hides_what_it_would_have_named_and_nothing_else() {
        let unread = |part| Scope::new(inventory::INSTANCE, part);
        let (user, organisation, repository) = (
            Scope::new("users/dana", "tokens"),
            Scope::new("orgs/acme", "secrets"),
            Scope::new("acme/shop", "hooks"),
        );
        for (part, hidden) in [
            ("users", [true, false, false]),
            ("organisations", [false, true, false]),
            ("repositories", [false, false, true]),
        ] {
            let found = [&user, &organisation, &repository].map(|missing| may_hide(&unread(part), missing));
            assert_eq!(found, hidden, "{part}");
        }
        assert!(may_hide(&repository, &repository));
        assert!(!may_hide(&repository, &Scope::new("acme/shop", "secrets")));
    }
}
