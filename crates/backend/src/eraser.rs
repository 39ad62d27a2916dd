//! Taking a dead value out of the places where it lies.

use async_trait::async_trait;
use claviger_core::{reference::Ref, secret::SecretValue};

use crate::{Operation, Result};

/// A former version of a field that can still be read.
pub struct FormerValue {
    /// The store's version token.
    pub version: String,
    /// The whole field.
    pub value: SecretValue,
}

/// A store out of which values can be taken.
#[async_trait]
pub trait Eraser: Send + Sync {
    /// Takes the field out, if this version is there; its siblings stay as they are. Absent field: success. Another version: `Conflict`. A place
    /// that cannot be without a value: `Unsupported`, and the caller writes another one. Cancellation: effect unknown; a read tells.
    async fn erase(&self, op: &Operation, at: &Ref, version: &str) -> Result<()>;

    /// Every former version of the field that can still be read, the value itself with it. Absence is an answer.
    async fn former(&self, at: &Ref) -> Result<Vec<FormerValue>>;

    /// Makes this former version unreadable for good; where the store keeps an object's fields in one version, with the others' former values.
    /// The version in force is never destroyed: `Conflict`. Repeat, and absence: success. Cancellation: effect unknown; [`Eraser::former`] tells.
    async fn destroy(&self, op: &Operation, at: &Ref, version: &str) -> Result<()>;
}
