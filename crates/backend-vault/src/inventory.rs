//! What there is, part by part. Each part is a scope that ends complete, or says what it could not read.

mod approle;
mod certificate;
mod database;
mod federated;
mod gaps;
mod leases;
mod opened;
mod policy;
mod rights;
mod token;
mod userpass;

use std::{collections::BTreeMap, sync::Arc};

use claviger_backend::{ErrorKind, Phase, Result, ScanSink};
use claviger_core::{
    fingerprint::FingerprintKey,
    model::{Scope, ScopeStatus},
};

pub(crate) use self::{approle::SecretIdInfo, token::TokenInfo};
use self::{
    federated::{JwtRole, KubernetesRole},
    gaps::Gaps,
    policy::Held,
};
use crate::{
    client::Api,
    config::MountFilter,
    kv::Walk,
    mounts::{Mount, MountKind, Mounts},
    names::Names,
};

/// Lookups made at the same time.
const CONCURRENCY: usize = 8;
/// Observations of one page.
const PAGE: usize = 200;

/// A scan of one server.
pub(crate) struct Survey<'a> {
    pub(crate) api: &'a Api,
    pub(crate) names: &'a Names,
    pub(crate) filter: &'a MountFilter,
    pub(crate) extra: &'a [String],
    pub(crate) version_key: Option<&'a Arc<FingerprintKey>>,
}

impl Survey<'_> {
    /// # Errors
    /// When the server cannot be asked for anything, or the reader has gone.
    pub(crate) async fn run(&self, phase: Phase, sink: &mut ScanSink) -> Result<()> {
        // A token that nobody knows is an error of the whole; a sealed server too.
        let own = self.own_accessor().await?;
        let mounts = Mounts::read(self.api, self.filter, self.extra).await?;
        match phase {
            Phase::Issuers => self.issuers(&mounts, own.as_deref(), sink).await,
            Phase::Stores => self.stores(&mounts, sink).await,
        }
    }

    /// The accessor of our own token; `None` when our token may not look itself up but is valid.
    ///
    /// # Errors
    /// `Unauthenticated` when the server does not accept our token.
    pub(crate) async fn own_accessor(&self) -> Result<Option<String>> {
        own_token(self.api, "inventory").await.map(|found| found.map(|token| token.accessor))
    }

    async fn issuers(&self, mounts: &Mounts, own: Option<&str>, sink: &mut ScanSink) -> Result<()> {
        let listing = Scope::new("sys", "mounts");
        match &mounts.gap {
            Some(gap) => sink.end(&listing, ScopeStatus::Denied, Some(gap.clone())).await?,
            None => sink.complete(&listing).await?,
        }
        self.namespaces(sink).await?;
        for name in &mounts.missing {
            let reason = "there is no such mount, or our token has no rule for anything in it".to_owned();
            sink.end(&Scope::new(name, ""), ScopeStatus::Failed, Some(reason)).await?;
        }
        let counted = |mount: &Mount| matches!(mount.kind, MountKind::AppRole | MountKind::Database);
        let mut leases = LeaseCounts::new();
        if mounts.mounts.iter().any(counted) {
            let gaps;
            (leases, gaps) = self.leases().await;
            gaps.end(&Scope::new("sys", "leases"), sink).await?;
        }

        let mut held = Held::default();
        for mount in &mounts.mounts {
            let leases = leases.get(&mount.path).copied();
            match &mount.kind {
                MountKind::AppRole => self.approles(&mount.path, leases, &mut held, sink).await?,
                MountKind::Userpass => self.users(&mount.path, &mut held, sink).await?,
                MountKind::Kubernetes => {
                    self.federated::<KubernetesRole>(&mount.path, &mut held, sink).await?
                }
                MountKind::Jwt => self.federated::<JwtRole>(&mount.path, &mut held, sink).await?,
                MountKind::Database => self.database(&mount.path, leases, sink).await?,
                MountKind::Pki => self.certificates(&mount.path, sink).await?,
                MountKind::Foreign(kind) => {
                    let reason = format!(
                        "engines of type `{kind}` are not read yet; leave the mount out with `exclude` if it holds nothing"
                    );
                    sink.end(&Scope::new(&mount.path, ""), ScopeStatus::Unreadable, Some(reason)).await?;
                }
                MountKind::Kv1 | MountKind::Kv2 | MountKind::Nothing => {}
            }
        }
        if self.filter.admits("auth/token") {
            self.tokens(mounts, own, &mut held, sink).await?;
        }
        self.grants(held, mounts, sink).await
    }

    async fn stores(&self, mounts: &Mounts, sink: &mut ScanSink) -> Result<()> {
        for Mount { path, kind } in &mounts.mounts {
            match kind {
                MountKind::Kv1 | MountKind::Kv2 => {
                    let versioned = *kind == MountKind::Kv2;
                    let walk = Walk {
                        api: self.api,
                        names: self.names,
                        mount: path,
                        versioned,
                        version_key: self.version_key,
                    };
                    walk.run("", sink).await?;
                    for (_, folder) in mounts.folders.iter().filter(|(mount, _)| mount == path) {
                        walk.run(folder, sink).await?;
                    }
                }
                MountKind::Database => self.static_credentials(path, sink).await?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Namespaces below ours are other inventories: named, so that nobody takes them for read.
    async fn namespaces(&self, sink: &mut ScanSink) -> Result<()> {
        for name in self.api.list("inventory", "sys/namespaces").await.unwrap_or_default() {
            let name = name.trim_end_matches('/');
            let reason =
                format!("a namespace of its own: configure another backend with namespace = \"{name}\"");
            sink.end(&Scope::new("namespaces", name), ScopeStatus::Unreadable, Some(reason)).await?;
        }
        Ok(())
    }
}

/// Our own token; `None` when it is valid and may not look itself up.
///
/// # Errors
/// `Unauthenticated` when the server does not accept it.
pub(crate) async fn own_token(api: &Api, operation: &'static str) -> Result<Option<TokenInfo>> {
    match api.get::<TokenInfo>(operation, "auth/token/lookup-self").await {
        Ok(found) => Ok(found),
        Err(error) if error.kind() == ErrorKind::Denied => {
            // Any valid token may ask this, whatever its policies.
            match api.get::<serde::de::IgnoredAny>(operation, "sys/internal/ui/mounts").await {
                Ok(_) => Ok(None),
                Err(second) if second.kind() == ErrorKind::Denied => Err(claviger_backend::Error::new(
                    ErrorKind::Unauthenticated,
                    operation,
                    format!("our token is not accepted at {} (HTTP 403)", api.address()),
                )
                .with_hint("it may have expired or been revoked, or belong to another server or namespace: check `token` or `auth`")),
                Err(second) => Err(second),
            }
        }
        Err(error) => Err(error),
    }
}

/// Leases per mount.
pub(crate) type LeaseCounts = BTreeMap<String, u64>;
