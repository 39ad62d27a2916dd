//! Who may read a backup of keys without having made it: a sealed box to an X25519 key (libsodium's `crypto_box_seal`).

use std::fmt;

use crypto_box::{
    PublicKey, SecretKey,
    aead::rand_core::{self, CryptoRng, RngCore},
};

use crate::{random::Random, secret::SecretValue};

const PUBLIC: &str = "x25519:";
const PRIVATE: &str = "x25519-private:";

/// The text is no key of a recipient. Nothing of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no key of a recipient: `{0}` and 64 hex digits are wanted")]
pub struct RecipientError(&'static str);

/// The public half: whoever has it can write for its owner, and read nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient(PublicKey);

impl Recipient {
    /// Reads `x25519:` and 64 hex digits.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        let bytes = text.trim().strip_prefix(PUBLIC).and_then(bytes);
        bytes.map(|bytes| Self(PublicKey::from_bytes(bytes))).ok_or(RecipientError(PUBLIC))
    }

    /// Bytes that only the owner of the private half opens. That they are from anybody in particular they do not say.
    ///
    /// # Errors
    /// Never for what fits into memory.
    pub(super) fn seal(&self, plain: &[u8], random: &dyn Random) -> Option<Vec<u8>> {
        self.0.seal(&mut Ours(random), plain).ok()
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", hex::encode(self.0.as_bytes()))
    }
}

/// The private half.
pub struct Identity(SecretKey);

impl Identity {
    /// A new one.
    pub fn generate(random: &dyn Random) -> Self {
        Self(SecretKey::generate(&mut Ours(random)))
    }

    /// Reads `x25519-private:` and 64 hex digits.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &SecretValue) -> Result<Self, RecipientError> {
        let bytes = text.expose_text().and_then(|text| text.trim().strip_prefix(PRIVATE)).and_then(bytes);
        bytes.map(|bytes| Self(SecretKey::from_bytes(bytes))).ok_or(RecipientError(PRIVATE))
    }

    /// As it is kept in a file.
    pub fn text(&self) -> SecretValue {
        SecretValue::from_text(format!("{PRIVATE}{}\n", hex::encode(self.0.to_bytes())))
    }

    /// The public half.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.public_key())
    }

    pub(super) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.unseal(sealed).ok()
    }
}

fn bytes(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).ok().map(|()| bytes)
}

/// Our randomness, as that library takes it.
struct Ours<'r>(&'r dyn Random);

impl CryptoRng for Ours<'_> {}

impl RngCore for Ours<'_> {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, buffer: &mut [u8]) {
        self.0.fill(buffer);
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.fill(buffer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn the_halves_are_read_back_and_not_taken_for_each_other() {
        let identity = Identity::generate(&SeededRandom::new(4));
        let public = identity.recipient().to_string();
        assert_eq!(Recipient::parse(&format!(" {public}\n")), Ok(identity.recipient()));
        let read = Identity::parse(&identity.text()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.recipient(), identity.recipient());
        for wrong in ["", "x25519:", "x25519:00", &public[7..], &format!("{public}00")] {
            assert!(Recipient::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Recipient::parse(identity.text().expose_text().unwrap_or_default()).is_err());
        let error = Identity::parse(&SecretValue::from_text(public)).err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("it is no key of a recipient: `x25519-private:` and 64 hex digits are wanted")
        );
    }
}
