//! The little of ASN.1 DER (ITU-T X.690) that keys need: reading a sequence, and building a SubjectPublicKeyInfo.

use sha2::{Digest, Sha256};

/// Tag of an INTEGER.
pub const INTEGER: u8 = 0x02;
/// Tag of a BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// Tag of an OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// Tag of an OBJECT IDENTIFIER.
pub const OBJECT_ID: u8 = 0x06;
/// Tag of a SEQUENCE.
pub const SEQUENCE: u8 = 0x30;

/// Content octets of the object identifiers that keys use.
pub mod oid {
    /// rsaEncryption, 1.2.840.113549.1.1.1.
    pub const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    /// id-ecPublicKey, 1.2.840.10045.2.1.
    pub const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    /// id-Ed25519, 1.3.101.112.
    pub const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    /// secp256r1, 1.2.840.10045.3.1.7.
    pub const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    /// secp384r1, 1.3.132.0.34.
    pub const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
    /// secp521r1, 1.3.132.0.35.
    pub const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
}

/// Reads elements one after another. Lengths must be definite and inside the input.
#[derive(Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// True after the last element.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element's tag, without moving on.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element: tag and content.
    pub fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 || rest.len() < count {
                return None;
            }
            let (digits, rest) = rest.split_at(count);
            (digits.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
        };
        if rest.len() < length {
            return None;
        }
        let (content, rest) = rest.split_at(length);
        self.0 = rest;
        Some((tag, content))
    }

    /// The next element's content, if it has this tag.
    pub fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.peek()? != tag {
            return None;
        }
        self.any().map(|(_, content)| content)
    }
}

/// The content of a SEQUENCE that is the whole input.
pub fn sequence(bytes: &[u8]) -> Option<Reader<'_>> {
    let mut outer = Reader::new(bytes);
    let content = outer.expect(SEQUENCE)?;
    outer.is_empty().then(|| Reader::new(content))
}

/// One element.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.push(u8::try_from(length).unwrap_or(0x7f));
    } else {
        let digits: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
        out.extend(digits);
    }
    out.extend_from_slice(content);
    out
}

/// An INTEGER from an unsigned big-endian number, with the leading zero that DER wants before a high bit.
pub fn unsigned(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let mut content = Vec::with_capacity(number.len() + 1);
    if number.get(start).is_none_or(|byte| *byte >= 0x80) {
        content.push(0);
    }
    content.extend_from_slice(&number[start..]);
    element(INTEGER, &content)
}

/// SubjectPublicKeyInfo of an RSA key (RFC 8017 appendix A.1.1) from unsigned big-endian modulus and exponent.
pub fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = element(SEQUENCE, &[unsigned(modulus), unsigned(exponent)].concat());
    let algorithm = element(SEQUENCE, &[element(OBJECT_ID, oid::RSA), vec![0x05, 0x00]].concat());
    spki(&algorithm, &key)
}

/// SubjectPublicKeyInfo of a key on a named curve (RFC 5480) from the curve's identifier and the encoded point.
pub fn ec_spki(curve: &[u8], point: &[u8]) -> Vec<u8> {
    let algorithm = element(SEQUENCE, &[element(OBJECT_ID, oid::EC), element(OBJECT_ID, curve)].concat());
    spki(&algorithm, point)
}

/// SubjectPublicKeyInfo of an Ed25519 key (RFC 8410).
pub fn ed25519_spki(key: &[u8; 32]) -> Vec<u8> {
    spki(&element(SEQUENCE, &element(OBJECT_ID, oid::ED25519)), key)
}

fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = element(BIT_STRING, &[&[0_u8], key].concat());
    element(SEQUENCE, &[algorithm, &bits].concat())
}

/// A public key read from its SubjectPublicKeyInfo.
pub enum PublicKey<'a> {
    /// Modulus and exponent, as the content of their INTEGERs.
    Rsa(&'a [u8], &'a [u8]),
    /// Curve identifier and point.
    Ec(&'a [u8], &'a [u8]),
    /// The 32 bytes.
    Ed25519(&'a [u8]),
}

impl<'a> PublicKey<'a> {
    /// Takes a DER SubjectPublicKeyInfo apart; `None` for other algorithms.
    pub fn parse(spki: &'a [u8]) -> Option<Self> {
        let mut outer = sequence(spki)?;
        let mut algorithm = Reader::new(outer.expect(SEQUENCE)?);
        let (unused, key) = outer.expect(BIT_STRING)?.split_first()?;
        if *unused != 0 || !outer.is_empty() {
            return None;
        }
        match algorithm.expect(OBJECT_ID)? {
            oid::RSA => {
                let mut numbers = sequence(key)?;
                Some(Self::Rsa(numbers.expect(INTEGER)?, numbers.expect(INTEGER)?))
            }
            oid::EC => Some(Self::Ec(algorithm.expect(OBJECT_ID)?, key)),
            oid::ED25519 => Some(Self::Ed25519(key)),
            _ => None,
        }
    }

    /// `RSA`, `EC P-256`, `Ed25519`...
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(..) => "RSA",
            Self::Ec(oid::P256, _) => "EC P-256",
            Self::Ec(oid::P384, _) => "EC P-384",
            Self::Ec(oid::P521, _) => "EC P-521",
            Self::Ec(..) => "EC",
            Self::Ed25519(_) => "Ed25519",
        }
    }

    /// Size in bits: of the modulus, or of the curve's field.
    pub fn bits(&self) -> usize {
        match self {
            Self::Rsa(modulus, _) => {
                let start = modulus.iter().position(|byte| *byte != 0).unwrap_or(modulus.len());
                modulus.get(start).map_or(0, |byte| {
                    (modulus.len() - start) * 8 - usize::try_from(byte.leading_zeros()).unwrap_or(0)
                })
            }
            Self::Ec(oid::P521, _) => 521,
            Self::Ec(_, point) => point.len().saturating_sub(1) / 2 * 8,
            Self::Ed25519(_) => 256,
        }
    }
}

/// SHA-256 of a DER SubjectPublicKeyInfo, lower-case hex: the value of a [`crate::model::HandleScheme::SpkiSha256`] handle.
pub fn spki_sha256(spki: &[u8]) -> String {
    hex::encode(Sha256::digest(spki))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lengths_round_trip() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let bytes = element(OCTET_STRING, &vec![1; length]);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.expect(OCTET_STRING).map(<[u8]>::len), Some(length));
            assert!(reader.is_empty());
            assert!(Reader::new(&bytes[..bytes.len() - 1]).any().is_none());
        }
    }

    #[test]
    fn integers_are_minimal_and_positive() {
        assert_eq!(unsigned(&[0, 0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(unsigned(&[]), [2, 1, 0]);
    }

    #[test]
    fn built_keys_are_read_back() {
        let rsa = rsa_spki(&[0xff; 256], &[1, 0, 1]);
        assert!(
            matches!(PublicKey::parse(&rsa), Some(key) if key.bits() == 2048 && key.algorithm() == "RSA")
        );
        let ec = ec_spki(oid::P384, &[4; 97]);
        assert!(
            matches!(PublicKey::parse(&ec), Some(key) if key.bits() == 384 && key.algorithm() == "EC P-384")
        );
        let ed = ed25519_spki(&[9; 32]);
        assert!(matches!(PublicKey::parse(&ed), Some(PublicKey::Ed25519(key)) if key == [9; 32]));
        assert!(PublicKey::parse(&ed[1..]).is_none());
    }
}
