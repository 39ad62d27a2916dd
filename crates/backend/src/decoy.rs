//! Decoys: credentials that open nothing, made only to be revoked, so that a drill measures the real way from a leak to a proof.

use async_trait::async_trait;
use claviger_core::{reference::Ref, secret::SecretValue};

use crate::{Operation, Result};

/// What the names of all decoys begin with: by that they are known, and nothing else is ever taken for one.
pub const DECOY: &str = "claviger_drill_";

/// Where a credential that opens nothing can be made and taken away.
#[async_trait]
pub trait Decoys: Send + Sync {
    /// Makes one with this value; its ref. It may log in and do nothing else. Its name begins with [`DECOY`] and follows from the operation's key:
    /// repeat gives the same one with the same value. Cancellation: effect unknown; [`Decoys::decoys`] tells.
    async fn plant(&self, op: &Operation, value: &SecretValue) -> Result<Ref>;

    /// All that are there, also those that a crash left. Changes nothing.
    async fn decoys(&self) -> Result<Vec<Ref>>;

    /// Takes one away whole. Absent: success. What is no decoy: `Invalid`, and nothing is done. Cancellation: effect unknown; a repeat is safe.
    async fn clear(&self, op: &Operation, at: &Ref) -> Result<()>;
}
