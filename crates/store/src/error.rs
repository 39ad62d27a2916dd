use sea_orm::{DbErr, RuntimeErr};

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
    /// The address cannot be used.
    #[error("the database's address cannot be used: {0}")]
    Address(String),
    /// The database refused a statement: a bug. The text is the database's own, without the statement's values.
    #[error("the database refused a statement: {0}")]
    Refused(String),
    /// The database is an older one than was seen: a backup was restored. Nothing may have an effect.
    #[error("the database went back in time: {0}")]
    WentBack(String),
    /// The installation's own keys are not as the caller thinks: another process changed them, or they are in use.
    #[error("{0}")]
    Keys(String),
    /// An event that must not follow.
    #[error(transparent)]
    Illegal(#[from] claviger_core::saga::IllegalEvent),
}

impl Error {
    pub(crate) fn inconsistent(table: &'static str, reason: impl ToString) -> Self {
        Self::Inconsistent { table, reason: reason.to_string() }
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match error {
            DbErr::ConnectionAcquire(reason) => Self::Unavailable(format!("no free connection: {reason}")),
            DbErr::Conn(RuntimeErr::SqlxError(error))
            | DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => classify(&error),
            DbErr::Conn(reason) => Self::Unavailable(reason.to_string()),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        classify(&error)
    }
}

/// By the database's code, never by its text: SQLite result codes (<https://www.sqlite.org/rescode.html>), SQLSTATE classes
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn classify(error: &sqlx::Error) -> Error {
    let sqlx::Error::Database(database) = error else {
        return match error {
            sqlx::Error::Configuration(reason) => Error::Address(reason.to_string()),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::TypeNotFound { .. } => {
                Error::Refused(error.to_string())
            }
            _ => Error::Unavailable(error.to_string()),
        };
    };
    let text = database.message().to_owned();
    let code = database.code().unwrap_or_default();
    if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        // The low byte is the primary code. 5 busy, 6 locked, 7 no memory, 8 read-only, 10 I/O, 11 corrupt, 13 full, 14 cannot
        // open, 17 schema changed, 26 not a database; 1 with a missing table or column is an unmigrated schema.
        return match code.parse::<u32>().unwrap_or(0) & 0xff {
            5 | 6 | 7 | 8 | 10 | 11 | 13 | 14 | 26 => Error::Unavailable(text),
            17 => Error::Schema(text),
            1 if text.starts_with("no such table") || text.starts_with("no such column") => {
                Error::Schema(format!("{text}; run `claviger db migrate`"))
            }
            _ => Error::Refused(text),
        };
    }
    match code.as_ref() {
        "42P01" | "42703" | "3F000" => Error::Schema(format!("{text}; run `claviger db migrate`")),
        // Serialization failure, deadlock, lock or statement timeout, read-only transaction, missing database.
        "40001" | "40P01" | "55P03" | "57014" | "25006" | "3D000" => Error::Unavailable(text),
        // Connection, authorization, resources, operator intervention, system error.
        code if ["08", "28", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
            Error::Unavailable(text)
        }
        _ => Error::Refused(text),
    }
}

/// True if a unique index refused the row.
pub(crate) fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_)))
}
