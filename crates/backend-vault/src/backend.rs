//! The backend itself: what it is made of and what it can do.

use std::sync::Arc;

use async_trait::async_trait;
use claviger_backend::{
    Backend, BackendInfo, Capability, Eraser, Federation, Issuer, Offspring, OwnLogin, Permission, Phase,
    Result, Runtime, ScanSink, Store, Turns,
};
use claviger_core::{clock::Clock, fingerprint::FingerprintKey, model::Scope};
use tokio::sync::Mutex;

use crate::{
    client::Api,
    config::{MountFilter, VaultConfig},
    inventory::Survey,
    issuer::{Marks, Origins, Roles},
    mounts::Mount,
    names::Names,
};

/// A Vault or OpenBao server, one namespace of it.
pub struct VaultBackend {
    pub(crate) info: BackendInfo,
    pub(crate) api: Api,
    pub(crate) names: Names,
    pub(crate) filter: MountFilter,
    pub(crate) extra: Vec<String>,
    pub(crate) version_key: Option<Arc<FingerprintKey>>,
    /// AppRoles, for a short while: a scan asks about many values.
    pub(crate) roles: Mutex<Option<Roles>>,
    /// Mounts that refs were resolved to.
    pub(crate) known: Mutex<Vec<Mount>>,
    /// Which operation made the tokens that were looked at.
    pub(crate) marks: Mutex<Marks>,
    /// Which logins gave the tokens that were looked at.
    pub(crate) origins: Mutex<Origins>,
}

impl VaultBackend {
    /// Builds the backend. Nothing is sent: the first call logs in.
    ///
    /// # Errors
    /// `Config` when the address, the authorities or the namespace cannot be used.
    pub fn new(name: &str, config: VaultConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let api = Api::new(&config.address, config.ca.as_deref(), config.namespace, config.auth, clock)?;
        Ok(Self {
            info: BackendInfo { name: name.to_owned(), kind: "vault", endpoint: api.address().to_owned() },
            api,
            names: Names::new(name),
            filter: MountFilter::new(config.include, config.exclude),
            extra: config.mounts,
            version_key: config.version_key,
            roles: Mutex::new(None),
            known: Mutex::new(Vec::new()),
            marks: Mutex::new(Marks::new()),
            origins: Mutex::new(Origins::new()),
        })
    }
}

/// Mounts come from one list; what is in a mount or a folder, from that mount's or folder's.
fn may_hide(unread: &Scope, missing: &Scope) -> bool {
    if unread.area == "sys" && unread.part == "mounts" {
        return true;
    }
    let below = missing.area.strip_prefix(unread.area.as_str());
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[async_trait]
impl Backend for VaultBackend {
    fn info(&self) -> &BackendInfo {
        &self.info
    }

    fn capability(&self) -> Capability {
        Capability {
            inventory: true,
            issue: true,
            issue_mints: false,
            issue_by_name: false,
            issue_marks: true,
            issue_adds: true,
            issue_asked: true,
            issue_hidden: true,
            siblings: false,
            disable: false,
            verify: true,
            identify: true,
            restore: false,
            revoke: true,
            alternate: false,
            // Measured on OpenBao 2.7.2: the request after the revocation is refused.
            revoke_cache_seconds: 0,
            read: true,
            write: true,
            write_with_expect: true,
            write_together: true,
            // KV version 2 does; version 1 does not, and is written only where the caller brings a version key.
            pending: false,
            write_keeps_former: true,
            post: false,
            post_unmarked: false,
            refresh: false,
            adopted: false,
            repoint: false,
            federate: true,
            bind: false,
            vouch: false,
        }
    }

    fn may_hide(&self, unread: &Scope, missing: &Scope) -> bool {
        may_hide(unread, missing)
    }

    async fn check(&self) -> Result<Vec<Permission>> {
        self.permissions().await
    }

    async fn inventory(&self, phase: Phase, sink: &mut ScanSink) -> Result<()> {
        let survey = Survey {
            api: &self.api,
            names: &self.names,
            filter: &self.filter,
            extra: &self.extra,
            version_key: self.version_key.as_ref(),
        };
        survey.run(phase, sink).await
    }

    fn issuer(&self) -> Option<&dyn Issuer> {
        Some(self)
    }

    fn turns(&self) -> Option<&dyn Turns> {
        None
    }

    fn offspring(&self) -> Option<&dyn Offspring> {
        Some(self)
    }

    fn own_login(&self) -> Option<&dyn OwnLogin> {
        Some(self)
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }

    fn eraser(&self) -> Option<&dyn Eraser> {
        Some(self)
    }

    fn federation(&self) -> Option<&dyn Federation> {
        Some(self)
    }

    fn runtime(&self) -> Option<&dyn Runtime> {
        None
    }
}

#[cfg(test)]
mod tests {
    use claviger_core::model::Scope;

    use super::may_hide;

    #[test]
    fn a_refused_folder_hides_what_is_below_it_and_nothing_else() {
        let folder = Scope::new("secret/team", "");
        for (missing, hidden) in [
            ("secret/team", true),
            ("secret/team/db", true),
            ("secret/teams", false),
            ("secret", false),
            ("other", false),
        ] {
            assert_eq!(may_hide(&folder, &Scope::new(missing, "")), hidden, "{missing}");
        }
        assert!(may_hide(&Scope::new("sys", "mounts"), &Scope::new("secret/team", "")));
        assert!(!may_hide(&Scope::new("sys", "leases"), &Scope::new("secret/team", "")));
    }
}
