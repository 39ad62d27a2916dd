//! Standard Webhooks 1.0.0 (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>): `webhook-signature` is `v1,` and the base64
//! of HMAC-SHA-256(secret, id ‖ `.` ‖ timestamp ‖ `.` ‖ body).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::secret::SecretValue;

/// What a secret begins with whose rest is base64.
const PREFIX: &[u8] = b"whsec_";
/// Shortest key, in bytes.
const SHORTEST: usize = 16;

/// The headers of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// `webhook-timestamp`
    pub timestamp: String,
    /// `webhook-signature`
    pub signature: String,
}

/// Why a secret cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// After `whsec_` comes no base64.
    #[error("what follows `whsec_` is no base64")]
    Unreadable,
    /// It could be guessed.
    #[error("it is shorter than {SHORTEST} bytes")]
    Short,
}

/// What bodies are signed with.
pub struct SigningSecret(SecretValue);

impl SigningSecret {
    /// `whsec_` and base64, or any other text as it is.
    ///
    /// # Errors
    /// See [`NoKey`].
    pub fn new(secret: &SecretValue) -> Result<Self, NoKey> {
        let key = match secret.expose().strip_prefix(PREFIX) {
            Some(text) => SecretValue::new(STANDARD.decode(text).map_err(|_| NoKey::Unreadable)?),
            None => secret.duplicate(),
        };
        if key.len() < SHORTEST { Err(NoKey::Short) } else { Ok(Self(key)) }
    }

    /// Signs one attempt.
    pub fn sign(&self, id: &str, at: DateTime<Utc>, body: &str) -> Headers {
        let timestamp = at.timestamp().to_string();
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("HMAC takes a key of any length");
        for part in [id, ".", &timestamp, ".", body] {
            mac.update(part.as_bytes());
        }
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        Headers { timestamp, signature }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretValue {
        SecretValue::from_text(text.to_owned())
    }

    /// The example of the specification's reference libraries.
    #[test]
    fn the_known_example_has_the_known_signature() {
        let key = SigningSecret::new(&secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
            .unwrap_or_else(|error| panic!("{error}"));
        let at = DateTime::from_timestamp(1_614_265_330, 0).expect("in range");
        let headers = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, r#"{"test": 2432232314}"#);
        assert_eq!(headers.timestamp, "1614265330");
        assert_eq!(headers.signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_could_be_guessed_signs_nothing() {
        assert_eq!(SigningSecret::new(&secret("short")).err(), Some(NoKey::Short));
        assert_eq!(SigningSecret::new(&secret("whsec_c2hvcnQ=")).err(), Some(NoKey::Short));
        assert_eq!(SigningSecret::new(&secret("whsec_!!")).err(), Some(NoKey::Unreadable));
        assert!(SigningSecret::new(&secret("0123456789abcdef")).is_ok());
    }
}
