//! Private keys in DER: PKCS#1 (RFC 8017), SEC1 (RFC 5915), PKCS#8 (RFC 5208, RFC 5958); and their public half, where it can be had without
//! curve arithmetic.

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::der::{self, BIT_STRING, INTEGER, OBJECT_ID, OCTET_STRING, PublicKey, Reader, SEQUENCE, oid};

/// What a private key says about itself. Holds only the public half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateKey {
    /// `pkcs1`, `sec1` or `pkcs8`.
    pub container: &'static str,
    /// `RSA`, `EC P-256`, `Ed25519`..., or `unknown`.
    pub algorithm: &'static str,
    /// Size in bits, where the public half is known.
    pub bits: Option<usize>,
    /// DER SubjectPublicKeyInfo. `None` for an EC key without its public point and for algorithms that are not known.
    pub spki: Option<Vec<u8>>,
}

impl PrivateKey {
    fn new(container: &'static str, algorithm: &'static str, spki: Option<Vec<u8>>) -> Self {
        let public = spki.as_deref().and_then(PublicKey::parse);
        let bits = public.as_ref().map(PublicKey::bits);
        let algorithm = public.as_ref().map_or(algorithm, PublicKey::algorithm);
        Self { container, algorithm, bits, spki }
    }
}

/// Parses an unencrypted key in any of the three containers.
pub fn parse_der(bytes: &[u8]) -> Option<PrivateKey> {
    pkcs8(bytes).or_else(|| pkcs1(bytes)).or_else(|| sec1(bytes, None, "sec1"))
}

/// True for an encrypted PKCS#8 container (RFC 5958 EncryptedPrivateKeyInfo).
pub fn is_encrypted_pkcs8(bytes: &[u8]) -> bool {
    let parse = || {
        let mut outer = der::sequence(bytes)?;
        let mut algorithm = Reader::new(outer.expect(SEQUENCE)?);
        // PKCS#5 and PKCS#12 schemes: 1.2.840.113549.1.5.x and 1.2.840.113549.1.12.1.x.
        let scheme = algorithm.expect(OBJECT_ID)?;
        let known = scheme.starts_with(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05])
            || scheme.starts_with(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01]);
        outer.expect(OCTET_STRING)?;
        Some(known && outer.is_empty())
    };
    parse().unwrap_or(false)
}

fn pkcs1(bytes: &[u8]) -> Option<PrivateKey> {
    let mut key = der::sequence(bytes)?;
    let version = key.expect(INTEGER)?;
    let (modulus, exponent) = (key.expect(INTEGER)?, key.expect(INTEGER)?);
    for _ in 0..6 {
        key.expect(INTEGER)?;
    }
    if !matches!(version, [0 | 1]) || modulus.len() < 32 {
        return None;
    }
    Some(PrivateKey::new("pkcs1", "RSA", Some(der::rsa_spki(modulus, exponent))))
}

fn sec1(bytes: &[u8], curve_of_container: Option<&[u8]>, container: &'static str) -> Option<PrivateKey> {
    let mut key = der::sequence(bytes)?;
    if key.expect(INTEGER)? != [1] {
        return None;
    }
    key.expect(OCTET_STRING)?;
    let (mut curve, mut point) = (curve_of_container, None);
    while let Some((tag, content)) = key.any() {
        match tag {
            0xa0 => curve = Reader::new(content).expect(OBJECT_ID).or(curve),
            0xa1 => point = Reader::new(content).expect(BIT_STRING).and_then(|bits| bits.strip_prefix(&[0])),
            _ => return None,
        }
    }
    if !key.is_empty() {
        return None;
    }
    let spki = curve.zip(point).map(|(curve, point)| der::ec_spki(curve, point));
    Some(PrivateKey::new(container, "EC", spki))
}

fn pkcs8(bytes: &[u8]) -> Option<PrivateKey> {
    let mut key = der::sequence(bytes)?;
    if !matches!(key.expect(INTEGER)?, [0 | 1]) {
        return None;
    }
    let mut algorithm = Reader::new(key.expect(SEQUENCE)?);
    let id = algorithm.expect(OBJECT_ID)?;
    let inner = key.expect(OCTET_STRING)?;
    let named = |parsed: Option<PrivateKey>, algorithm| match parsed {
        Some(parsed) => PrivateKey { container: "pkcs8", ..parsed },
        None => PrivateKey::new("pkcs8", algorithm, None),
    };
    Some(match id {
        oid::RSA => named(pkcs1(inner), "RSA"),
        oid::EC => named(sec1(inner, algorithm.expect(OBJECT_ID), "pkcs8"), "EC"),
        oid::ED25519 => PrivateKey::new("pkcs8", "Ed25519", ed25519(inner)),
        _ => PrivateKey::new("pkcs8", "unknown", None),
    })
}

fn ed25519(inner: &[u8]) -> Option<Vec<u8>> {
    let seed = Zeroizing::new(<[u8; 32]>::try_from(Reader::new(inner).expect(OCTET_STRING)?).ok()?);
    Some(der::ed25519_spki(SigningKey::from_bytes(&seed).verifying_key().as_bytes()))
}
