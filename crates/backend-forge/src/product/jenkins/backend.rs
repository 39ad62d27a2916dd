//! The backend itself: what it is made of and what it can do.

use std::sync::Arc;

use async_trait::async_trait;
use claviger_backend::{
    Backend, BackendInfo, Capability, Issuer, Letterbox, Permission, Phase, Result, Runtime, ScanSink, Store,
    Turns,
};
use claviger_core::{clock::Clock, model::Scope};

use super::{config::JenkinsConfig, inventory, names::Names};
use crate::{client::Api, owners::Owners};

/// A Jenkins server.
pub struct JenkinsBackend {
    info: BackendInfo,
    pub(super) api: Api,
    pub(super) names: Names,
    pub(super) owners: Owners,
    pub(super) clock: Arc<dyn Clock>,
}

impl JenkinsBackend {
    /// Builds the backend. Nothing is sent.
    ///
    /// # Errors
    /// `Config` when the address or the authorities cannot be used.
    pub fn new(name: &str, config: JenkinsConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let api = Api::new(&config.url, "", config.ca.as_deref(), None, Some(config.login))?;
        Ok(Self {
            info: BackendInfo { name: name.to_owned(), kind: "jenkins", endpoint: api.address().to_owned() },
            api,
            names: Names::new(name),
            owners: Owners::new(config.owners),
            clock,
        })
    }
}

/// Folders come from lists of jobs; what lies in a store, from its own.
fn may_hide(unread: &Scope, missing: &Scope) -> bool {
    if unread.part == inventory::FOLDERS {
        return missing.area.starts_with("job/")
            && (unread.area == inventory::INSTANCE
                || missing.area.strip_prefix(&unread.area).is_some_and(|rest| rest.starts_with('/')));
    }
    if unread.part == inventory::DOMAINS {
        return unread.area == missing.area;
    }
    unread == missing
}

#[async_trait]
impl Backend for JenkinsBackend {
    fn info(&self) -> &BackendInfo {
        &self.info
    }

    fn capability(&self) -> Capability {
        // Of API tokens there is no list, so that none is known, and what an answer was lost of could not be found.
        Capability { inventory: true, post: true, ..Capability::default() }
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
        None
    }

    fn turns(&self) -> Option<&dyn Turns> {
        None
    }

    fn store(&self) -> Option<&dyn Store> {
        None
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
    fn an_unread_list_hides_what_it_would_have_named_and_nothing_else() {
        let store = |area: &str| Scope::new(area, "credentials/_");
        for (unread, missing, expected) in [
            (Scope::new(inventory::INSTANCE, inventory::FOLDERS), store("job/team"), true),
            (Scope::new(inventory::INSTANCE, inventory::FOLDERS), store("system"), false),
            (Scope::new("job/team", inventory::FOLDERS), store("job/team/job/web"), true),
            (Scope::new("job/team", inventory::FOLDERS), store("job/teams"), false),
            (Scope::new("job/team", inventory::DOMAINS), store("job/team"), true),
            (Scope::new("job/team", inventory::DOMAINS), store("system"), false),
            (store("system"), store("system"), true),
        ] {
            assert_eq!(may_hide(&unread, &missing), expected, "{unread} and {missing}");
        }
    }
}
