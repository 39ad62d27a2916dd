use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use claviger_backend::{
    Backend, BackendInfo, Capability, Error, ErrorKind, Issuer, Permission, PermissionStatus, Phase, Result,
    Runtime, ScanSink, Store, Turns,
};
use claviger_core::{
    clock::Clock,
    model::{Scope, ScopeStatus},
    observation::Observation,
    reference::Ref,
};

use crate::{
    examine,
    folder::{self, Entry, Part, reason},
    kubernetes::Index,
};

/// Observations to a page.
const PAGE: usize = 500;

/// Which folder.
#[derive(Debug, Clone)]
pub struct ManifestConfig {
    /// The folder.
    pub path: PathBuf,
    /// The repository at a forge whose files these are, as the forge's refs begin: `forge/acme/shop`. The secrets that workflows ask for are its own
    /// then; without it they are known by their names only.
    pub repository: Option<String>,
}

/// A folder of manifests.
pub struct ManifestBackend {
    info: BackendInfo,
    path: PathBuf,
    repository: Option<Ref>,
}

impl ManifestBackend {
    /// Takes the folder, which must be there. Nothing of it depends on the time.
    ///
    /// # Errors
    /// `Config` if it is no folder that can be read.
    pub fn open(name: &str, config: ManifestConfig, _clock: Arc<dyn Clock>) -> Result<Self> {
        let path = config.path;
        let shown = path.display().to_string();
        let refused = |why: &str| {
            Error::new(ErrorKind::Config, "open", format!("{shown}: {why}"))
                .with_hint("`path` names a folder, relative to the configuration file")
        };
        let metadata = std::fs::metadata(&path).map_err(|error| refused(&reason(&error)))?;
        if !metadata.is_dir() {
            return Err(refused("not a folder"));
        }
        Ok(Self {
            info: BackendInfo { name: name.to_owned(), kind: "manifest", endpoint: shown.clone() },
            path,
            repository: config.repository.map(|text| Ref::from_text(text.trim_matches('/'))),
        })
    }

    async fn list(&self, operation: &'static str) -> Result<std::collections::BTreeMap<String, Part>> {
        let path = self.path.clone();
        let parts = blocking(operation, move || folder::parts(&path)).await?;
        parts.map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                operation,
                format!("{}: {}", self.info.endpoint, reason(&error)),
            )
        })
    }

    async fn part(&self, name: &str, part: Part, index: &Arc<Index>, sink: &mut ScanSink) -> Result<()> {
        let scope = Scope::new(name, "");
        let mut page: Vec<Observation> = Vec::new();
        let mut unread = 0_usize;
        for entry in part.files {
            let relative = entry.relative.clone();
            let (backend, index, repository) =
                (self.info.name.clone(), Arc::clone(index), self.repository.clone());
            let work = move || examine::examine((&backend, repository.as_ref()), &entry, &index);
            match blocking("inventory", work).await? {
                Ok(found) => page.extend(found),
                Err(trouble) => {
                    unread += usize::from(!trouble.template);
                    sink.end(&own_scope(name, &relative), trouble.status, Some(trouble.reason)).await?;
                }
            }
            if page.len() >= PAGE {
                sink.page(&scope, std::mem::take(&mut page)).await?;
            }
        }
        sink.page(&scope, page).await?;
        for (relative, why) in part.unread {
            unread += 1;
            let status =
                if why == "permission denied" { ScopeStatus::Denied } else { ScopeStatus::Unreadable };
            // The top-level folder itself is the scope that follows.
            if relative != name {
                sink.end(&own_scope(name, &relative), status, Some(why)).await?;
            }
        }
        if unread == 0 {
            return sink.complete(&scope).await;
        }
        let plural = if unread == 1 { "" } else { "s" };
        sink.end(
            &scope,
            ScopeStatus::Failed,
            Some(format!("{unread} file{plural} or folder{plural} in it not read")),
        )
        .await
    }
}

/// The scope of one file: `<top-level folder>/<rest of its path>`.
fn own_scope(part: &str, relative: &str) -> Scope {
    let below = relative.strip_prefix(part).and_then(|rest| rest.strip_prefix('/'));
    Scope::new(part, below.unwrap_or(relative))
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let failed = |_| Error::new(ErrorKind::Unexpected, operation, "a reader broke off");
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

#[async_trait]
impl Backend for ManifestBackend {
    fn info(&self) -> &BackendInfo {
        &self.info
    }

    fn capability(&self) -> Capability {
        Capability { inventory: true, ..Capability::default() }
    }

    fn may_hide(&self, unread: &Scope, missing: &Scope) -> bool {
        // The folder itself is listed before any part of it.
        unread.area == missing.area
    }

    async fn check(&self) -> Result<Vec<Permission>> {
        let parts = self.list("check").await?;
        let unread = parts.values().flat_map(|part| &part.unread);
        let mut permissions: Vec<Permission> = unread
            .map(|(relative, why)| Permission {
                flow: "scan",
                name: format!("read {relative}"),
                status: PermissionStatus::Missing(why.clone()),
            })
            .collect();
        let name = format!("read {}", self.info.endpoint);
        permissions.insert(0, Permission { flow: "scan", name, status: PermissionStatus::Present });
        Ok(permissions)
    }

    async fn inventory(&self, phase: Phase, sink: &mut ScanSink) -> Result<()> {
        // A folder issues nothing.
        if phase == Phase::Issuers {
            return Ok(());
        }
        let parts = self.list("inventory").await?;
        let entries: Vec<Entry> = parts.values().flat_map(|part| part.files.clone()).collect();
        let name = self.info.name.clone();
        let build = move || {
            let mut index = Index::default();
            for entry in &entries {
                examine::index(&name, entry, &mut index);
            }
            index
        };
        let index = Arc::new(blocking("inventory", build).await?);
        for (name, part) in parts {
            self.part(&name, part, &index, sink).await?;
        }
        Ok(())
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

    fn runtime(&self) -> Option<&dyn Runtime> {
        None
    }
}
