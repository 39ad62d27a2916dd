//! Ed25519 signatures (RFC 8032): what the installation says to people who do not have its database, and what people say to it.
//!
//! A key is written `ed25519:` and 44 letters of base64, a private one `ed25519-private:` and as many. What is signed is never a bare text: it
//! begins with the name of what it is, and its fields stand behind their lengths ([`Statement`]), so that no signature fits two things.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{random::Random, secret::SecretValue};

const PUBLIC: &str = "ed25519:";
const PRIVATE: &str = "ed25519-private:";

/// A text that is no key. Says nothing of the text, which may be a private one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not written as one.
    #[error("a public key is written `ed25519:` and 44 letters of base64")]
    NotPublic,
    /// It is not written as one.
    #[error("a private key is written `ed25519-private:` and 44 letters of base64")]
    NotPrivate,
    /// Everybody could sign for it.
    #[error("it is no point of the curve, or one for which everybody could sign")]
    Weak,
}

/// Who signs, as others know them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads `ed25519:…`.
    ///
    /// # Errors
    /// It is written otherwise, or is no key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text.trim(), PUBLIC).ok_or(KeyError::NotPublic)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Weak)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(bytes)) }
    }

    /// Did this key sign this statement? Signatures that other programs may take for equal are refused (`verify_strict`).
    pub fn verify(&self, statement: &Statement, signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(&statement.digest(), &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A signature, written as 128 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Parses 128 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 64];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?)
            .ok_or_else(|| de::Error::custom("a signature is 128 hex digits"))
    }
}

/// A key that signs. Like any secret it is neither printed nor copied.
pub struct PrivateKey(ed25519_dalek::SigningKey);

impl PrivateKey {
    /// Takes 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self(ed25519_dalek::SigningKey::from_bytes(&bytes))
    }

    /// Makes one.
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut_slice());
        Self(ed25519_dalek::SigningKey::from_bytes(&bytes))
    }

    /// Reads `ed25519-private:…`.
    ///
    /// # Errors
    /// It is written otherwise.
    pub fn parse(text: &SecretValue) -> Result<Self, KeyError> {
        let text = text.expose_text().ok_or(KeyError::NotPrivate)?;
        decode(text.trim(), PRIVATE).map(Self::new).ok_or(KeyError::NotPrivate)
    }

    /// As it is written into its owner's file.
    pub fn to_text(&self) -> SecretValue {
        let encoded = Zeroizing::new(STANDARD.encode(self.0.as_bytes()));
        SecretValue::from_text(format!("{PRIVATE}{}", encoded.as_str()))
    }

    /// What others know it by.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs.
    pub fn sign(&self, statement: &Statement) -> Signature {
        Signature(self.0.sign(&statement.digest()).to_bytes())
    }
}

fn decode(text: &str, prefix: &str) -> Option<[u8; 32]> {
    let bytes = Zeroizing::new(STANDARD.decode(text.strip_prefix(prefix)?).ok()?);
    bytes.as_slice().try_into().ok()
}

/// What is signed: the name of what it is, and fields behind their lengths.
pub struct Statement(Sha256);

impl Statement {
    /// A statement of this kind, e.g. `claviger-approval/v1`.
    pub fn new(kind: &str) -> Self {
        let mut sha = Sha256::new();
        sha.update(kind.as_bytes());
        sha.update(b"\0");
        Self(sha)
    }

    /// One field more.
    #[must_use]
    pub fn field(mut self, field: impl AsRef<[u8]>) -> Self {
        let field = field.as_ref();
        self.0.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(field);
        self
    }

    fn digest(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    fn statement(text: &str) -> Statement {
        Statement::new("test/v1").field("a").field(text)
    }

    #[test]
    fn a_signature_fits_its_statement_and_its_key_alone() {
        let random = SeededRandom::new(5);
        let (key, other) = (PrivateKey::generate(&random), PrivateKey::generate(&random));
        let signature = key.sign(&statement("b"));
        assert!(key.public().verify(&statement("b"), &signature));
        assert!(!key.public().verify(&statement("c"), &signature));
        assert!(!other.public().verify(&statement("b"), &signature));
        // Other kind, and the same bytes cut otherwise into fields.
        assert!(!key.public().verify(&Statement::new("test/v2").field("a").field("b"), &signature));
        assert!(!key.public().verify(&Statement::new("test/v1").field("ab"), &signature));
        for at in 0..64 {
            let mut damaged = signature;
            damaged.0[at] ^= 1;
            assert!(!key.public().verify(&statement("b"), &damaged), "{at}");
        }
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let key = PrivateKey::generate(&SeededRandom::new(6));
        let again = PrivateKey::parse(&key.to_text()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.public(), key.public());
        let public = key.public().to_string();
        assert_eq!(PublicKey::parse(&format!(" {public}\n")), Ok(key.public()));
        for bad in [
            "",
            "ed25519:",
            &public[..public.len() - 1],
            &public.replace("ed25519", "rsa"),
            &format!("{public}AA"),
        ] {
            assert!(PublicKey::parse(bad).is_err(), "{bad}");
        }
        // The neutral point: any signature could be made to fit.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(PublicKey::parse(&format!("ed25519:{}", STANDARD.encode(neutral))), Err(KeyError::Weak));
        assert!(PrivateKey::parse(&SecretValue::from_text(public)).is_err());
    }
}
