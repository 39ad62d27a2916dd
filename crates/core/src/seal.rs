//! Sealing: a secret on disk, bound to what it belongs to.
//!
//! XChaCha20-Poly1305 with a random 192-bit nonce; the associated data is saga ‖ credential ‖ slot, so that a sealed value cannot be moved to
//! another row. Layout of a sealed value: version byte 2, id of the sealing key (8), nonce (24), ciphertext with tag; version 1 has no id, and any key that is
//! left is tried. Shredding deletes the row: the key of one
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
    own_key::{KeyId, KeyKind},
    random::Random,
    secret::SecretValue,
};

/// Names its key.
const VERSION: u8 = 2;
/// Of before there could be several keys.
const NAMELESS: u8 = 1;
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

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "old" => Some(Self::Old),
            "stale" => Some(Self::Stale),
            "restore" => Some(Self::Restore),
            _ => word.strip_prefix("new:")?.parse().ok().map(Self::New),
        }
    }
}

/// A sealed value cannot be opened: wrong key, another row's bytes, or damage. Nothing more is said on purpose.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value cannot be opened with this installation's sealing key")]
pub struct SealError;

/// The sealing key of one installation, and former ones, which only open.
pub struct SealingKey {
    key: Zeroizing<[u8; 32]>,
    id: KeyId,
    former: Vec<SealingKey>,
    lost: Vec<KeyId>,
}

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
        Self {
            id: KeyId::of(KeyKind::Sealing, &bytes),
            key: Zeroizing::new(bytes),
            former: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// The same, knowing of which keys an operator has said that nobody has them any more.
    #[must_use]
    pub fn with_lost(self, lost: Vec<KeyId>) -> Self {
        Self { lost, ..self }
    }

    /// Was it sealed with a key that is lost for good?
    pub fn is_lost(&self, sealed: &[u8]) -> bool {
        match Self::sealed_by(sealed) {
            Some(id) => self.lost.contains(&id),
            None => !self.lost.is_empty(),
        }
    }

    /// The same, with former keys: what was sealed with them can be opened until it is shredded.
    #[must_use]
    pub fn with_former(self, former: Vec<Self>) -> Self {
        Self { former, ..self }
    }

    /// Which key sealed this? `None` for one of before keys were named.
    pub fn sealed_by(sealed: &[u8]) -> Option<KeyId> {
        let (version, rest) = sealed.split_first()?;
        (*version == VERSION).then(|| rest.first_chunk().copied().map(KeyId)).flatten()
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
        let mut sealed = Vec::with_capacity(1 + self.id.0.len() + NONCE + text.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id.0);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// By what this key is known.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// How everything begins that this key has sealed: the version and the key's id.
    pub fn head(&self) -> [u8; 9] {
        let mut head = [VERSION; 9];
        head[1..].copy_from_slice(&self.id.0);
        head
    }

    /// Seals anew, with this key, what a former one has sealed for the same frame.
    ///
    /// # Errors
    /// As [`SealingKey::open`].
    pub fn reseal(
        &self,
        frame: &Frame<'_>,
        sealed: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        self.seal(frame, &self.open(frame, sealed)?, random)
    }

    /// Opens what [`SealingKey::seal`] made for the same frame.
    ///
    /// # Errors
    /// Any other bytes or frame; a key that is not here.
    pub fn open(&self, frame: &Frame<'_>, sealed: &[u8]) -> Result<SecretValue, SealError> {
        let (version, rest) = sealed.split_first().ok_or(SealError)?;
        let mut keys = std::iter::once(self).chain(&self.former);
        match *version {
            VERSION => {
                let (id, rest) = rest.split_first_chunk().ok_or(SealError)?;
                let key = keys.find(|key| key.id == KeyId(*id)).ok_or(SealError)?;
                key.open_with(frame, rest)
            }
            NAMELESS => keys.find_map(|key| key.open_with(frame, rest).ok()).ok_or(SealError),
            _ => Err(SealError),
        }
    }

    fn open_with(&self, frame: &Frame<'_>, rest: &[u8]) -> Result<SecretValue, SealError> {
        let (nonce, text) = rest.split_at_checked(NONCE).ok_or(SealError)?;
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| SealError)?;
        let aad = frame.aad();
        let bytes = self
            .cipher(frame)
            .decrypt(&XNonce::from(nonce), Payload { msg: text, aad: &aad })
            .map_err(|_| SealError)?;
        Ok(SecretValue::new(bytes))
    }

    fn cipher(&self, frame: &Frame<'_>) -> XChaCha20Poly1305 {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.key.as_slice())
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

    #[test]
    fn a_former_key_opens_what_it_sealed_and_seals_nothing_more() {
        let random = SeededRandom::new(2);
        let salt = SagaSalt::generate(&random);
        let frame = || Frame {
            saga: SagaId(Uuid::from_u128(1)),
            credential: CredentialId(Uuid::from_u128(2)),
            slot: Slot::Old,
            salt: &salt,
        };
        let value = SecretValue::from_text("hunter2".into());
        let before = SealingKey::new([7; 32]).seal(&frame(), &value, &random).expect("sealed");
        let key = SealingKey::new([8; 32]).with_former(vec![SealingKey::new([7; 32])]);
        assert_eq!(SealingKey::sealed_by(&before), Some(KeyId::of(KeyKind::Sealing, &[7; 32])));
        assert_eq!(
            key.open(&frame(), &before).unwrap_or_else(|error| panic!("{error}")).expose(),
            b"hunter2"
        );
        let after = key.seal(&frame(), &value, &random).expect("sealed");
        assert_eq!(SealingKey::sealed_by(&after), Some(KeyId::of(KeyKind::Sealing, &[8; 32])));
        assert!(SealingKey::new([7; 32]).open(&frame(), &after).is_err(), "the former key alone");
        // As it was written before keys had names.
        let nameless: Vec<u8> = std::iter::once(1).chain(before[9..].iter().copied()).collect();
        assert_eq!(
            key.open(&frame(), &nameless).unwrap_or_else(|error| panic!("{error}")).expose(),
            b"hunter2"
        );
        assert_eq!(SealingKey::sealed_by(&nameless), None);
        // Sealed anew it wants the former key no more, and is what it was, in its own row alone.
        for sealed in [&before, &nameless] {
            let anew = key.reseal(&frame(), sealed, &random).unwrap_or_else(|error| panic!("{error}"));
            assert!(anew.starts_with(&key.head()) && key.id() == KeyId::of(KeyKind::Sealing, &[8; 32]));
            let alone = SealingKey::new([8; 32]).open(&frame(), &anew);
            assert_eq!(alone.unwrap_or_else(|error| panic!("{error}")).expose(), b"hunter2");
            let other = Frame { slot: Slot::Stale, ..frame() };
            assert!(key.reseal(&other, sealed, &random).is_err(), "another row's");
        }
        for slot in [Slot::Old, Slot::New(0), Slot::New(17), Slot::Stale, Slot::Restore] {
            assert_eq!(Slot::parse(&slot.word()), Some(slot));
        }
        assert_eq!((Slot::parse("new:"), Slot::parse("other")), (None, None));
        assert!(SealingKey::new([9; 32]).open(&frame(), &nameless).is_err());
    }
}
