//! Keyed fingerprints: how two copies are known to be equal although neither value is kept.
//!
//! `HMAC-SHA-256(key, "claviger-fp/v1" ‖ 0 ‖ form ‖ 0 ‖ canonical value)`. The key lies outside the database, so a stolen database lets
//! nobody guess. The form is how the value was canonicalised, never what we believe it to be: a password in an opaque Secret and in a URL must match.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::SecretValue;

/// Canonical form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The bytes of the value itself.
    Text,
    /// The DER SubjectPublicKeyInfo of a key pair: certificate, private key and public key match.
    Spki,
}

impl Form {
    /// The word in the MAC's input and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Spki => "spki",
        }
    }
}

/// A fingerprint: 32 bytes, printed as 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Parses 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0_u8; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The fingerprint key of one installation, and those of former epochs, under which fingerprints may still be kept.
pub struct FingerprintKey {
    key: Zeroizing<[u8; 32]>,
    former: Vec<FingerprintKey>,
}

impl FingerprintKey {
    /// Takes 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self { key: Zeroizing::new(bytes), former: Vec::new() }
    }

    /// The same, with the keys of former epochs, oldest first.
    #[must_use]
    pub fn with_former(self, former: Vec<Self>) -> Self {
        Self { former, ..self }
    }

    /// The keys of former epochs, oldest first. New fingerprints are never made with them: they only find old ones.
    pub fn former(&self) -> &[Self] {
        &self.former
    }

    /// The oldest key that is kept, by itself: for digests that should outlive a rotation.
    pub fn oldest(&self) -> Self {
        Self { key: self.former.first().unwrap_or(self).key.clone(), former: Vec::new() }
    }

    /// Each fingerprint that a value may be known by: today's first, then those of former epochs.
    pub fn every(&self, form: Form, canonical: &SecretValue) -> Vec<Fingerprint> {
        std::iter::once(self).chain(&self.former).map(|key| key.fingerprint(form, canonical)).collect()
    }

    /// The fingerprint of a canonical value.
    pub fn fingerprint(&self, form: Form, canonical: &SecretValue) -> Fingerprint {
        self.keyed(form.as_str(), canonical.expose())
    }

    /// A keyed digest in another domain, e.g. for the link cache's verifiers. `domain` must not be a form's word.
    pub fn keyed(&self, domain: &str, bytes: &[u8]) -> Fingerprint {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.as_slice()).expect("HMAC takes a key of any length");
        mac.update(b"claviger-fp/v1\0");
        mac.update(domain.as_bytes());
        mac.update(b"\0");
        mac.update(bytes);
        Fingerprint(mac.finalize().into_bytes().into())
    }
}
