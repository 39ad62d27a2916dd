use claviger_core::{
    model::{Scope, ScopeStatus},
    observation::Observation,
};
use tokio::sync::mpsc;

/// Which half of an inventory is asked for. Issuers come first, so that candidate values can be matched while they are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Identities, credentials at their issuer, verifiers, grants.
    Issuers,
    /// Places that hold values, and who reads them.
    Stores,
}

/// Some observations of one scope.
pub struct Page {
    /// The scope.
    pub scope: Scope,
    /// The observations, a few hundred or a few MiB at most.
    pub items: Vec<Observation>,
}

/// What a backend sends during a scan.
pub enum Message {
    /// Observations.
    Page(Page),
    /// A scope is over.
    ScopeEnd {
        /// The scope.
        scope: Scope,
        /// How it was read.
        status: ScopeStatus,
        /// Why not completely; holds no secret.
        reason: Option<String>,
    },
}

/// The sending half of a scan's bounded channel: a slow reader slows the backend down.
pub struct ScanSink {
    sender: mpsc::Sender<Message>,
}

/// A bounded channel of `pages` pages.
pub fn channel(pages: usize) -> (ScanSink, mpsc::Receiver<Message>) {
    let (sender, receiver) = mpsc::channel(pages);
    (ScanSink { sender }, receiver)
}

impl ScanSink {
    /// Sends a page; an empty one is not sent.
    ///
    /// # Errors
    /// The scan was given up by its reader.
    pub async fn page(&mut self, scope: &Scope, items: Vec<Observation>) -> crate::Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        self.send(Message::Page(Page { scope: scope.clone(), items })).await
    }

    /// Ends a scope that was read to its end.
    ///
    /// # Errors
    /// The scan was given up by its reader.
    pub async fn complete(&mut self, scope: &Scope) -> crate::Result<()> {
        self.end(scope, ScopeStatus::Complete, None).await
    }

    /// Ends a scope with its status and reason. A scope may be denied without a page before.
    ///
    /// # Errors
    /// The scan was given up by its reader.
    pub async fn end(
        &mut self,
        scope: &Scope,
        status: ScopeStatus,
        reason: Option<String>,
    ) -> crate::Result<()> {
        self.send(Message::ScopeEnd { scope: scope.clone(), status, reason }).await
    }

    async fn send(&mut self, message: Message) -> crate::Result<()> {
        self.sender.send(message).await.map_err(|_| {
            crate::Error::new(
                crate::ErrorKind::Unexpected,
                "inventory",
                "the scan was given up by its reader",
            )
        })
    }
}
