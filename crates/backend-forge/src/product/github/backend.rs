//! The backend itself: what it is made of and what it can do.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use claviger_backend::{
    Backend, BackendInfo, Capability, Issuer, Letterbox, Permission, Phase, Result, Runtime, ScanSink, Store,
    Turns, Workloads,
};
use claviger_core::{clock::Clock, model::Scope, random::Random};
use tokio::sync::Mutex;

use super::{access::Access, config::GithubConfig, inventory, names::Names, token::Listed};

/// How long GitHub may take to end a token that it was told to revoke. It answers 202 and says no time; this is our guess, and a login is tried again after it.
const REVOKED_WITHIN: u32 = 10;

/// GitHub, or a GitHub Enterprise Server.
pub struct GithubBackend {
    info: BackendInfo,
    pub(super) access: Access,
    pub(super) names: Names,
    pub(super) ssh_host: String,
    pub(super) known_hosts: Option<PathBuf>,
    pub(super) random: Arc<dyn Random>,
    /// What organisations list of tokens, for a short while: a scan asks about many values.
    pub(super) listed: Mutex<Option<Listed>>,
}

impl GithubBackend {
    /// Builds the backend. Nothing is sent.
    ///
    /// # Errors
    /// `Config` when the address, the authorities or the app's key cannot be used, or there is no credential.
    pub fn new(
        name: &str,
        mut config: GithubConfig,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self> {
        let access = Access::new(&mut config, clock)?;
        let ssh_host = config.ssh_host.unwrap_or_else(|| ssh_host(access.address()));
        Ok(Self {
            info: BackendInfo {
                name: name.to_owned(),
                kind: "github",
                endpoint: access.address().to_owned(),
            },
            access,
            names: Names::new(name),
            ssh_host,
            known_hosts: config.known_hosts,
            random,
            listed: Mutex::new(None),
        })
    }
}

/// `github.com` of `https://api.github.com`, and an Enterprise Server's own name.
fn ssh_host(address: &str) -> String {
    let host = reqwest::Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned));
    let host = host.unwrap_or_default();
    host.strip_prefix("api.").unwrap_or(&host).to_owned()
}

/// Repositories and organisations come from one list each; what belongs to one of them, from its own.
fn may_hide(unread: &Scope, missing: &Scope) -> bool {
    if unread.area == inventory::INSTANCE {
        return match unread.part.as_str() {
            "organisations" => missing.area.starts_with("orgs/"),
            _ => !missing.area.starts_with("orgs/"),
        };
    }
    // Whoever may not list environments sees none of them.
    if unread.part == inventory::ENVIRONMENTS {
        return missing
            .area
            .strip_prefix(&unread.area)
            .is_some_and(|rest| rest.starts_with("/environments/"));
    }
    unread == missing
}

#[async_trait]
impl Backend for GithubBackend {
    fn info(&self) -> &BackendInfo {
        &self.info
    }

    fn capability(&self) -> Capability {
        Capability {
            inventory: true,
            issue: true,
            issue_adds: true,
            verify: true,
            identify: true,
            revoke: true,
            revoke_cache_seconds: REVOKED_WITHIN,
            // Of variables.
            read: true,
            post: true,
            post_unmarked: true,
            vouch: true,
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

    fn workloads(&self) -> Option<&dyn Workloads> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_list_hides_what_it_would_have_named_and_nothing_else() {
        let instance = |part| Scope::new(inventory::INSTANCE, part);
        let (organisation, repository) = (Scope::new("orgs/acme", "hooks"), Scope::new("acme/shop", "hooks"));
        let environment = Scope::new("acme/shop/environments/live", "secrets");
        assert!(may_hide(&instance("organisations"), &organisation));
        assert!(!may_hide(&instance("organisations"), &repository));
        assert!(may_hide(&instance("repositories"), &repository));
        assert!(may_hide(&instance("repositories"), &environment));
        assert!(!may_hide(&instance("repositories"), &organisation));
        let listed = Scope::new("acme/shop", inventory::ENVIRONMENTS);
        assert!(may_hide(&listed, &environment) && !may_hide(&listed, &repository));
        assert!(!may_hide(&Scope::new("acme/sho", inventory::ENVIRONMENTS), &environment));
        assert!(may_hide(&repository, &repository) && !may_hide(&repository, &organisation));
    }

    #[test]
    fn the_ssh_server_has_the_name_of_the_forge() {
        for (address, host) in [
            ("https://api.github.com", "github.com"),
            ("https://ghe.internal/api/v3", "ghe.internal"),
            ("https://api.acme.ghe.com", "acme.ghe.com"),
        ] {
            assert_eq!(ssh_host(address), host);
        }
    }
}
