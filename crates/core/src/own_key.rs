//! The installation's own keys as the database knows them: kind, epoch and id, never a byte of them.
//!
//! Keys lie in files outside the database; which of the files is in force the database says. So a key is rotated by one commit, whatever happens to
//! the files' names before or after it, and a file that holds another key is recognised before it is used.

mod backup;
mod recipient;
mod succession;

use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize, Serializer};
use sha2::Sha256;

pub use self::{
    backup::{Backup, BackupError, Opener},
    recipient::{Identity, Recipient, RecipientError},
    succession::{Succession, trusts},
};
use crate::signing::PublicKey;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// Makes fingerprints.
    Fingerprint,
    /// Seals values of rotations under way.
    Sealing,
    /// Signs heads of the audit log.
    Signing,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fingerprint, Self::Sealing, Self::Signing];

    /// The word that is stored, and that its file begins with.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fingerprint => "fingerprint",
            Self::Sealing => "sealing",
            Self::Signing => "signing",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// By what a key is known: the first 8 bytes of HMAC-SHA-256(key, "claviger-key-id/v1" ‖ 0 ‖ kind). Says nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    /// The id of a key's 32 bytes.
    pub fn of(kind: KeyKind, bytes: &[u8; 32]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(bytes).expect("HMAC takes a key of any length");
        mac.update(b"claviger-key-id/v1\0");
        mac.update(kind.as_str().as_bytes());
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        Self(*digest.first_chunk().expect("a digest has 32 bytes"))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// In force.
    Current,
    /// Replaced, and kept as long as something of it is left.
    Former,
    /// Lost: nobody has it any more, as an operator said.
    Lost,
    /// Taken away, as nothing of it was left.
    Dropped,
}

impl KeyState {
    /// The word that is stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Former => "former",
            Self::Lost => "lost",
            Self::Dropped => "dropped",
        }
    }
}

/// A key as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnKey {
    /// What it is for.
    pub kind: KeyKind,
    /// Which one of its kind, from 1.
    pub epoch: u32,
    /// Its id.
    pub id: KeyId,
    /// Where it is.
    pub state: KeyState,
    /// Since when it is known.
    pub since: DateTime<Utc>,
    /// When it was replaced.
    pub until: Option<DateTime<Utc>>,
    /// The public half of a signing key.
    pub public: Option<PublicKey>,
    /// What is left of it: fingerprints, or sealed values. A signing key leaves nothing that would want it.
    pub left: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_keys_and_kinds_apart_and_is_not_the_key() {
        let (one, other) = ([7; 32], [8; 32]);
        let id = KeyId::of(KeyKind::Sealing, &one);
        assert_eq!(id, KeyId::of(KeyKind::Sealing, &one));
        assert_ne!(id, KeyId::of(KeyKind::Sealing, &other));
        assert_ne!(id, KeyId::of(KeyKind::Fingerprint, &one));
        assert_ne!(id.0, one[..8]);
        for kind in KeyKind::ALL {
            assert_eq!(KeyKind::parse(kind.as_str()), Some(kind));
        }
    }
}
