//! Key pairs: of which algorithm, another of the same, in the same container.

use rcgen::{KeyPair, PublicKeyData as _, RsaKeySize};
use zeroize::Zeroizing;

use super::{Unfit, pem};
use crate::{
    format::{
        der::{self, BIT_STRING, INTEGER, OBJECT_ID, OCTET_STRING, PublicKey, SEQUENCE, oid},
        private_key,
    },
    secret::SecretValue,
};

/// A key that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rsa(RsaKeySize),
    P256,
    P384,
    Ed25519,
}

impl Algorithm {
    /// Of a DER SubjectPublicKeyInfo.
    pub(super) fn of(spki: &[u8]) -> Result<Self, Unfit> {
        let key =
            PublicKey::parse(spki).ok_or_else(|| Unfit::Algorithm("of a kind unknown here".to_owned()))?;
        Ok(match (&key, key.bits()) {
            (PublicKey::Rsa(..), 2048) => Self::Rsa(RsaKeySize::_2048),
            (PublicKey::Rsa(..), 3072) => Self::Rsa(RsaKeySize::_3072),
            (PublicKey::Rsa(..), 4096) => Self::Rsa(RsaKeySize::_4096),
            (PublicKey::Ec(oid::P256, _), _) => Self::P256,
            (PublicKey::Ec(oid::P384, _), _) => Self::P384,
            (PublicKey::Ed25519(_), _) => Self::Ed25519,
            (_, bits) => return Err(Unfit::Algorithm(format!("{} of {bits} bits", key.algorithm()))),
        })
    }

    pub(super) fn generate(self) -> Result<KeyPair, Unfit> {
        let made = match self {
            Self::Rsa(size) => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size),
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
        };
        made.map_err(|error| Unfit::Encoding(error.to_string()))
    }
}

/// Reads a private key in any of its containers, to sign with it.
pub(super) fn read(key: &SecretValue) -> Result<KeyPair, Unfit> {
    let unread = || Unfit::Form("its private key cannot be read");
    let (_, body) = pem::private_key(key.expose_text().ok_or_else(unread)?).ok_or_else(unread)?;
    KeyPair::try_from(body.as_slice()).map_err(|error| Unfit::Encoding(error.to_string()))
}

/// The new key as a PEM block in the container of the old one: PKCS#1 and SEC1 are what some programs take alone.
pub(super) fn like(old: &SecretValue, new: &KeyPair) -> Result<SecretValue, Unfit> {
    let label = old.expose_text().and_then(pem::label).unwrap_or_default();
    let pkcs8 = Zeroizing::new(new.serialize_der());
    let unread = || Unfit::Encoding("the new key is not what was expected".to_owned());
    let (label, body) = match label {
        "RSA PRIVATE KEY" => (label, Zeroizing::new(inner(&pkcs8).ok_or_else(unread)?.to_vec())),
        "EC PRIVATE KEY" => (label, sec1(&pkcs8, &new.subject_public_key_info()).ok_or_else(unread)?),
        _ if *new.algorithm() == rcgen::PKCS_ED25519 => {
            ("PRIVATE KEY", first_version(&pkcs8).ok_or_else(unread)?)
        }
        _ => ("PRIVATE KEY", pkcs8.clone()),
    };
    if private_key::parse_der(&body).and_then(|key| key.spki) != Some(new.subject_public_key_info()) {
        return Err(unread());
    }
    Ok(SecretValue::new(pem::encode(label, &body, "\n").as_bytes().to_vec()))
}

/// What a PKCS#8 container (RFC 5958) holds.
fn inner(pkcs8: &[u8]) -> Option<&[u8]> {
    let mut key = der::sequence(pkcs8)?;
    key.expect(INTEGER)?;
    key.expect(SEQUENCE)?;
    key.expect(OCTET_STRING)
}

/// RFC 5208, without the public half that RFC 5958 allows: OpenSSL 3.0 reads no Ed25519 key with that.
fn first_version(pkcs8: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let algorithm = der::element(SEQUENCE, &der::element(OBJECT_ID, oid::ED25519));
    let key = Zeroizing::new(der::element(OCTET_STRING, inner(pkcs8)?));
    let parts = Zeroizing::new([der::element(INTEGER, &[0]), algorithm, key.to_vec()].concat());
    Some(Zeroizing::new(der::element(SEQUENCE, &parts)))
}

/// RFC 5915, with the curve, which a PKCS#8 container says outside of it.
fn sec1(pkcs8: &[u8], spki: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let Some(PublicKey::Ec(curve, point)) = PublicKey::parse(spki) else { return None };
    let mut key = der::sequence(inner(pkcs8)?)?;
    key.expect(INTEGER)?;
    let number = key.expect(OCTET_STRING)?;
    let bits = der::element(BIT_STRING, &[&[0], point].concat());
    let parts = Zeroizing::new(
        [
            der::element(INTEGER, &[1]),
            der::element(OCTET_STRING, number),
            der::element(0xa0, &der::element(OBJECT_ID, curve)),
            der::element(0xa1, &bits),
        ]
        .concat(),
    );
    Some(Zeroizing::new(der::element(SEQUENCE, &parts)))
}

/// The key's bits in a DER SubjectPublicKeyInfo.
pub(super) fn bits(spki: &[u8]) -> Option<&[u8]> {
    let mut outer = der::sequence(spki)?;
    outer.expect(SEQUENCE)?;
    outer.expect(BIT_STRING)?.strip_prefix(&[0])
}
