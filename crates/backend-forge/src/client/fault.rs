//! From answers and failures to the contract's errors. What a server wrote is read to tell cases apart, and never repeated.

use std::{error::Error as StdError, time::Duration};

use claviger_backend::{Effect, Error, ErrorKind, Retry};

/// What was being done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The contract's operation, e.g. `inventory`.
    pub(crate) operation: &'static str,
    /// What at the server, e.g. `GET repos/acme/shop/keys`. No secret.
    pub(crate) what: &'a str,
    /// The server's address.
    pub(crate) address: &'a str,
    /// Whether it may change the server.
    pub(crate) writes: bool,
}

impl Call<'_> {
    pub(crate) fn error(&self, kind: ErrorKind, found: &str) -> Error {
        Error::new(kind, self.operation, format!("{} at {}: {found}", self.what, self.address))
    }

    fn effect(&self) -> Effect {
        if self.writes { Effect::Unknown } else { Effect::NotApplied }
    }

    /// An answer with another status than 2xx.
    pub(crate) fn refused(&self, status: u16, retry_after: Option<Duration>) -> Error {
        let text = format!("HTTP {status}");
        match status {
            300..=399 => self
                .error(ErrorKind::Unavailable, &format!("{text}, a redirect, which is not followed"))
                .with_retry(Retry::Permanent)
                .with_hint("set `url` to where the server itself answers"),
            400 | 422 => {
                self.error(ErrorKind::Invalid, &format!("{text}, refused as malformed or against its rules"))
            }
            401 => self
                .error(ErrorKind::Unauthenticated, &format!("{text}, our credential was not accepted"))
                .with_hint("is the token or the password still valid?"),
            // A refusal that says when to come again is none of our rights.
            403 if retry_after.is_some() => {
                let error = self.error(ErrorKind::RateLimited, &format!("{text}, too many requests"));
                retry_after.into_iter().fold(error, Error::with_retry_after)
            }
            403 => self.error(ErrorKind::Denied, &format!("{text}, not allowed to us")),
            404 => self.error(ErrorKind::NotFound, &format!("{text}, not there, or not shown to us")),
            405 | 501 => self.error(ErrorKind::Unsupported, &format!("{text}, not supported there")),
            409 => self.error(ErrorKind::Conflict, &text),
            429 => {
                let error = self.error(ErrorKind::RateLimited, &format!("{text}, too many requests"));
                retry_after.into_iter().fold(error, Error::with_retry_after)
            }
            502..=504 => {
                let error =
                    self.error(ErrorKind::Unavailable, &format!("{text}, the server does not answer"));
                retry_after.into_iter().fold(error, Error::with_retry_after).with_effect(self.effect())
            }
            _ => self.error(ErrorKind::Unexpected, &text).with_effect(self.effect()),
        }
    }

    /// A 2xx answer that is not what this API answers.
    pub(crate) fn unreadable(&self) -> Error {
        self.error(ErrorKind::Unexpected, "the answer is not the JSON that was expected")
            .with_hint("is something else at this address?")
            .with_effect(self.effect())
    }

    /// No answer.
    pub(crate) fn unanswered(&self, cause: &reqwest::Error) -> Error {
        let connecting = cause.is_connect();
        let effect = if connecting { Effect::NotApplied } else { self.effect() };
        if let Some(found) = find::<rustls::Error>(cause) {
            let unknown =
                matches!(found, rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer));
            let error = if unknown {
                self.error(ErrorKind::Unavailable, "its certificate is from an unknown authority")
                    .with_hint("set `ca` to the PEM file of the authority that issued it")
            } else {
                self.error(ErrorKind::Unavailable, "the TLS handshake failed")
                    .with_hint("check the server's certificate, and this machine's clock")
            };
            // Waiting mends neither.
            return error.with_retry(Retry::Permanent);
        }
        let refused = find::<std::io::Error>(cause)
            .is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
        let found = match (connecting, cause.is_timeout()) {
            _ if refused => "connection refused",
            (true, true) => "no connection in time",
            (true, false) => "no connection",
            (false, true) => "no answer in time",
            (false, false) => "the connection broke off",
        };
        self.error(ErrorKind::Unavailable, found).with_effect(effect)
    }
}

/// The first error of this type in the chain. `io::Error` hides what it wraps from `source`, so it is opened here.
fn find<'a, T: StdError + 'static>(cause: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(cause);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| find::<T>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: Call<'static> = Call {
        operation: "post",
        what: "PUT repos/acme/shop/actions/secrets/X",
        address: "https://forge.example",
        writes: true,
    };

    #[test]
    fn only_what_was_refused_has_certainly_no_effect() {
        for (status, kind, effect) in [
            (400, ErrorKind::Invalid, Effect::NotApplied),
            (401, ErrorKind::Unauthenticated, Effect::NotApplied),
            (403, ErrorKind::Denied, Effect::NotApplied),
            (404, ErrorKind::NotFound, Effect::NotApplied),
            (429, ErrorKind::RateLimited, Effect::NotApplied),
            (500, ErrorKind::Unexpected, Effect::Unknown),
            (502, ErrorKind::Unavailable, Effect::Unknown),
        ] {
            let error = WRITE.refused(status, None);
            assert_eq!((error.kind(), error.effect()), (kind, effect), "{status}");
        }
    }

    #[test]
    fn the_time_that_the_server_asks_for_is_kept() {
        let wait = Some(Duration::from_secs(7));
        for status in [403, 429, 503] {
            let error = WRITE.refused(status, wait);
            assert_eq!((error.retry_after(), error.retry()), (wait, Retry::Temporary), "{status}");
        }
        assert_eq!(WRITE.refused(403, wait).kind(), ErrorKind::RateLimited);
    }
}
