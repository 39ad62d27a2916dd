/// Result of a port's call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the database could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another owner has taken the saga over: nothing was written, and the caller must stop.
    #[error("another worker owns this saga now")]
    Fenced,
    /// The database cannot be reached, is locked for too long, or is full.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Its schema is older or newer than this program.
    #[error("the database's schema does not fit this program: {0}")]
    Schema(String),
    /// A row that should not exist as it is: damage or a bug, with table and column.
    #[error("inconsistent row in `{table}`: {reason}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A setting that would break a promise.
    #[error("this database cannot keep the promise: {0}")]
    Unsafe(String),
    /// An event that must not follow.
    #[error(transparent)]
    Illegal(#[from] claviger_core::saga::IllegalEvent),
}
