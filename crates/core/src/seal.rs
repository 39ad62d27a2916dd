//! Sealing: a secret on disk, bound to what it belongs to.
//!
//! XChaCha20-Poly1305 with a random 192-bit nonce; the associated data is saga ‖ credential ‖ slot, so that a sealed value cannot be moved to
//! another row. Layout of a sealed value: version byte 1, nonce (24), ciphertext with tag. Shredding deletes the row: the key of one
//! saga's values is derived from the sealing key and the saga's random salt (HMAC-SHA-256), which is deleted with them.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    id::{CredentialId, SagaId},
    random::Random,
    secret::SecretValue,
};

const VERSION: u8 = 1;
const NONCE: usize = 24;

/// Which of a saga's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The value before.
    Old,
    /// The value after. Generations count refused ones, from 0.
    New(u32),
    /// What copies held that were not in step: the value before the one before, which an unfinished rotation left there.
    Stale,
    /// What the issuer needs to bring the former value back.
    Restore,
}

impl Slot {
    /// The word that is stored.
    pub fn word(self) -> String {
        match self {
            Self::Old => "old".to_owned(),
            Self::New(generation) => format!("new:{generation}"),
            Self::Stale => "stale".to_owned(),
            Self::Restore => "restore".to_owned(),
        }
    }
}

/// A sealed value cannot be opened: wrong key, another row's bytes, or damage. Nothing more is said on purpose.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value cannot be opened with this installation's sealing key")]
pub struct SealError;

/// The sealing key of one installation.
pub struct SealingKey(Zeroizing<[u8; 32]>);

/// The salt of one saga's sealed values. Deleting it makes them unreadable, backups of other tables included.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SagaSalt(pub [u8; 32]);

impl SagaSalt {
    /// A new salt.
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = [0_u8; 32];
        random.fill(&mut bytes);
        Self(bytes)
    }
}

impl SealingKey {
    /// Takes 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Seals `value` for one slot of one saga.
    ///
    /// # Errors
    /// Never for values below 256 GiB.
    pub fn seal(
        &self,
        frame: &Frame<'_>,
        value: &SecretValue,
        random: &dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; NONCE];
        random.fill(&mut nonce);
        let aad = frame.aad();
        let text = self
            .cipher(frame)
            .encrypt(&XNonce::from(nonce), Payload { msg: value.expose(), aad: &aad })
            .map_err(|_| SealError)?;
        let mut sealed = Vec::with_capacity(1 + NONCE + text.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// Opens what [`SealingKey::seal`] made for the same frame.
    ///
    /// # Errors
    /// Any other bytes, frame or key.
    pub fn open(&self, frame: &Frame<'_>, sealed: &[u8]) -> Result<SecretValue, SealError> {
        let (version, rest) = sealed.split_first().ok_or(SealError)?;
        if *version != VERSION || rest.len() < NONCE {
            return Err(SealError);
        }
        let (nonce, text) = rest.split_at(NONCE);
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| SealError)?;
        let aad = frame.aad();
        let bytes = self
            .cipher(frame)
            .decrypt(&XNonce::from(nonce), Payload { msg: text, aad: &aad })
            .map_err(|_| SealError)?;
        Ok(SecretValue::new(bytes))
    }

    fn cipher(&self, frame: &Frame<'_>) -> XChaCha20Poly1305 {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.0.as_slice())
            .expect("HMAC takes a key of any length");
        mac.update(b"claviger-seal/v1\0");
        mac.update(&frame.salt.0);
        let key = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        XChaCha20Poly1305::new_from_slice(key.as_slice()).expect("the key has 32 bytes")
    }
}

/// What a sealed value belongs to.
pub struct Frame<'a> {
    /// The saga.
    pub saga: SagaId,
    /// The credential.
    pub credential: CredentialId,
    /// The slot.
    pub slot: Slot,
    /// The saga's salt.
    pub salt: &'a SagaSalt,
}

impl Frame<'_> {
    fn aad(&self) -> Vec<u8> {
        let mut aad = Vec::with_capacity(64);
        aad.extend_from_slice(self.saga.0.as_bytes());
        aad.extend_from_slice(self.credential.0.as_bytes());
        aad.extend_from_slice(self.slot.word().as_bytes());
        aad
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_sealed_value_opens_only_in_its_own_row_and_unchanged() {
        let random = SeededRandom::new(1);
        let key = SealingKey::new([7; 32]);
        let salt = SagaSalt::generate(&random);
        let frame = |slot| Frame {
            saga: SagaId(Uuid::from_u128(1)),
            credential: CredentialId(Uuid::from_u128(2)),
            slot,
            salt: &salt,
        };
        let sealed =
            key.seal(&frame(Slot::Old), &SecretValue::from_text("hunter2".into()), &random).expect("sealed");
        let opened = key.open(&frame(Slot::Old), &sealed).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(opened.expose(), b"hunter2");
        assert!(key.open(&frame(Slot::New(0)), &sealed).is_err(), "another slot");
        assert!(SealingKey::new([8; 32]).open(&frame(Slot::Old), &sealed).is_err(), "another key");
        let other = SagaSalt([0; 32]);
        let moved = Frame { salt: &other, ..frame(Slot::Old) };
        assert!(key.open(&moved, &sealed).is_err(), "another salt");
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert!(key.open(&frame(Slot::Old), &damaged).is_err(), "flip at {index}");
            assert!(key.open(&frame(Slot::Old), &sealed[..index]).is_err(), "cut at {index}");
        }
    }
}
