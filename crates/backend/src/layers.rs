//! What stands between the engine and every backend, so that no backend has to think of it.
//!
//! [`Guarded`] wraps a backend in five layers. From the outside in:
//!
//! 1. **trace**: a span for each call with backend, operation and target, never a value; failures are logged once, here.
//! 2. **limit**: at most so many calls at a time. Waiting counts towards the deadline.
//! 3. **retry**: again after an error that is temporary *and* certainly had no effect. An unknown effect is never retried: the engine
//!    observes, and decides. An error that remains is marked [`Retry::Persistent`](crate::Retry), so that nobody outside multiplies.
//! 4. **timeout**: each attempt ends. It lies within the retry, else a retry could not begin before the deadline; what is left of the
//!    deadline bounds each attempt, so a call that may change a target never outlasts its [`Operation::deadline`], which the lease must outlast.
//!    A changing call that is cut off has an unknown effect, a reading one none.
//! 5. **check**: what the capability does not claim, and refs of other backends, are refused before any request.
//!
//! An inventory is traced and checked only: it streams for as long as the estate is large, its pages cannot be taken back, and its requests
//! have timeouts of their own.
//!
//! To add a layer: a file here, its place in [`Guarded`]'s `call`, and a line above that says why it stands there.

mod check;
mod guarded;
mod limit;
mod retry;
#[cfg(test)]
mod tests;
mod timeout;
mod trace;

use std::time::Duration;

use claviger_core::{id::OperationKey, reference::Ref};

pub use self::{guarded::Guarded, retry::RetryPolicy};
use crate::Operation;

/// How the layers behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerConfig {
    /// Calls at a time; at least 1.
    pub concurrency: usize,
    /// When and how often to try again.
    pub retry: RetryPolicy,
    /// Longest attempt of a call that changes nothing.
    pub read_timeout: Duration,
    /// Longest call that changes nothing, with its retries and waiting.
    pub read_deadline: Duration,
}

impl Default for LayerConfig {
    /// 8 calls at a time, 30 s for an attempt to read, 2 min for all attempts.
    fn default() -> Self {
        Self {
            concurrency: 8,
            retry: RetryPolicy::default(),
            read_timeout: Duration::from_secs(30),
            read_deadline: Duration::from_secs(120),
        }
    }
}

/// What a call may do to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// Nothing.
    Reads,
    /// It may change it.
    Changes,
}

/// One call on its way through the layers.
#[derive(Clone, Copy)]
struct Call<'a> {
    /// Role and method: `store.write`.
    name: &'static str,
    /// The method, as it stands in errors.
    operation: &'static str,
    target: Option<&'a Ref>,
    key: Option<OperationKey>,
    nature: Nature,
    /// Longest attempt.
    attempt: Duration,
    /// Longest call.
    total: Duration,
}

impl Call<'_> {
    fn reads(name: &'static str, config: &LayerConfig) -> Self {
        Self {
            name,
            operation: method(name),
            target: None,
            key: None,
            nature: Nature::Reads,
            attempt: config.read_timeout,
            total: config.read_deadline,
        }
    }

    fn changes(name: &'static str, op: &Operation) -> Self {
        Self {
            name,
            operation: method(name),
            target: None,
            key: Some(op.key),
            nature: Nature::Changes,
            attempt: op.deadline,
            total: op.deadline,
        }
    }
}

impl<'a> Call<'a> {
    fn at(self, target: &'a Ref) -> Self {
        Self { target: Some(target), ..self }
    }
}

fn method(name: &'static str) -> &'static str {
    name.rsplit('.').next().unwrap_or(name)
}
