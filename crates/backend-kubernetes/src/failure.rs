//! Why a request did not give what it should, and what a person is told about it.

use std::{error::Error as StdError, time::Duration};

use claviger_backend::{Effect, Error, ErrorKind};

/// Why a request failed. Holds nothing of an answer's body but the API machinery's reason word.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// No usable answer came.
    #[error("{0}")]
    Transport(#[from] Transport),
    /// The API server said no.
    #[error("the API server answered {code}{}", reason_in_parentheses(.reason))]
    Status {
        code: u16,
        /// `metav1.Status.reason`, e.g. `Forbidden`, `Expired`.
        reason: String,
        retry_after: Option<Duration>,
    },
    /// The answer is larger than we are ready to hold.
    #[error("the answer is larger than {} MiB", .limit >> 20)]
    TooLarge { limit: usize },
    /// The answer is not what the API describes.
    #[error("the answer is not what the Kubernetes API describes ({0})")]
    Malformed(String),
}

fn reason_in_parentheses(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Transport {
    #[error("the connection was refused")]
    Refused,
    #[error("no connection could be made")]
    Unreachable,
    #[error("the host name cannot be resolved")]
    UnknownHost,
    #[error("the server's certificate does not hold for this name")]
    NameMismatch,
    #[error("the server's certificate is not signed by the authority that the kubeconfig names")]
    UnknownAuthority,
    #[error("the server's certificate has expired or is not yet valid")]
    ServerCertificateExpired,
    #[error("TLS failed")]
    Tls,
    #[error("no answer in time")]
    TimedOut,
    #[error("the credential plugin or token file of the kubeconfig failed")]
    Credential,
    #[error("the value cannot be sent in a header")]
    NotSendable,
    #[error("the connection broke")]
    Broken,
}

impl Transport {
    fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Refused | Self::Unreachable => {
                "check the server address of the kubeconfig's cluster, and that the API server runs"
            }
            Self::UnknownHost => "check the server address of the kubeconfig's cluster",
            Self::NameMismatch => {
                "use a server address that the certificate names, or set tls-server-name in the kubeconfig"
            }
            Self::UnknownAuthority => "check certificate-authority(-data) of the kubeconfig's cluster",
            Self::ServerCertificateExpired => "renew the API server's certificate, and check the clocks",
            Self::Tls => {
                "check that the address speaks TLS and that the kubeconfig's certificates belong to it"
            }
            Self::Credential => {
                "run the same kubeconfig with `kubectl get namespaces` and see what its plugin says"
            }
            Self::TimedOut | Self::NotSendable | Self::Broken => return None,
        })
    }

    /// Can the request have reached the API server?
    fn effect(self) -> Effect {
        match self {
            Self::TimedOut | Self::Broken => Effect::Unknown,
            _ => Effect::NotApplied,
        }
    }

    /// Finds the cause in an error of the HTTP stack, whose outer layers say little.
    pub(crate) fn diagnose(error: &(dyn StdError + 'static)) -> Self {
        let mut connecting = false;
        let mut cause = Some(error);
        while let Some(current) = cause {
            if let Some(tls) = current.downcast_ref::<rustls::Error>() {
                return Self::from_tls(tls);
            }
            if let Some(io) = current.downcast_ref::<std::io::Error>() {
                if let Some(tls) = tls_within(io) {
                    return Self::from_tls(tls);
                }
                match io.kind() {
                    std::io::ErrorKind::ConnectionRefused => return Self::Refused,
                    std::io::ErrorKind::TimedOut => {
                        return if connecting { Self::Unreachable } else { Self::TimedOut };
                    }
                    _ => {}
                }
            }
            if let Some(auth) = current.downcast_ref::<kube::client::AuthError>() {
                return match auth {
                    kube::client::AuthError::InvalidBearerToken(_) => Self::NotSendable,
                    _ => Self::Credential,
                };
            }
            // hyper-util keeps these two types private; their texts are all there is.
            match current.to_string().as_str() {
                "dns error" => return Self::UnknownHost,
                "client error (Connect)" => connecting = true,
                _ => {}
            }
            cause = current.source();
        }
        if connecting { Self::Unreachable } else { Self::Broken }
    }

    fn from_tls(error: &rustls::Error) -> Self {
        use rustls::CertificateError as Certificate;
        match error {
            rustls::Error::InvalidCertificate(
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
            ) => Self::NameMismatch,
            rustls::Error::InvalidCertificate(
                Certificate::Expired
                | Certificate::ExpiredContext { .. }
                | Certificate::NotValidYet
                | Certificate::NotValidYetContext { .. },
            ) => Self::ServerCertificateExpired,
            rustls::Error::InvalidCertificate(
                Certificate::UnknownIssuer | Certificate::BadSignature | Certificate::InvalidPurpose,
            ) => Self::UnknownAuthority,
            _ => Self::Tls,
        }
    }
}

/// The TLS error that I/O errors wrap, perhaps one within another: their `source` leaves out what they wrap.
fn tls_within(error: &std::io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    match inner.downcast_ref::<std::io::Error>() {
        Some(io) => tls_within(io),
        None => inner.downcast_ref::<rustls::Error>(),
    }
}

impl Failure {
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// We may not do that.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// The object, or the whole resource, is not there.
    pub(crate) fn is_absent(&self) -> bool {
        self.code() == Some(404)
    }

    /// The continue token is older than the server's history.
    pub(crate) fn is_gone(&self) -> bool {
        self.code() == Some(410)
    }

    /// Would the next namespace fail in the same way?
    pub(crate) fn is_everywhere(&self) -> bool {
        matches!(self, Self::Transport(_)) || self.code() == Some(401)
    }

    /// How long to wait before a *read* is worth another try: the server lives and is busy.
    pub(crate) fn pause(&self, attempt: u32) -> Option<Duration> {
        match self {
            Self::Status { code: 429 | 500 | 502 | 503 | 504, retry_after, .. } => {
                let backoff = Duration::from_millis(250) * 2_u32.pow(attempt.min(5));
                Some(retry_after.unwrap_or(backoff).min(Duration::from_secs(10)))
            }
            _ => None,
        }
    }

    /// The contract's error. `what` says what was being done, `endpoint` to whom.
    pub(crate) fn into_error(self, operation: &'static str, what: &str, endpoint: &str) -> Error {
        let text = format!("{what}: {self} at {endpoint}");
        match self {
            Self::Transport(transport) => {
                let kind = match transport {
                    Transport::Credential => ErrorKind::Config,
                    Transport::NotSendable => ErrorKind::Invalid,
                    _ => ErrorKind::Unavailable,
                };
                let error = Error::new(kind, operation, text).with_effect(transport.effect());
                match transport.hint() {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                }
            }
            Self::Status { code, retry_after, .. } => {
                let (kind, effect) = match code {
                    400 | 413 | 415 | 422 => (ErrorKind::Invalid, Effect::NotApplied),
                    401 => (ErrorKind::Unauthenticated, Effect::NotApplied),
                    403 => (ErrorKind::Denied, Effect::NotApplied),
                    404 => (ErrorKind::NotFound, Effect::NotApplied),
                    405 | 406 => (ErrorKind::Unsupported, Effect::NotApplied),
                    409 | 410 | 412 => (ErrorKind::Conflict, Effect::NotApplied),
                    429 => (ErrorKind::RateLimited, Effect::NotApplied),
                    // A time-out inside the server, or a store that answered too late: it may have been written.
                    500..=599 => (ErrorKind::Unavailable, Effect::Unknown),
                    _ => (ErrorKind::Unexpected, Effect::Unknown),
                };
                let mut error = Error::new(kind, operation, text).with_effect(effect);
                if let Some(wait) = retry_after {
                    error = error.with_retry_after(wait);
                }
                match code {
                    401 => error
                        .with_hint("the kubeconfig's credential is wrong, expired or revoked: get a new one"),
                    403 => error.with_hint("`claviger doctor` lists the permissions that are missing"),
                    _ => error,
                }
            }
            Self::TooLarge { .. } => Error::new(ErrorKind::Unexpected, operation, text),
            Self::Malformed(_) => Error::new(ErrorKind::Unexpected, operation, text)
                .with_hint("is this address a Kubernetes API server, without a proxy that answers for it?"),
        }
    }
}
