//! PostgreSQL's stored password forms: computing them, and asking whether a candidate fits one.
//!
//! `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` (RFC 5802 with the parameters of RFC 7677; base64 fields), as
//! `pg_authid.rolpassword` shows it and as `ALTER ROLE … PASSWORD` accepts it, so that the server never sees the password itself. The older
//! `md5` + hex of md5(password ‖ role) is read too, never written.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::secret::SecretValue;

/// PostgreSQL's own number of iterations. Fewer is weaker; more costs every login of every client.
pub const ITERATIONS: u32 = 4096;

/// Length of the salt that PostgreSQL makes, in bytes.
pub const SALT_BYTES: usize = 16;

/// More iterations than anybody sets: a verifier that asks for more is refused, or one hostile row would stop a scan.
const MOST_ITERATIONS: u32 = 1_000_000;

/// A parsed SCRAM-SHA-256 verifier. It lets nobody log in, but passwords can be guessed against it, so it prints as a placeholder.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

impl Verifier {
    /// Parses the text of `rolpassword`; `None` for any other text, and for more than a million iterations.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (head, keys) = rest.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let iterations: u32 = iterations.parse().ok()?;
        if iterations == 0 || iterations > MOST_ITERATIONS {
            return None;
        }
        Some(Self {
            iterations,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: STANDARD.decode(stored).ok()?.try_into().ok()?,
            server_key: STANDARD.decode(server).ok()?.try_into().ok()?,
        })
    }

    /// The verifier of a password.
    pub fn derive(password: &SecretValue, salt: &[u8], iterations: u32) -> Self {
        let iterations = iterations.clamp(1, MOST_ITERATIONS);
        let prepared = saslprep(password.expose());
        let mut salted = Zeroizing::new([0_u8; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(&prepared, salt, iterations, salted.as_mut_slice());
        let mut client_key = hmac(salted.as_slice(), b"Client Key");
        let stored_key = Sha256::digest(client_key).into();
        client_key.zeroize();
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key,
            server_key: hmac(salted.as_slice(), b"Server Key"),
        }
    }

    /// Number of PBKDF2 iterations: a computation costs about 0.1 µs for each.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// True if this is the verifier of `candidate`. Compares in constant time.
    pub fn matches(&self, candidate: &SecretValue) -> bool {
        let derived = Self::derive(candidate, &self.salt, self.iterations);
        bool::from(derived.stored_key.ct_eq(&self.stored_key) & derived.server_key.ct_eq(&self.server_key))
    }

    /// The text that PostgreSQL stores and accepts.
    pub fn to_text(&self) -> String {
        format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key)
        )
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// The verifier's text for a new password.
pub fn build(password: &SecretValue, salt: &[u8], iterations: u32) -> String {
    Verifier::derive(password, salt, iterations).to_text()
}

/// True if `verifier` (the text of `rolpassword`) is that of `candidate`; false too for a text that is no SCRAM verifier.
pub fn matches(verifier: &str, candidate: &SecretValue) -> bool {
    Verifier::parse(verifier).is_some_and(|verifier| verifier.matches(candidate))
}

/// True if `stored` is PostgreSQL's md5 form of `candidate` for this role. The hex digits may be in either case.
pub fn md5_matches(stored: &str, role: &str, candidate: &SecretValue) -> bool {
    let mut expected = [0_u8; 16];
    let Some(digits) = stored.strip_prefix("md5") else { return false };
    if hex::decode_to_slice(digits, &mut expected).is_err() {
        return false;
    }
    let mut hash = Md5::new();
    hash.update(candidate.expose());
    hash.update(role.as_bytes());
    let actual: [u8; 16] = hash.finalize().into();
    actual.ct_eq(&expected).into()
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// RFC 4013 as PostgreSQL applies it: a password that is not UTF-8, or that the profile prohibits, is used as it is
/// (`pg_saslprep` in `src/common/saslprep.c` documents this).
fn saslprep(password: &[u8]) -> Zeroizing<Vec<u8>> {
    if password.is_ascii() {
        return Zeroizing::new(password.to_vec());
    }
    let prepared = std::str::from_utf8(password).ok().and_then(|text| stringprep::saslprep(text).ok());
    match prepared {
        Some(text) if !text.is_empty() => Zeroizing::new(text.into_owned().into_bytes()),
        _ => Zeroizing::new(password.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretValue {
        SecretValue::from_text(text.to_owned())
    }

    /// RFC 7677 section 3: user `user`, password `pencil`. The RFC shows the exchange; the verifier is checked through it.
    #[test]
    fn agrees_with_the_exchange_of_rfc_7677() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let verifier = Verifier::derive(&secret("pencil"), &salt, 4096);
        let auth_message = concat!(
            "n=user,r=rOprNGfwEbeRWgbNEkqO,",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        );
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").expect("base64");
        let signature = hmac(&verifier.stored_key, auth_message.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(Sha256::digest(client_key).as_slice(), verifier.stored_key);
        let server = hmac(&verifier.server_key, auth_message.as_bytes());
        assert_eq!(STANDARD.encode(server), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    /// What PostgreSQL 15.18 stored for these passwords: plain, to be normalised, and one that the profile prohibits.
    #[test]
    fn agrees_with_a_real_server() {
        for (password, verifier) in [
            (
                "correct horse battery",
                "SCRAM-SHA-256$4096:f0bBLgTHOxJ2lNiXA+RI2g==$lfHlBZlmlbZtNt/9kvrTQC6Yaa634SOJAzyBjYPQVmc=:Yw9au5rlb5z3HSIwSPVMl8JueqLuLwEVRekOv1txatM=",
            ),
            (
                "k\u{e4}se \u{2168}\u{a0}x",
                "SCRAM-SHA-256$4096:pQH5UqAH1D9ij4wqy9uCcg==$tAMh0GreIuDRMmbfAvOa+ZATiUNJyzKQ6UjwVL+zWTE=:4phIfAL8a7tA7YifrOjUg4XO5kXqr8Yb8ATbbhF3r9c=",
            ),
            (
                "\u{e9}\u{7}",
                "SCRAM-SHA-256$4096:RZuU6JIrcic82TshqYyW/A==$A9l6XtdbjGDe2VYcJVxDFNHsX6X6VQXl9fxqLtizxBc=:fMlHMDrJ7NgkrBs8gPV788RkGLlKbFdV5VTCVFcHf1A=",
            ),
        ] {
            assert!(matches(verifier, &secret(password)), "{password:?}");
            let parsed = Verifier::parse(verifier).expect("parses");
            assert_eq!(build(&secret(password), &parsed.salt, parsed.iterations()), verifier);
        }
        let md5 = "md547ecaa26330e505ccc934340c0d0907d";
        assert!(md5_matches(md5, "legacy", &secret("correct horse battery")));
    }

    #[test]
    fn text_round_trips_and_only_the_right_password_fits() {
        let text = build(&secret("correct horse"), &[7; SALT_BYTES], ITERATIONS);
        assert_eq!(Verifier::parse(&text).expect("parses").to_text(), text);
        assert!(matches(&text, &secret("correct horse")));
        assert!(!matches(&text, &secret("correct horsf")));
    }

    #[test]
    fn either_key_differing_is_a_mismatch() {
        let verifier = Verifier::derive(&secret("pencil"), b"salt", 2);
        for (stored, server) in [(1, 0), (0, 1)] {
            let mut broken = verifier.clone();
            broken.stored_key[0] ^= stored;
            broken.server_key[0] ^= server;
            assert!(!broken.matches(&secret("pencil")));
        }
        assert!(verifier.matches(&secret("pencil")));
    }

    #[test]
    fn malformed_verifiers_are_refused() {
        let good = build(&secret("x"), b"0123456789abcdef", 1);
        assert!(Verifier::parse(&good).is_some());
        for bad in [
            "",
            "md5abc",
            "SCRAM-SHA-256$",
            "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA",
            &good.replace("$1:", "$0:"),
            &good.replace("$1:", "$4000000000:"),
            &good.replace("SHA-256", "SHA-1"),
        ] {
            assert!(Verifier::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn passwords_are_normalised_as_postgresql_does() {
        // Roman numeral nine (U+2168) becomes `IX`, the no-break space a space; a prohibited control character leaves all as it was.
        assert_eq!(saslprep("\u{2168}\u{a0}x".as_bytes()).as_slice(), b"IX x");
        assert_eq!(saslprep("é\u{7}".as_bytes()).as_slice(), "é\u{7}".as_bytes());
        assert_eq!(saslprep(&[0xff, 0xfe]).as_slice(), [0xff, 0xfe]);
    }

    #[test]
    fn md5_depends_on_password_and_role() {
        // md5("secret" ‖ "app")
        let stored = "md5";
        let mut hash = Md5::new();
        hash.update(b"secretapp");
        let stored = format!("{stored}{}", hex::encode(hash.finalize()));
        assert!(md5_matches(&stored, "app", &secret("secret")));
        assert!(!md5_matches(&stored, "other", &secret("secret")));
        assert!(!md5_matches(&stored, "app", &secret("secre")));
        assert!(!md5_matches("md5zz", "app", &secret("secret")));
    }
}
