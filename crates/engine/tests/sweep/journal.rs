//! A journal whose process dies, or whose database fails, at one commit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use claviger_core::{
    id::{CredentialId, SagaId},
    saga::{Event, SagaKind},
    view::{ReceiptView, SagaView},
};
use claviger_store::{
    Error, Journal, Result,
    port::{Append, Appended, Claim, NewSaga, SagaRecord},
};
use tokio::sync::watch;

/// What happens at a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitFault {
    CrashBefore,
    CrashAfter,
    ErrorBefore,
    ErrorAfter,
}

/// Sees each event before it is committed, and may let that commit go wrong.
pub(crate) trait Watch: Send + Sync {
    fn before(&self, event: &Event) -> Option<CommitFault>;
}

/// Counts commits and lets one go wrong.
pub(crate) struct FaultyJournal {
    inner: Arc<dyn Journal>,
    watch: Option<Arc<dyn Watch>>,
    plan: Option<(u64, CommitFault)>,
    commits: AtomicU64,
    fired: AtomicBool,
    dead: watch::Sender<bool>,
}

impl FaultyJournal {
    pub(crate) fn new(inner: Arc<dyn Journal>, plan: Option<(u64, CommitFault)>) -> Self {
        Self {
            inner,
            watch: None,
            plan,
            commits: AtomicU64::new(0),
            fired: AtomicBool::new(false),
            dead: watch::Sender::new(false),
        }
    }

    pub(crate) fn watched(mut self, watch: Option<Arc<dyn Watch>>) -> Self {
        self.watch = watch;
        self
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    pub(crate) fn fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }

    pub(crate) fn died(&self) -> watch::Receiver<bool> {
        self.dead.subscribe()
    }

    fn fault(&self, event: Option<&Event>) -> Option<CommitFault> {
        let index = self.commits.fetch_add(1, Ordering::SeqCst);
        let seen = event.and_then(|event| self.watch.as_ref()?.before(event));
        let fault = seen.or(self.plan.filter(|(at, _)| *at == index).map(|(_, fault)| fault));
        if fault.is_some() {
            self.fired.store(true, Ordering::SeqCst);
        }
        fault
    }

    /// A dead process neither goes on nor reports.
    async fn die(&self) {
        self.dead.send_replace(true);
        std::future::pending::<()>().await;
    }

    async fn commit<T>(
        &self,
        event: Option<&Event>,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        if *self.dead.borrow() {
            std::future::pending::<()>().await;
        }
        let failed = || Error::Unavailable("the database went away (test)".to_owned());
        match self.fault(event) {
            None => call.await,
            Some(CommitFault::CrashBefore) => {
                self.die().await;
                Err(failed())
            }
            Some(CommitFault::CrashAfter) => {
                let _ = call.await;
                self.die().await;
                Err(failed())
            }
            Some(CommitFault::ErrorBefore) => Err(failed()),
            Some(CommitFault::ErrorAfter) => {
                call.await?;
                Err(failed())
            }
        }
    }
}

#[async_trait]
impl Journal for FaultyJournal {
    async fn create(&self, saga: NewSaga) -> Result<Option<SagaId>> {
        self.commit(None, self.inner.create(saga)).await
    }

    async fn claim(&self, saga: SagaId, owner: &str, lease: Duration) -> Result<Option<Claim>> {
        self.commit(None, self.inner.claim(saga, owner, lease)).await
    }

    async fn renew(&self, claim: &mut Claim, lease: Duration) -> Result<()> {
        // Not counted: how often a lease is renewed depends on the machine's speed.
        self.inner.renew(claim, lease).await
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        self.commit(None, self.inner.release(claim)).await
    }

    async fn append(&self, claim: &mut Claim, append: Append) -> Result<Appended> {
        let event = append.event.clone();
        self.commit(event.as_ref(), self.inner.append(claim, append)).await
    }

    async fn hand_over(&self, claim: &mut Claim, last: Append, successor: NewSaga) -> Result<SagaId> {
        let event = last.event.clone();
        self.commit(event.as_ref(), self.inner.hand_over(claim, last, successor)).await
    }

    async fn load(&self, saga: SagaId) -> Result<Option<SagaRecord>> {
        self.inner.load(saga).await
    }

    async fn sealed(&self, saga: SagaId, slot: &str) -> Result<Option<Vec<u8>>> {
        self.inner.sealed(saga, slot).await
    }

    async fn unfinished(&self) -> Result<Vec<SagaId>> {
        self.inner.unfinished().await
    }

    async fn list(&self, kind: SagaKind, credential: Option<CredentialId>) -> Result<Vec<SagaView>> {
        self.inner.list(kind, credential).await
    }

    async fn receipts(&self, saga: Option<SagaId>) -> Result<Vec<ReceiptView>> {
        self.inner.receipts(saga).await
    }
}
