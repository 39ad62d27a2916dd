//! From answers and failures to the contract's errors. What a server wrote is read to tell cases apart, and never repeated.

use std::{error::Error as StdError, time::Duration};

use claviger_backend::{Effect, Error, ErrorKind, Retry};
use vaultrs::error::ClientError;

/// What was being done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The contract's operation, e.g. `inventory`.
    pub(crate) operation: &'static str,
    /// What at the server, e.g. `GET secret/data/app`. No secret.
    pub(crate) what: &'a str,
    /// The server's address.
    pub(crate) address: &'a str,
    /// Whether it may change the server.
    pub(crate) writes: bool,
}

impl Call<'_> {
    fn error(&self, kind: ErrorKind, found: &str) -> Error {
        Error::new(kind, self.operation, format!("{} at {}: {found}", self.what, self.address))
    }

    fn unknown_if_write(&self) -> Effect {
        if self.writes { Effect::Unknown } else { Effect::NotApplied }
    }

    /// An answer with another status than 2xx. `errors` are the server's texts.
    pub(crate) fn refused(&self, status: u16, errors: &[String], retry_after: Option<Duration>) -> Error {
        let says = |text: &str| errors.iter().any(|error| error.contains(text));
        match status {
            300..=399 => self
                .error(ErrorKind::Unavailable, &format!("HTTP {status}, a redirect, which is not followed"))
                .with_hint("configure the address of the active node, or of a load balancer in front of it"),
            400 if says("check-and-set parameter did not match") => {
                self.error(ErrorKind::Conflict, "HTTP 400, another version is there")
            }
            400 => self.error(ErrorKind::Invalid, "HTTP 400, refused as malformed or against its rules"),
            401 => self
                .error(ErrorKind::Unauthenticated, "HTTP 401")
                .with_hint("is something other than Vault or OpenBao at this address?"),
            403 => self.error(ErrorKind::Denied, "HTTP 403, permission denied"),
            404 => self.error(ErrorKind::NotFound, "HTTP 404, not there"),
            405 => self.error(ErrorKind::Unsupported, "HTTP 405, not supported there"),
            412 | 472 | 473 => self
                .error(ErrorKind::Unavailable, &format!("HTTP {status}, this node is a standby or behind")),
            429 => {
                let error = self.error(ErrorKind::RateLimited, "HTTP 429, too many requests");
                match retry_after {
                    Some(wait) => error.with_retry_after(wait),
                    None => error,
                }
            }
            501 => self
                .error(ErrorKind::Unavailable, "HTTP 501, the server is not initialized")
                .with_retry(Retry::Permanent),
            503 if says("sealed") => self
                .error(ErrorKind::Unavailable, "HTTP 503, the server is sealed")
                .with_hint("unseal it, then try again"),
            502..=504 => self
                .error(ErrorKind::Unavailable, &format!("HTTP {status}, no node answers"))
                .with_effect(self.unknown_if_write()),
            _ => self
                .error(ErrorKind::Unexpected, &format!("HTTP {status}"))
                .with_effect(self.unknown_if_write()),
        }
    }

    /// A 2xx answer that is not what this API answers.
    pub(crate) fn unreadable(&self) -> Error {
        self.error(ErrorKind::Unexpected, "the answer is not the JSON that was expected")
            .with_hint("is something other than Vault or OpenBao at this address?")
            .with_effect(self.unknown_if_write())
    }

    /// No answer.
    pub(crate) fn unanswered(&self, cause: &(dyn StdError + 'static)) -> Error {
        let transport = find::<reqwest::Error>(cause);
        let connecting = transport.is_some_and(reqwest::Error::is_connect);
        let effect = if connecting { Effect::NotApplied } else { self.unknown_if_write() };
        if let Some(tls) = find::<rustls::Error>(cause) {
            return self.tls(tls);
        }
        if find::<std::io::Error>(cause).is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
        {
            return self
                .error(ErrorKind::Unavailable, "connection refused")
                .with_hint("is the server running, and the port right?");
        }
        if connecting && chain_says(cause, "dns error") {
            return self
                .error(ErrorKind::Unavailable, "the host name is not known")
                .with_hint("check the host in `address`");
        }
        let found = match transport {
            Some(error) if error.is_timeout() && connecting => "no connection in time",
            Some(error) if error.is_timeout() => "no answer in time",
            _ if connecting => "no connection",
            _ => "the connection broke off",
        };
        self.error(ErrorKind::Unavailable, found).with_effect(effect)
    }

    fn tls(&self, cause: &rustls::Error) -> Error {
        use rustls::{CertificateError as Certificate, Error as Tls};
        let (found, hint) = match cause {
            Tls::InvalidCertificate(Certificate::UnknownIssuer) => (
                "its certificate is from an unknown authority",
                "set `ca` to the PEM file of the authority that issued it",
            ),
            Tls::InvalidCertificate(
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
            ) => (
                "its certificate is for another name",
                "use a name in `address` that the certificate carries",
            ),
            Tls::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
                ("its certificate has expired", "renew it at the server, and check this machine's clock")
            }
            Tls::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
                ("its certificate is not valid yet", "check this machine's clock")
            }
            Tls::InvalidCertificate(_) => {
                ("its certificate was not accepted", "check the certificate and `ca`")
            }
            Tls::InvalidMessage(_) => {
                ("it does not answer in TLS", "if it speaks plain HTTP, write http:// in `address`")
            }
            _ => ("the TLS handshake failed", "check the server's TLS settings"),
        };
        // Waiting mends none of these.
        self.error(ErrorKind::Unavailable, found).with_hint(hint).with_retry(Retry::Permanent)
    }

    /// An error of vaultrs. Its texts may quote the server, so only its shape is used.
    pub(crate) fn typed_failed(&self, cause: &ClientError) -> Error {
        match cause {
            ClientError::APIError { code, errors } => self.refused(*code, errors, None),
            ClientError::RestClientError { source } if find::<reqwest::Error>(source).is_some() => {
                self.unanswered(source)
            }
            _ => self.unreadable(),
        }
    }
}

/// The first error of this type in the chain. `io::Error` hides what it wraps from `source`, so it is opened here.
fn find<'a, T: StdError + 'static>(cause: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(cause);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(found) = find::<T>(inner)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn chain_says(cause: &(dyn StdError + 'static), text: &str) -> bool {
    std::iter::successors(Some(cause), |error: &&(dyn StdError + 'static)| (*error).source())
        .any(|error| error.to_string().contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: Call<'static> =
        Call { operation: "write", what: "POST secret/data/app", address: "https://v:8200", writes: true };

    #[test]
    fn a_sealed_server_has_applied_nothing_and_a_broken_proxy_may_have() {
        let sealed = WRITE.refused(503, &["Vault is sealed".to_owned()], None);
        assert_eq!((sealed.kind(), sealed.effect()), (ErrorKind::Unavailable, Effect::NotApplied));
        let proxy = WRITE.refused(502, &[], None);
        assert_eq!((proxy.kind(), proxy.effect()), (ErrorKind::Unavailable, Effect::Unknown));
        assert_eq!(WRITE.refused(500, &[], None).effect(), Effect::Unknown);
    }

    #[test]
    fn a_lost_race_is_a_conflict_and_other_refusals_are_not() {
        let lost = WRITE.refused(
            400,
            &["check-and-set parameter did not match the current version".to_owned()],
            None,
        );
        assert_eq!(lost.kind(), ErrorKind::Conflict);
        let required =
            WRITE.refused(400, &["check-and-set parameter required for this call".to_owned()], None);
        assert_eq!(required.kind(), ErrorKind::Invalid);
    }

    #[test]
    fn the_servers_words_are_not_repeated() {
        for status in [302, 400, 401, 403, 404, 405, 412, 429, 500, 501, 502, 503] {
            let error = WRITE.refused(status, &["canary-7f".to_owned()], Some(Duration::from_secs(3)));
            assert!(!format!("{error:?} {error} {:?}", error.hint()).contains("canary"), "{status}");
        }
        let limited = WRITE.refused(429, &[], Some(Duration::from_secs(3)));
        assert_eq!(
            (limited.kind(), limited.retry_after()),
            (ErrorKind::RateLimited, Some(Duration::from_secs(3)))
        );
    }

    #[test]
    fn certificate_troubles_are_told_apart_through_io_errors() {
        let wrapped = |certificate| std::io::Error::other(rustls::Error::InvalidCertificate(certificate));
        let unknown = WRITE.unanswered(&wrapped(rustls::CertificateError::UnknownIssuer));
        assert!(unknown.message().contains("unknown authority"), "{unknown}");
        let name = WRITE.unanswered(&wrapped(rustls::CertificateError::NotValidForName));
        assert!(name.message().contains("another name"), "{name}");
        assert_eq!(name.effect(), Effect::NotApplied);
    }
}
