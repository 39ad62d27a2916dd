//! Who reports leaks by a request, and how it is known that it was they. No token is wanted: the signature is the authentication.

mod github;

use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    secret::SecretValue,
    webhook::{self, Delivery, Refused, Request},
};

pub use self::github::Keys;

/// Somebody who may report leaks.
pub struct Receiver {
    /// Its name in the address, and in the audit log.
    pub name: String,
    /// How its requests are signed.
    pub signature: Signature,
}

/// How requests are signed.
pub enum Signature {
    /// With a secret that both have: see `claviger_core::webhook`.
    Shared {
        /// Those that may be in use: two while one follows the other.
        secrets: Vec<SecretValue>,
        /// How far a request's time may be from ours, either way.
        window: TimeDelta,
    },
    /// By GitHub's secret scanning, with one of its keys.
    Github(Keys),
}

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Untaken {
    Refused(Refused),
    /// The keys that it would have to be checked with cannot be had.
    Unavailable(String),
}

impl From<Refused> for Untaken {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Receiver {
    /// Checks the signature, then reads the body.
    pub(crate) async fn receive(
        &self,
        request: Request<'_>,
        now: DateTime<Utc>,
    ) -> Result<Delivery, Untaken> {
        match &self.signature {
            Signature::Shared { secrets, window } => {
                let secrets: Vec<&SecretValue> = secrets.iter().collect();
                Ok(webhook::receive_signed(request, &secrets, now, *window)?)
            }
            Signature::Github(keys) => keys.receive(request).await,
        }
    }
}
