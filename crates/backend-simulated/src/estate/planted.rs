use base64::{Engine, engine::general_purpose::STANDARD};
use claviger_core::{random::Random, secret::SecretValue};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use zeroize::Zeroizing;

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A value as the simulated target knows it. Unlike a [`SecretValue`] it can be cloned and written into the estate's file, because the file
/// *is* the target; it still cannot be printed or compared by accident. Text in the file, `{"base64": …}` where it is not UTF-8.
#[derive(Clone)]
pub struct Planted(Zeroizing<Vec<u8>>);

#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Written {
    Text(String),
    Binary { base64: String },
}

impl Planted {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into().into_bytes()))
    }

    /// Any bytes.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// What a caller brought.
    pub fn from_secret(value: &SecretValue) -> Self {
        Self::bytes(value.expose())
    }

    /// `length` random letters and digits.
    pub fn random(random: &dyn Random, length: usize) -> Self {
        let mut text = Vec::with_capacity(length);
        let mut byte = [0_u8];
        while text.len() < length {
            random.fill(&mut byte);
            // 248 is the largest multiple of 62 below 256: above it the first letters would come more often.
            if byte[0] < 248 {
                text.push(LETTERS[usize::from(byte[0]) % LETTERS.len()]);
            }
        }
        Self(Zeroizing::new(text))
    }

    /// `bytes` random bytes as lower-case hex.
    pub fn random_hex(random: &dyn Random, bytes: usize) -> Self {
        let mut buffer = vec![0_u8; bytes];
        random.fill(&mut buffer);
        Self::text(hex::encode(buffer))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The text; empty for a binary value.
    pub fn expose_text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// What a caller gets.
    pub fn secret(&self) -> SecretValue {
        SecretValue::new(self.0.to_vec())
    }

    /// Equal?
    pub fn is(&self, other: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.0.ct_eq(other).into()
    }
}

impl Serialize for Planted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Written::Binary { base64: STANDARD.encode(self.0.as_slice()) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Planted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Ok(Self::text(text)),
            Written::Binary { base64 } => STANDARD
                .decode(base64)
                .map(|bytes| Self(Zeroizing::new(bytes)))
                .map_err(|_| D::Error::custom("not base64")),
        }
    }
}
