//! A backup of keys: one text that only a passphrase opens, or only one recipient, so that whoever makes it cannot read it afterwards.
//!
//! Two lines. The first says how it was made, as JSON: it is bound as associated data, so that nobody can make it weaker. The second is the base64 of
//! XChaCha20-Poly1305 over the files, as JSON. The key is PBKDF2-HMAC-SHA-256 of the passphrase (RFC 8018; the number of iterations is above what the
//! OWASP Password Storage Cheat Sheet asks for). For a recipient the second line is the base64 of a sealed box, whose content repeats the first line.

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

use super::{Identity, Recipient};
use crate::{random::Random, secret::SecretValue};

const FORMAT: &str = "claviger-keys/v1";
const FOR_ONE: &str = "claviger-keys-for/v1";
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
    /// It was made for another recipient, or was changed. Which of them cannot be known.
    #[error("it was made for another recipient, or was changed")]
    Recipient,
    /// It wants the other of the two: a passphrase, or a recipient's key.
    #[error("it was made for {0}")]
    Other(&'static str),
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadFor {
    format: String,
    made_at: DateTime<Utc>,
    to: String,
}

#[derive(Deserialize)]
struct Which {
    format: String,
}

/// What a sealed box holds: the first line too, which nothing else binds.
#[derive(Serialize, Deserialize)]
struct Boxed {
    head: String,
    files: BTreeMap<String, String>,
}

/// What opens a backup.
pub enum Opener {
    /// The passphrase that it was made with.
    Passphrase(SecretValue),
    /// The private half of the recipient's key.
    Identity(Identity),
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

    /// Writes it for one recipient: who makes it needs no secret for that, and cannot open it.
    ///
    /// # Errors
    /// [`BackupError::Format`] for what is too long.
    pub fn seal_for(
        &self,
        recipient: &Recipient,
        at: DateTime<Utc>,
        random: &dyn Random,
    ) -> Result<String, BackupError> {
        let head = HeadFor { format: FOR_ONE.to_owned(), made_at: at, to: recipient.to_string() };
        let head = serde_json::to_string(&head).expect("a head has only text keys");
        let text =
            |(name, text): (&String, &SecretValue)| Some((name.clone(), text.expose_text()?.to_owned()));
        let boxed = Boxed { head: head.clone(), files: self.files.iter().filter_map(text).collect() };
        let plain = Zeroizing::new(serde_json::to_vec(&boxed).expect("names are text"));
        boxed.files.into_values().for_each(|text| drop(Zeroizing::new(text)));
        let sealed = recipient.seal(&plain, random).ok_or(BackupError::Format)?;
        Ok(format!("{head}\n{}\n", STANDARD.encode(sealed)))
    }

    /// Reads what [`Backup::seal`] or [`Backup::seal_for`] wrote.
    ///
    /// # Errors
    /// [`BackupError::Format`], [`BackupError::Passphrase`], [`BackupError::Recipient`], [`BackupError::Other`].
    pub fn open(text: &str, opener: &Opener) -> Result<Self, BackupError> {
        let mut lines = text.lines();
        let (Some(line), Some(body)) = (lines.next(), lines.next()) else { return Err(BackupError::Format) };
        let which: Which = serde_json::from_str(line).map_err(|_| BackupError::Format)?;
        match (which.format.as_str(), opener) {
            (FORMAT, Opener::Passphrase(passphrase)) => Self::open_with(line, body, passphrase),
            (FOR_ONE, Opener::Identity(identity)) => Self::open_for(line, body, identity),
            (FORMAT, Opener::Identity(_)) => Err(BackupError::Other("a passphrase")),
            (FOR_ONE, Opener::Passphrase(_)) => Err(BackupError::Other("a recipient's key")),
            _ => Err(BackupError::Format),
        }
    }

    fn open_for(line: &str, body: &str, identity: &Identity) -> Result<Self, BackupError> {
        let _: HeadFor = serde_json::from_str(line).map_err(|_| BackupError::Format)?;
        let sealed = STANDARD.decode(body.trim()).map_err(|_| BackupError::Format)?;
        let plain = Zeroizing::new(identity.open(&sealed).ok_or(BackupError::Recipient)?);
        let boxed: Boxed = serde_json::from_slice(&plain).map_err(|_| BackupError::Format)?;
        if boxed.head != line {
            return Err(BackupError::Recipient);
        }
        Ok(Self::of(boxed.files))
    }

    fn of(files: BTreeMap<String, String>) -> Self {
        Self { files: files.into_iter().map(|(name, text)| (name, SecretValue::from_text(text))).collect() }
    }

    fn open_with(line: &str, body: &str, passphrase: &SecretValue) -> Result<Self, BackupError> {
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
        Ok(Self::of(files))
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
        Backup::open(text, &Opener::Passphrase(secret(passphrase))).err().expect("it is refused")
    }

    #[test]
    fn a_backup_opens_with_its_passphrase_alone_and_unchanged() {
        let files = BTreeMap::from([("sealing.key".to_owned(), secret("abcd"))]);
        let passphrase = "correct horse battery";
        let text = Backup { files }
            .seal(&secret(passphrase), DateTime::UNIX_EPOCH, &SeededRandom::new(1))
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(!text.contains("abcd"));
        let opened = Backup::open(&text, &Opener::Passphrase(secret(passphrase)))
            .unwrap_or_else(|error| panic!("{error}"));
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

    #[test]
    fn a_backup_for_a_recipient_is_opened_by_that_one_alone_and_unchanged() {
        let random = SeededRandom::new(2);
        let (dana, eve) = (Identity::generate(&random), Identity::generate(&random));
        let files = BTreeMap::from([("sealing.key".to_owned(), secret("abcd"))]);
        let sealed = Backup { files }.seal_for(&dana.recipient(), DateTime::UNIX_EPOCH, &random);
        let text = sealed.unwrap_or_else(|error| panic!("{error}"));
        assert!(!text.contains("abcd") && text.contains(&dana.recipient().to_string()));
        let open =
            |text: &str, by: Identity| Backup::open(text, &Opener::Identity(by)).map(|backup| backup.files);
        let copy = || Identity::parse(&dana.text()).unwrap_or_else(|error| panic!("{error}"));
        let files = open(&text, copy()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(files["sealing.key"].expose(), b"abcd");
        assert_eq!(open(&text, eve).err(), Some(BackupError::Recipient));
        let (head, body) = text.split_once('\n').expect("two lines");
        let later = format!("{}\n{body}", head.replace("1970", "1971"));
        assert_eq!(open(&later, copy()).err(), Some(BackupError::Recipient), "the head is bound");
        let mut box_of = STANDARD.decode(body.trim()).expect("base64");
        for index in [0, 40, box_of.len() - 1] {
            box_of[index] ^= 1;
            let changed = format!("{head}\n{}", STANDARD.encode(&box_of));
            assert_eq!(open(&changed, copy()).err(), Some(BackupError::Recipient), "{index}");
            box_of[index] ^= 1;
        }
        assert_eq!(refused(&text, "correct horse battery"), BackupError::Other("a recipient's key"));
    }
}
