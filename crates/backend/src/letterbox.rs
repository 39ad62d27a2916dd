//! Stores that take a value and show it to nobody: the secrets of CI systems. What they show is a name, and beside it a word of ours.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{reference::Ref, secret::SecretValue};

use crate::{Expect, Operation, Result, StoreState};

/// What a place says of the value that it does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// The store's word for what is there: another one after each write of ours, and after every other write that the store lets us notice.
    pub version: String,
    /// The operation key of the write of ours whose marker stands there. `None`: it carries none, and a store that is
    /// [`post_unmarked`](crate::Capability::post_unmarked) never does. Whoever changes the value and leaves the
    /// marker is not noticed where the store tells nothing else of a write.
    pub written_by: Option<String>,
    /// When that write was, as the marker says.
    pub written_at: Option<DateTime<Utc>>,
}

/// Where values can be put, and not read back.
#[async_trait]
pub trait Letterbox: Send + Sync {
    /// Is this a place that takes a value and shows none? Constant for one ref, and nobody is asked.
    fn takes(&self, at: &Ref) -> bool;

    /// What stands there. Absence is an answer.
    async fn marked(&self, at: &Ref) -> Result<Option<Marked>>;

    /// Asks the target whether a value would be taken; changes nothing.
    async fn open(&self, at: &Ref) -> Result<StoreState>;

    /// Puts a value there in place of what there is, with a marker that names the operation; what people wrote beside it stays. Gives what
    /// stands there then.
    ///
    /// `Conflict` when the expectation does not hold. Where the store has no compare-and-set the expectation is looked at right before the write,
    /// and a write of somebody else in between is lost: the backend's documentation says so. Repeat with the same operation: same end state.
    /// Cancellation: effect unknown; [`Letterbox::marked`] tells.
    async fn post(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<Marked>;
}
