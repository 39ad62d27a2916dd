//! Local tokens of the API: made on the machine, shown once, and kept as a hash.
//!
//! `clv_`, 16 hex digits that name it, `_`, and 64 hex digits that are 256 random bits. The name finds its row; the hash of the whole is then
//! compared in constant time, so that neither a guess nor the time of an answer tells anything.

use claviger_core::{random::Random, secret::SecretValue};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What every token begins with, so that scanners of secrets know it.
pub const PREFIX: &str = "clv_";
/// Hex digits of the name and of the secret.
const LENGTHS: (usize, usize) = (16, 64);

/// A new token: its public name, its whole text, and the hash that is kept.
pub struct Fresh {
    /// The name within it.
    pub handle: String,
    /// The token. Shown once.
    pub text: SecretValue,
    /// What is kept.
    pub hash: [u8; 32],
}

/// Makes one.
pub fn generate(random: &dyn Random) -> Fresh {
    let (mut name, mut secret) = ([0; 8], [0; 32]);
    random.fill(&mut name);
    random.fill(&mut secret);
    let handle = hex::encode(name);
    let text = format!("{PREFIX}{handle}_{}", hex::encode(secret));
    let hash = hash(&text);
    Fresh { handle, text: SecretValue::from_text(text), hash }
}

/// The name within a token; `None`: it is none of ours.
pub fn handle(token: &str) -> Option<&str> {
    let (handle, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    (is_hex(handle, LENGTHS.0) && is_hex(secret, LENGTHS.1)).then_some(handle)
}

/// What is kept of a token.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Is this the token of which that was kept? Takes the same time whatever the answer is.
pub fn fits(token: &str, kept: &[u8]) -> bool {
    hash(token).ct_eq(kept).into()
}

#[cfg(test)]
mod tests {
    use claviger_core::random::SeededRandom;

    use super::*;

    #[test]
    fn a_token_is_known_by_its_whole_and_by_nothing_less() {
        let fresh = generate(&SeededRandom::new(1));
        let text = fresh.text.expose_text().expect("text").to_owned();
        assert_eq!(text.len(), 4 + 16 + 1 + 64);
        assert_eq!(handle(&text), Some(fresh.handle.as_str()));
        assert!(fits(&text, &fresh.hash));
        for at in PREFIX.len()..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            let other = String::from_utf8(other).expect("text");
            assert!(!fits(&other, &fresh.hash), "character {at}");
        }
        assert!(!fits(&text, &[]) && !fits(&text, &fresh.hash[..31]) && !fits("", &fresh.hash));
        let other = generate(&SeededRandom::new(2));
        assert!(other.handle != fresh.handle && other.hash != fresh.hash);
    }

    #[test]
    fn what_is_no_token_has_no_name() {
        for text in ["", "clv_", "clv_0011223344556677_", "Bearer x", "clv_zz11223344556677_00"] {
            assert_eq!(handle(text), None, "{text}");
        }
    }
}
