//! Certificates with their private keys: read out of PEM fields, made again with another key, checked, and written back into the same fields.
//!
//! A certificate that is made again says the same as the one before it (RFC 5280): subject, issuer, alternative names, usages, constraints, and
//! every other extension byte by byte, and it is valid for as long. What has to be another is another: key, serial number, dates, the key
//! identifiers that follow from the key (RFC 7093, method 1), and the signature, by SHA-256, or SHA-384 where P-384 signs. The timestamps
//! of Certificate Transparency logs (RFC 6962) are of the old certificate and are left out.
//!
//! Key pairs come from the operating system's generator by way of aws-lc, which takes no other; the serial number from the parameter.

mod check;
mod key;
mod make;
mod pem;

use zeroize::Zeroizing;

use crate::{
    format::{private_key, x509},
    secret::SecretValue,
};

pub use self::{
    check::{check, is_signed_by},
    make::{Signer, reissue},
};

/// Why a certificate cannot be made again as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The fields are not what is replaced here.
    #[error("{0}")]
    Form(&'static str),
    /// Another kind of key.
    #[error("its key is {0}: RSA of 2048, 3072 or 4096 bits, P-256, P-384 and Ed25519 can be made")]
    Algorithm(String),
    /// Read with one library and not with the other, or not written again.
    #[error("it cannot be written again: {0}")]
    Encoding(String),
    /// The authority's certificate does not cover the present.
    #[error("the certificate of its authority is not valid now")]
    AuthorityEnded,
}

/// A certificate and its private key.
pub struct Identity {
    /// DER.
    certificate: Vec<u8>,
    /// One PEM block, with the label that it was found with.
    key: SecretValue,
}

impl Identity {
    /// Finds the pair in two fields: the first private key of one, and in the other the certificate that belongs to it, whatever else (a chain,
    /// parameters) stands around them.
    ///
    /// # Errors
    /// [`Unfit::Form`]: no PEM, no unencrypted key, or no certificate for it.
    pub fn find(chain: &SecretValue, key: &SecretValue) -> Result<Self, Unfit> {
        let text = |value| pem::text(value).ok_or(Unfit::Form("it is no PEM text with line breaks"));
        let (chain, key) = (text(chain)?, text(key)?);
        let (block, body) = pem::private_key(key).ok_or(Unfit::Form("its private key cannot be read"))?;
        let spki = private_key::parse_der(&body).and_then(|key| key.spki);
        let spki = spki.ok_or(Unfit::Form("the public half of its private key cannot be told"))?;
        let certificate = pem::certificates(chain)
            .into_iter()
            .map(|(_, der)| der)
            .find(|der| x509::parse_der(der).is_some_and(|certificate| certificate.spki == spki))
            .ok_or(Unfit::Form("no certificate there belongs to its private key"))?;
        Ok(Self { certificate, key: SecretValue::from_text(key[block].to_owned()) })
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// What the certificate says.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn facts(&self) -> Result<x509::Certificate, Unfit> {
        x509::parse_der(&self.certificate).ok_or(Unfit::Form("its certificate cannot be read"))
    }

    /// Could it be made again? Says what [`reissue`] would say, without making anything.
    ///
    /// # Errors
    /// As there.
    pub fn fits(&self) -> Result<(), Unfit> {
        make::fits(self)
    }

    /// Both as one secret text, to be sealed.
    pub fn pack(&self) -> SecretValue {
        let mut text = pem::encode("CERTIFICATE", &self.certificate, "\n").as_bytes().to_vec();
        text.push(b'\n');
        text.extend_from_slice(self.key.expose());
        SecretValue::new(text)
    }

    /// What [`Identity::pack`] made. `None` for anything else.
    pub fn unpack(packed: &SecretValue) -> Option<Self> {
        if !packed.expose().starts_with(b"-----BEGIN CERTIFICATE-----") {
            return None;
        }
        Self::find(packed, packed).ok()
    }

    /// DER SubjectPublicKeyInfo, which names the pair: copies of either half are fingerprinted over it.
    pub fn spki(&self) -> Option<SecretValue> {
        x509::parse_der(&self.certificate).map(|certificate| SecretValue::new(certificate.spki))
    }

    /// Does this field hold the certificate?
    pub fn is_in(&self, chain: &SecretValue) -> bool {
        let blocks = pem::text(chain).map(pem::certificates).unwrap_or_default();
        blocks.iter().any(|(_, der)| *der == self.certificate)
    }

    /// Does this field hold the private key, in whatever container?
    pub fn key_is_in(&self, key: &SecretValue) -> bool {
        let spki = |text| private_key::parse_der(&pem::private_key(text)?.1)?.spki;
        let (Some(own), Some(held)) = (self.spki(), pem::text(key).and_then(spki)) else { return false };
        own.expose() == held
    }

    /// The field with `next`'s certificate in this one's place; what stands around it stays. `None` where this one is not in it.
    pub fn replaced_in(&self, chain: &SecretValue, next: &Self) -> Option<SecretValue> {
        let text = pem::text(chain)?;
        let mut written = String::with_capacity(text.len());
        let mut end = 0;
        for (range, _) in pem::certificates(text).into_iter().filter(|(_, der)| *der == self.certificate) {
            written.push_str(&text[end..range.start]);
            written.push_str(&pem::encode(
                "CERTIFICATE",
                &next.certificate,
                pem::line_break(&text[range.clone()]),
            ));
            end = range.end;
        }
        if end == 0 {
            return None;
        }
        written.push_str(&text[end..]);
        Some(SecretValue::from_text(written))
    }

    /// The field with `next`'s private key in this one's place; what stands around it stays. `None` where this one is not in it.
    pub fn key_replaced_in(&self, key: &SecretValue, next: &Self) -> Option<SecretValue> {
        if !self.key_is_in(key) {
            return None;
        }
        let text = pem::text(key)?;
        let (range, _) = pem::private_key(text)?;
        let block = next.key.expose_text()?;
        let mut written = Zeroizing::new(Vec::with_capacity(text.len() + block.len()));
        written.extend_from_slice(&text.as_bytes()[..range.start]);
        let line_break = pem::line_break(&text[range.clone()]);
        for (index, line) in block.lines().enumerate() {
            if index > 0 {
                written.extend_from_slice(line_break.as_bytes());
            }
            written.extend_from_slice(line.as_bytes());
        }
        written.extend_from_slice(&text.as_bytes()[range.end..]);
        Some(SecretValue::new(std::mem::take(&mut written)))
    }
}

/// Does exactly this certificate, DER, stand in a bundle of PEM blocks?
pub fn stands_in(certificate: &[u8], bundle: &str) -> bool {
    pem::certificates(bundle).iter().any(|(_, der)| der == certificate)
}

/// The first certificate in a field, DER.
pub fn first(chain: &SecretValue) -> Option<Vec<u8>> {
    pem::certificates(chain.expose_text()?).into_iter().map(|(_, der)| der).next()
}
