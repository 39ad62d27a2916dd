//! A backup of keys: one text that only a passphrase opens.
//!
//! Two lines. The first says how it was made, as JSON: it is bound as associated data, so that nobody can make it weaker. The second is the base64 of
//! XChaCha20-Poly1305 over the files, as JSON. The key is PBKDF2-HMAC-SHA-256 of the passphrase (RFC 8018; the number of iterations is above what the
//! OWASP Password Storage Cheat Sheet asks for).

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{random::Random, secret::SecretValue};

const FORMAT: &str = "claviger-keys/v1";
const ITERATIONS: u32 = 1_000_000;
/// What a backup may ask for: a changed one must not keep the reader busy for hours.
const MOST_ITERATIONS: u32 = 20_000_000;
/// A shorter passphrase is refused when a backup is made.
const SHORTEST: usize = 12;

/// Why a backup cannot be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// Not what [`Backup::seal`] wrote.
    #[error("it is no backup of keys, or one of a newer program")]
    Format,
    /// Another passphrase, or a changed file. Which of them cannot be known.
    #[error("the passphrase is another one, or the backup was changed")]
    Passphrase,
    /// Anybody could try them all.
    #[error("the passphrase has fewer than 12 characters")]
    Short,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    made_at: DateTime<Utc>,
    kdf: String,
    iterations: u32,
    salt: String,
    nonce: String,
}

/// The files of a `keys` directory, by name.
#[derive(Default)]
pub struct Backup {
    /// Their texts.
    pub files: BTreeMap<String, SecretValue>,
}

impl Backup {
    /// Writes it for one passphrase.
    ///
    /// # Errors
    /// [`BackupError::Short`].
    pub fn seal(
        &self,
        passphrase: &SecretValue,
        at: DateTime<Utc>,
        random: &dyn Random,
    ) -> Result<String, BackupError> {
        let length = passphrase.expose_text().map_or(passphrase.len(), |text| text.chars().count());
        if length < SHORTEST {
            return Err(BackupError::Short);
        }
        let (mut salt, mut nonce) = ([0_u8; 32], [0_u8; 24]);
        random.fill(&mut salt);
        random.fill(&mut nonce);
        let head = Head {
            format: FORMAT.to_owned(),
            made_at: at,
            kdf: "pbkdf2-hmac-sha256".to_owned(),
            iterations: ITERATIONS,
            salt: hex::encode(salt),
            nonce: hex::encode(nonce),
        };
        let head = serde_json::to_string(&head).expect("a head has only text keys");
        let files: BTreeMap<&str, &str> =
            self.files.iter().filter_map(|(name, text)| Some((name.as_str(), text.expose_text()?))).collect();
        let plain = Zeroizing::new(serde_json::to_vec(&files).expect("names are text"));
        let sealed = cipher(passphrase, &salt, ITERATIONS)
            .encrypt(&XNonce::from(nonce), Payload { msg: &plain, aad: head.as_bytes() })
            .map_err(|_| BackupError::Format)?;
        Ok(format!("{head}\n{}\n", STANDARD.encode(sealed)))
    }

    /// Reads what [`Backup::seal`] wrote.
    ///
    /// # Errors
    /// [`BackupError::Format`], [`BackupError::Passphrase`].
    pub fn open(text: &str, passphrase: &SecretValue) -> Result<Self, BackupError> {
        let mut lines = text.lines();
        let (Some(line), Some(body)) = (lines.next(), lines.next()) else { return Err(BackupError::Format) };
        let head: Head = serde_json::from_str(line).map_err(|_| BackupError::Format)?;
        let is_known = head.format == FORMAT
            && head.kdf == "pbkdf2-hmac-sha256"
            && (1..=MOST_ITERATIONS).contains(&head.iterations);
        let (mut salt, mut nonce) = ([0_u8; 32], [0_u8; 24]);
        if !is_known
            || hex::decode_to_slice(&head.salt, &mut salt).is_err()
            || hex::decode_to_slice(&head.nonce, &mut nonce).is_err()
        {
            return Err(BackupError::Format);
        }
        let sealed = STANDARD.decode(body.trim()).map_err(|_| BackupError::Format)?;
        let plain = cipher(passphrase, &salt, head.iterations)
            .decrypt(&XNonce::from(nonce), Payload { msg: &sealed, aad: line.as_bytes() })
            .map_err(|_| BackupError::Passphrase)?;
        let plain = Zeroizing::new(plain);
        let files: BTreeMap<String, String> =
            serde_json::from_slice(&plain).map_err(|_| BackupError::Format)?;
        Ok(Self {
            files: files.into_iter().map(|(name, text)| (name, SecretValue::from_text(text))).collect(),
        })
    }
}

fn cipher(passphrase: &SecretValue, salt: &[u8; 32], iterations: u32) -> XChaCha20Poly1305 {
    let mut key = Zeroizing::new([0_u8; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(passphrase.expose(), salt, iterations, key.as_mut_slice());
    XChaCha20Poly1305::new_from_slice(key.as_slice()).expect("the key has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    fn secret(text: &str) -> SecretValue {
        SecretValue::from_text(text.to_owned())
    }

    fn refused(text: &str, passphrase: &str) -> BackupError {
        Backup::open(text, &secret(passphrase)).err().expect("it is refused")
    }

    #[test]
    fn a_backup_opens_with_its_passphrase_alone_and_unchanged() {
        let files = BTreeMap::from([("sealing.key".to_owned(), secret("abcd"))]);
        let passphrase = "correct horse battery";
        let text = Backup { files }
            .seal(&secret(passphrase), DateTime::UNIX_EPOCH, &SeededRandom::new(1))
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(!text.contains("abcd"));
        let opened = Backup::open(&text, &secret(passphrase)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(opened.files["sealing.key"].expose(), b"abcd");
        assert_eq!(refused(&text, "correct horse batterz"), BackupError::Passphrase);
        let (head, body) = text.split_once('\n').expect("two lines");
        let weaker = format!("{}\n{body}", head.replace("1000000", "1"));
        assert_eq!(refused(&weaker, passphrase), BackupError::Passphrase, "the head is bound");
        let endless = format!("{}\n{body}", head.replace("1000000", "4000000000"));
        assert_eq!(refused(&endless, passphrase), BackupError::Format);
        assert_eq!(refused(head, passphrase), BackupError::Format);
        assert_eq!(refused("", passphrase), BackupError::Format);
        let short =
            Backup::default().seal(&secret("hunter2"), DateTime::UNIX_EPOCH, &SeededRandom::new(1)).err();
        assert_eq!(short, Some(BackupError::Short));
    }
}
