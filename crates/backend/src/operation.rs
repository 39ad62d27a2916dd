use std::time::Duration;

use claviger_core::id::OperationKey;

/// The frame of one call that may change a target.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// The same for every attempt and owner; backends put it where the target can keep it (annotation, request token).
    pub key: OperationKey,
    /// The call gives up after this long. The engine starts it only if the lease outlasts it.
    pub deadline: Duration,
}
