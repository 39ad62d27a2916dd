//! When the kubeconfig's own credential ends, read out of it: the API server's 401 does not say.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use kube::config::AuthInfo;
use secrecy::ExposeSecret as _;

use crate::token;

/// An end that our own credential states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expiry {
    what: &'static str,
    at: DateTime<Utc>,
}

impl Expiry {
    pub(crate) fn of(auth: &AuthInfo) -> Option<Self> {
        if let Some(token) = &auth.token {
            let claims = token::claims(token.expose_secret().as_bytes())?;
            let at = DateTime::from_timestamp(claims.exp?, 0)?;
            return Some(Self { what: "token", at });
        }
        let pem = match (&auth.client_certificate_data, &auth.client_certificate) {
            (Some(data), _) => STANDARD.decode(data.trim_ascii()).ok()?,
            (None, Some(path)) => std::fs::read(path).ok()?,
            (None, None) => return None,
        };
        let (_, block) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
        let certificate = block.parse_x509().ok()?;
        let at = DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)?;
        Some(Self { what: "client certificate", at })
    }

    /// What to tell somebody whose credential was not accepted at `now`.
    pub(crate) fn hint(&self, now: DateTime<Utc>) -> Option<String> {
        (self.at <= now).then(|| {
            format!(
                "the kubeconfig's {} expired at {}: get a new one",
                self.what,
                self.at.format("%Y-%m-%dT%H:%M:%SZ")
            )
        })
    }
}
