use async_trait::async_trait;
use claviger_core::{
    audit::{AuditDraft, AuditEntry, AuditHash},
    id::Seq,
};

use crate::Result;

/// The append-only, hash-chained log.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Appends entries in order, durably, before it returns. Used for what belongs to no saga; a saga's entries go with its events.
    async fn append(&self, drafts: Vec<AuditDraft>) -> Result<Vec<Seq>>;

    /// The last entry's place and hash; [`AuditHash::GENESIS`] with 0 for an empty log.
    async fn head(&self) -> Result<(Seq, AuditHash)>;

    /// Up to `limit` entries after `after`, in order. An empty answer is the end.
    async fn read(&self, after: Seq, limit: u64) -> Result<Vec<AuditEntry>>;
}
