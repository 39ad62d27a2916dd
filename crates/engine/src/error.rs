use claviger_core::reference::Ref;

/// Result of an engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the engine could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The lifecycle database failed.
    #[error(transparent)]
    Store(#[from] claviger_store::Error),
    /// A backend failed.
    #[error("backend `{backend}`: {source}")]
    Backend {
        /// Its name.
        backend: String,
        /// What it said.
        source: Box<claviger_backend::Error>,
    },
    /// A name that is no backend of the configuration.
    #[error("no backend is called `{0}`")]
    UnknownBackend(String),
    /// A selector that cannot be read.
    #[error("`{text}` is no selector: {reason}")]
    Selector {
        /// What was given.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// Nothing matches.
    #[error("nothing in the inventory matches `{0}`")]
    NoMatch(String),
    /// The planner refuses.
    #[error("`{subject}` is refused: {reason}")]
    Refused {
        /// The credential.
        subject: Ref,
        /// Stable code of the reason.
        code: &'static str,
        /// Why.
        reason: String,
    },
    /// A saga needs an operator.
    #[error("saga {id} needs an operator: {reason}")]
    NeedsOperator {
        /// The saga.
        id: String,
        /// Why.
        reason: String,
    },
    /// Another worker owns the saga.
    #[error("saga {0} is owned by another worker")]
    Busy(String),
    /// No such saga.
    #[error("there is no saga {0}")]
    NoSaga(String),
    /// A sealed value cannot be opened.
    #[error("the sealed value `{slot}` of saga {saga} cannot be opened with the keys of this installation")]
    Sealed {
        /// The saga.
        saga: String,
        /// The slot.
        slot: String,
    },
    /// A sealed value can never be opened again: its key is lost, as an operator said.
    #[error("the sealed value `{slot}` of saga {saga} was sealed with a key that is lost")]
    SealedLost {
        /// The saga.
        saga: String,
        /// The slot.
        slot: String,
    },
    /// An approval, or what wants one, is refused.
    #[error("plan {plan}: {reason} [{code}]")]
    Approval {
        /// The plan's hash or its beginning.
        plan: String,
        /// Stable code of the reason.
        code: &'static str,
        /// Why.
        reason: String,
    },
    /// No pause that holds has an id that begins so, or more than one has.
    #[error("no pause that holds, or more than one, has an id that begins with `{0}`")]
    NoPause(String),
    /// An incident cannot be changed or found.
    #[error("{reason}")]
    Incident {
        /// Stable code of the reason.
        code: &'static str,
        /// Why.
        reason: String,
    },
}
