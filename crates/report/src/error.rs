use std::io;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The writer refused. A closed pipe is one of the reasons.
    #[error("writing the output failed")]
    Write(#[from] io::Error),
    /// The document is a table and the format has no place for it, or the other way round.
    #[error("this output cannot be written as {0}")]
    Unfit(&'static str),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
