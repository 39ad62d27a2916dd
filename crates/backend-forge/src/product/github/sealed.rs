//! Values on their way to a secret: sealed for the public key of the place, so that only GitHub opens them (libsodium's `crypto_box_seal`).
//!
//! Source: GitHub, "Encrypting secrets for the REST API".

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_core::{random::Random, secret::SecretValue};
use crypto_box::aead::rand_core::{CryptoRng, Error, RngCore};

use super::wire::PublicKey;

/// Our source of randomness, as the cipher wants it.
struct Rng<'r>(&'r dyn Random);

impl RngCore for Rng<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, buffer: &mut [u8]) {
        self.0.fill(buffer);
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        self.0.fill(buffer);
        Ok(())
    }
}

impl CryptoRng for Rng<'_> {}

/// Base64 of the sealed value. `None` for a key that is none.
pub(super) fn seal(key: &PublicKey, value: &SecretValue, random: &dyn Random) -> Option<String> {
    let bytes = STANDARD.decode(&key.key).ok()?;
    let key = crypto_box::PublicKey::from_slice(&bytes).ok()?;
    Some(STANDARD.encode(key.seal(&mut Rng(random), value.expose()).ok()?))
}

#[cfg(test)]
mod tests {
    use claviger_core::random::{OsRandom, SeededRandom};

    use super::*;

    #[test]
    fn only_whoever_has_the_private_half_opens_it() {
        let mut rng = Rng(&OsRandom);
        let (ours, other) =
            (crypto_box::SecretKey::generate(&mut rng), crypto_box::SecretKey::generate(&mut rng));
        let key = PublicKey { key_id: "1".into(), key: STANDARD.encode(ours.public_key().as_bytes()) };
        let value = SecretValue::from_text("pa55/w0rd-ü".into());
        let sealed = seal(&key, &value, &OsRandom).expect("a key");
        let bytes = STANDARD.decode(&sealed).expect("base64");
        assert_eq!(ours.unseal(&bytes).expect("it opens"), "pa55/w0rd-ü".as_bytes());
        assert!(other.unseal(&bytes).is_err());
        assert_ne!(seal(&key, &value, &OsRandom), Some(sealed), "each box has a key of its own");
        assert_eq!(seal(&key, &value, &SeededRandom::new(1)), seal(&key, &value, &SeededRandom::new(1)));
    }

    #[test]
    fn what_is_no_key_seals_nothing() {
        for key in ["", "no base64!", &STANDARD.encode([1; 31])] {
            let key = PublicKey { key_id: "1".into(), key: key.to_owned() };
            assert_eq!(seal(&key, &SecretValue::from_text("x".into()), &OsRandom), None);
        }
    }
}
