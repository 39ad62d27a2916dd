//! Leaks that others report by a request: a signature is checked before a byte of the body is believed.
//!
//! Pure: bytes, headers, keys and the time come in, leaked values come out. Whoever listens mounts them, keeps the keys, and remembers the
//! [`Delivery`]'s id for as long as it says, so that none is acted on twice: that wants a database, and is not done here.

mod github;
mod signed;

use std::fmt;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

pub use self::{
    github::{GithubKey, GithubKeys, receive as receive_github},
    signed::{WINDOW, receive as receive_signed, sign},
};
use crate::leak::{LeakError, Leaks};

/// A request as it came in.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Names and values of its headers.
    pub headers: &'a [(String, String)],
    /// The body, byte for byte.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The header of this name, which must be there once: of two, another program may look at the other.
    fn header(&self, name: &str) -> Result<&'a str, Refused> {
        let mut found = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value.trim()),
            (None, _) => Err(Refused::NoSignature),
            _ => Err(Refused::TwoSignatures),
        }
    }
}

/// A request that was taken.
pub struct Delivery {
    /// Its id: the same for the same request.
    pub id: DeliveryId,
    /// Until when the id must be remembered; `None`: for good, as nothing in the request tells its age.
    pub remember_until: Option<DateTime<Utc>>,
    /// The values.
    pub leaks: Leaks,
}

/// SHA-256 over what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub [u8; 32]);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl DeliveryId {
    fn of(kind: &str, signed: &[u8]) -> Self {
        let mut sha = Sha256::new();
        sha.update(kind.as_bytes());
        sha.update(b"\0");
        sha.update(signed);
        Self(sha.finalize().into())
    }
}

/// Why a request is not taken. Says nothing that helps to guess a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A header is missing.
    #[error("it is not signed")]
    NoSignature,
    /// A header is there twice.
    #[error("it is signed twice")]
    TwoSignatures,
    /// The key that it names is not known.
    #[error("it is signed with a key that is not known: fetch the sender's keys again")]
    UnknownKey,
    /// The signature does not fit.
    #[error("its signature does not fit")]
    Forged,
    /// It is too old, or of the future.
    #[error("it is not of this time")]
    Stale,
    /// The body cannot be read.
    #[error("its body cannot be read: {0}")]
    Body(#[from] LeakError),
}
