//! What went wrong on a connection, in our words. A server's message may quote the statement, so of its answer only the SQLSTATE is kept.

use std::{error::Error as _, io, time::Duration};

use claviger_backend::{Effect, Error, ErrorKind, Retry};
use rustls::CertificateError;
use tokio_postgres::error::Severity;

use crate::config::Target;

/// A failed connection, login or statement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The host has no address.
    #[error("the host name cannot be resolved")]
    Resolve(#[source] io::Error),
    /// No TCP connection.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The server has no TLS and the mode demands it.
    #[error("the server offers no TLS")]
    NoTls,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Tls(TlsFault),
    /// The server asks for a password and there is none.
    #[error("the server asks for a password")]
    PasswordWanted,
    /// The server's answer to a login could not be believed: it does not know the password's verifier, or wants another method.
    #[error("the login exchange failed on our side")]
    Exchange,
    /// The server answered with an error.
    #[error("the server answered {}", .0.code)]
    Server(Answer),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] tokio_postgres::Error),
}

/// What a certificate lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsFault {
    Name,
    Expired,
    Authority,
    Other,
}

/// A server's error without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// SQLSTATE.
    pub(crate) code: String,
    /// The session ended with it.
    pub(crate) fatal: bool,
    /// Two changes of one row met (`tuple concurrently updated`, an internal error without a code of its own).
    pub(crate) collided: bool,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            return Self::Server(Answer {
                code: db.code().code().to_owned(),
                fatal: matches!(db.parsed_severity(), None | Some(Severity::Fatal | Severity::Panic)),
                // elog() texts are not translated; the routine's name changed between versions.
                collided: db.code().code() == "XX000" && db.message().contains("concurrently updated"),
            });
        }
        // The driver keeps its error's kind to itself: its fixed texts are all there is.
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        match error.to_string().as_str() {
            "error performing TLS handshake" if cause.contains("does not support TLS") => Self::NoTls,
            "error performing TLS handshake" => Self::Tls(tls_fault(&error)),
            "invalid configuration" if cause.contains("password missing") => Self::PasswordWanted,
            "authentication error" => Self::Exchange,
            _ => Self::Broken(error),
        }
    }
}

fn tls_fault(error: &tokio_postgres::Error) -> TlsFault {
    let fault =
        error.source().and_then(|source| source.downcast_ref::<io::Error>()).and_then(io::Error::get_ref);
    match fault.and_then(|fault| fault.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(fault)) => match fault {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsFault::Name
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsFault::Expired,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::Authority,
            _ => TlsFault::Other,
        },
        _ => TlsFault::Other,
    }
}

impl Failure {
    /// Whether a statement that failed like this may have been carried out.
    pub(crate) fn effect_of_statement(&self) -> Effect {
        match self {
            // An error rolls the statement back. A session that is ended may be ended after its commit.
            Self::Server(answer) if !answer.fatal => Effect::NotApplied,
            _ => Effect::Unknown,
        }
    }

    /// The contract's error. [`Effect::NotApplied`] unless the caller knows otherwise.
    pub(crate) fn into_error(self, operation: &'static str, target: &Target) -> Error {
        let endpoint = target.endpoint();
        let error = |kind, text: String, hint: &str| {
            let error = Error::new(kind, operation, format!("{endpoint}: {text}"));
            if hint.is_empty() { error } else { error.with_hint(hint) }
        };
        let text = self.to_string();
        match self {
            Self::Resolve(source) => {
                error(ErrorKind::Unavailable, text, "check the host name in `url`").with_source(source)
            }
            Self::Connect(source) => {
                let text = format!("{text} ({})", source.kind());
                error(ErrorKind::Unavailable, text, "check host and port in `url`, and that the server runs")
                    .with_source(source)
            }
            Self::Timeout(_) => {
                error(ErrorKind::Unavailable, text, "check host and port in `url`, and the network between")
            }
            Self::NoTls => error(
                ErrorKind::Config,
                format!("{text} and sslmode is {}", target.tls.word()),
                "turn TLS on at the server, or accept a connection in the clear with sslmode=disable",
            ),
            Self::Tls(fault) => {
                let (what, hint) = match fault {
                    TlsFault::Name => (
                        "the certificate is for another name",
                        "use the certificate's name in `url`, or sslmode=verify-ca",
                    ),
                    TlsFault::Expired => (
                        "the certificate is not valid now",
                        "renew the server's certificate, or check this machine's clock",
                    ),
                    TlsFault::Authority => (
                        "an unknown authority signed the certificate",
                        "set `ca` to the PEM file of the authority that did",
                    ),
                    TlsFault::Other => (
                        "the handshake broke off",
                        "check that PostgreSQL listens there and which TLS versions it takes",
                    ),
                };
                error(ErrorKind::Unavailable, format!("{text}: {what}"), hint).with_retry(Retry::Permanent)
            }
            Self::PasswordWanted => error(
                ErrorKind::Unauthenticated,
                format!("{text} for role `{}`", target.user),
                "set `password = { env = \"…\" }` or `{ file = \"…\" }`",
            ),
            Self::Exchange => error(
                ErrorKind::Unauthenticated,
                text,
                "check that `url` names the server itself and that it asks for a password, not for Kerberos",
            ),
            Self::Server(answer) => from_answer(&answer, operation, target),
            Self::Broken(source) => error(ErrorKind::Unavailable, text, "").with_source(source),
        }
    }
}

/// SQLSTATEs: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn from_answer(answer: &Answer, operation: &'static str, target: &Target) -> Error {
    let code = answer.code.as_str();
    let user = &target.user;
    let (kind, what, hint) = match code {
        "28P01" => (
            ErrorKind::Unauthenticated,
            format!("the server refuses the password of role `{user}`"),
            "check `password`, and that the role has not expired",
        ),
        "28000" => (
            ErrorKind::Unauthenticated,
            format!("role `{user}` may not log in from here"),
            "check the role's LOGIN and the server's pg_hba.conf",
        ),
        "3D000" => (ErrorKind::Config, "the database does not exist".to_owned(), "name another one in `url`"),
        "42501" => (ErrorKind::Denied, format!("role `{user}` is not allowed to"), ""),
        "42704" => (ErrorKind::NotFound, "the role does not exist".to_owned(), ""),
        "25006" => (
            ErrorKind::Config,
            "the server takes no changes: it is a standby or set read-only".to_owned(),
            "name the primary in `url`",
        ),
        "53300" => (ErrorKind::Unavailable, "there is no free connection".to_owned(), ""),
        "57P03" => (ErrorKind::Unavailable, "the server is starting or stopping".to_owned(), ""),
        "55P03" => (ErrorKind::Unavailable, "another session holds the role".to_owned(), ""),
        "57014" => (ErrorKind::Unavailable, "the statement took too long and was cancelled".to_owned(), ""),
        _ if answer.collided => {
            (ErrorKind::Unavailable, "another session changed the same role".to_owned(), "")
        }
        _ => match &code[..code.len().min(2)] {
            "08" | "53" | "57" | "58" => (ErrorKind::Unavailable, "the server is in trouble".to_owned(), ""),
            "40" => (ErrorKind::Unavailable, "the transaction collided with another".to_owned(), ""),
            "22" => (ErrorKind::Invalid, "the server refuses the value".to_owned(), ""),
            _ => (ErrorKind::Unexpected, "the server answered with an error".to_owned(), ""),
        },
    };
    let error = Error::new(kind, operation, format!("{}: {what} (SQLSTATE {code})", target.endpoint()));
    if hint.is_empty() { error } else { error.with_hint(hint) }
}
