use std::sync::Arc;

use async_trait::async_trait;
use claviger_backend::{
    Anchors, Authority, Backend, BackendInfo, Capability, Eraser, Error, ErrorKind, Federation, Issuer,
    Permission, Phase, Result, Runtime, ScanSink, Store, Trusting, Turns, Workloads,
};
use claviger_core::{
    clock::Clock,
    model::{Labels, Scope},
};

use crate::{
    KubernetesConfig, access,
    connection::Connection,
    failure::Failure,
    inventory,
    namespace::NamespaceFilter,
    place::{CLUSTER, Names},
};

/// How long the API server goes on accepting a deleted token out of its cache: 10 s for a success, and a little for its own clock.
const TOKEN_CACHE_SECONDS: u32 = 12;

/// A Kubernetes cluster.
pub struct KubernetesBackend {
    pub(crate) info: BackendInfo,
    pub(crate) connection: Connection,
    pub(crate) names: Names,
    pub(crate) filter: NamespaceFilter,
    pub(crate) labels: Labels,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Loads the kubeconfig and makes ready to talk to the cluster; makes no request yet. Runs within a tokio runtime. A credential plugin
/// that the kubeconfig names is run.
///
/// # Errors
/// [`ErrorKind::Config`] when the kubeconfig cannot be found, read or used; the hint says what to correct.
pub async fn connect(
    name: &str,
    config: KubernetesConfig,
    clock: Arc<dyn Clock>,
) -> Result<KubernetesBackend> {
    let connection = Connection::open(&config).await?;
    Ok(KubernetesBackend {
        info: BackendInfo {
            name: name.to_owned(),
            kind: "kubernetes",
            endpoint: connection.endpoint().to_owned(),
        },
        connection,
        names: Names::new(name),
        filter: NamespaceFilter::new(&config.include, &config.exclude),
        labels: config.labels,
        clock,
    })
}

impl KubernetesBackend {
    /// The contract's error; when we were not let in and our own credential says that it has expired, the hint says so too.
    pub(crate) fn error(&self, failure: Failure, operation: &'static str, what: &str) -> Error {
        let error = failure.into_error(operation, what, self.connection.endpoint());
        if error.kind() != ErrorKind::Unauthenticated {
            return error;
        }
        match self.connection.expiry().and_then(|expiry| expiry.hint(self.clock.now())) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

#[async_trait]
impl Backend for KubernetesBackend {
    fn info(&self) -> &BackendInfo {
        &self.info
    }

    fn capability(&self) -> Capability {
        Capability {
            inventory: true,
            issue: true,
            issue_mints: false,
            issue_by_name: true,
            siblings: true,
            disable: true,
            issue_marks: false,
            issue_adds: false,
            issue_asked: false,
            issue_hidden: false,
            verify: true,
            identify: true,
            restore: false,
            revoke: true,
            alternate: false,
            revoke_cache_seconds: TOKEN_CACHE_SECONDS,
            read: true,
            write: true,
            write_with_expect: true,
            write_together: true,
            pending: false,
            write_keeps_former: false,
            post: false,
            post_unmarked: false,
            refresh: true,
            adopted: true,
            repoint: true,
            federate: true,
            bind: true,
            vouch: false,
        }
    }

    fn may_hide(&self, unread: &Scope, missing: &Scope) -> bool {
        // Namespaces come from one list of the cluster.
        unread.area == CLUSTER || unread.area == missing.area
    }

    async fn check(&self) -> Result<Vec<Permission>> {
        access::check(self).await
    }

    async fn inventory(&self, phase: Phase, sink: &mut ScanSink) -> Result<()> {
        inventory::run(self, phase, sink).await
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

    fn eraser(&self) -> Option<&dyn Eraser> {
        Some(self)
    }

    fn trusting(&self) -> Option<&dyn Trusting> {
        Some(self)
    }

    fn runtime(&self) -> Option<&dyn Runtime> {
        Some(self)
    }

    fn anchors(&self) -> Option<&dyn Anchors> {
        Some(self)
    }

    fn federation(&self) -> Option<&dyn Federation> {
        Some(self)
    }

    fn workloads(&self) -> Option<&dyn Workloads> {
        Some(self)
    }

    fn authority(&self) -> Option<&dyn Authority> {
        Some(self)
    }
}
