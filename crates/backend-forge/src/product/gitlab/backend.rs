//! The backend itself: what it is made of and what it can do.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use claviger_backend::{
    Backend, BackendInfo, Capability, Issuer, Letterbox, Permission, Phase, Result, Runtime, ScanSink, Store,
    Turns,
};
use claviger_core::{clock::Clock, fingerprint::FingerprintKey, model::Scope};

use super::{
    config::GitlabConfig,
    inventory,
    names::Names,
    wire::{Group, Project, User},
};
use crate::{
    client::{Api, Dialect, Request},
    owners::Owners,
};

/// A GitLab server.
pub struct GitlabBackend {
    info: BackendInfo,
    pub(super) api: Api,
    pub(super) names: Names,
    pub(super) owners: Owners,
    pub(super) known_hosts: Option<PathBuf>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) version_key: Arc<FingerprintKey>,
}

/// Where the API has what a path names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Home {
    /// The whole server.
    Instance,
    /// A project.
    Project(String),
    /// A group.
    Group(String),
}

impl Home {
    /// The path of one of its lists.
    pub(super) fn of<'a>(&'a self, what: &'a str) -> Vec<&'a str> {
        match self {
            Self::Instance if what == "variables" => vec!["admin", "ci", what],
            Self::Instance => vec![what],
            Self::Project(path) => vec!["projects", path, what],
            Self::Group(path) => vec!["groups", path, what],
        }
    }

    /// As refs and scopes have it.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Instance => "-",
            Self::Project(path) | Self::Group(path) => path,
        }
    }
}

impl GitlabBackend {
    /// Builds the backend. Nothing is sent.
    ///
    /// # Errors
    /// `Config` when the address or the authorities cannot be used.
    pub fn new(name: &str, config: GitlabConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let api = Api::new(&config.url, "api/v4", config.ca.as_deref(), Some(config.token), None)?;
        Ok(Self {
            info: BackendInfo { name: name.to_owned(), kind: "gitlab", endpoint: api.address().to_owned() },
            api: api.speaking(Dialect { scheme: "Bearer", ..Dialect::default() }),
            names: Names::new(name),
            owners: Owners::new(config.owners),
            known_hosts: config.known_hosts,
            clock,
            version_key: config.version_key,
        })
    }

    /// Who we are.
    pub(super) async fn ourselves(&self, operation: &'static str) -> Result<User> {
        self.api.one(operation, Request::get(&["user"])).await
    }

    /// Is there a project or a group at this path? No two have the same one. `None`: neither, or not shown to us.
    pub(super) async fn home(&self, operation: &'static str, path: &str) -> Result<Option<Home>> {
        let found: Option<Project> = self.api.maybe(operation, Request::get(&["projects", path])).await?;
        if found.is_some() {
            return Ok(Some(Home::Project(path.to_owned())));
        }
        let below = ["groups", path];
        let request = Request { query: &[("with_projects", "false")], ..Request::get(&below) };
        let found: Option<Group> = self.api.maybe(operation, request).await?;
        Ok(found.map(|_| Home::Group(path.to_owned())))
    }
}

/// Users, groups and projects come from one list each; what belongs to one of them, from its own.
fn may_hide(unread: &Scope, missing: &Scope) -> bool {
    if unread.area == inventory::INSTANCE && missing.area != inventory::INSTANCE {
        let of_user = missing.area.starts_with("users/");
        // A path does not say whether it is a group's or a project's.
        return match unread.part.as_str() {
            "users" => of_user,
            "groups" | "projects" => !of_user,
            _ => false,
        };
    }
    unread == missing
}

#[async_trait]
impl Backend for GitlabBackend {
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
            // The documents tell of no cache between a revocation and the next request.
            revoke_cache_seconds: 0,
            read: true,
            write: true,
            write_with_expect: true,
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
        let (user, shop) = (Scope::new("users/dana", "access-tokens"), Scope::new("acme/shop", "variables"));
        for (part, hidden) in [
            ("users", [true, false]),
            ("groups", [false, true]),
            ("projects", [false, true]),
            ("runners", [false; 2]),
        ] {
            assert_eq!([&user, &shop].map(|missing| may_hide(&unread(part), missing)), hidden, "{part}");
        }
        assert!(may_hide(&shop, &shop) && !may_hide(&shop, &Scope::new("acme/shop", "triggers")));
        assert!(!may_hide(&unread("users"), &unread("runners")));
    }
}
