//! Is the new certificate what it is meant to be? Read by another library than the one that wrote it.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use chrono::{DateTime, Utc};
use rcgen::PublicKeyData as _;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{
    Identity, key,
    make::{AUTHORITY_KEY_ID, SUBJECT_KEY_ID, TIMESTAMPS},
};
use crate::format::der::{PublicKey, oid};

/// Looks whether `new` can take the place of the certificate `old`: its key is the certificate's, `authority` (itself, if `None`) has signed it,
/// it is valid at `now`, and says what the old one said.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn check(old: &[u8], new: &Identity, authority: Option<&[u8]>, now: DateTime<Utc>) -> Result<(), String> {
    let (before, after) = (read(old)?, read(&new.certificate)?);
    let pair = key::read(&new.key).map_err(|error| error.to_string())?;
    if pair.subject_public_key_info() != after.public_key().raw {
        return Err("the new key is not the new certificate's".to_owned());
    }
    if before.public_key().raw == after.public_key().raw || before.raw_serial() == after.raw_serial() {
        return Err("key or serial number are the old one's".to_owned());
    }
    if !is_signed_by(&new.certificate, authority.unwrap_or(&new.certificate)) {
        return Err("its signature is not its authority's".to_owned());
    }
    let (start, end) = (after.validity().not_before.timestamp(), after.validity().not_after.timestamp());
    if now.timestamp() < start || now.timestamp() >= end {
        return Err("it is not valid now".to_owned());
    }
    if before.subject().as_raw() != after.subject().as_raw()
        || before.issuer().as_raw() != after.issuer().as_raw()
    {
        return Err("it names another subject or issuer".to_owned());
    }
    if said(&before) != said(&after) {
        return Err("it says something else than the old one: names, usages or constraints".to_owned());
    }
    Ok(())
}

/// Was `certificate` signed by the key of the certificate `by`, and does it name that as its issuer? False also for signatures that are not
/// understood here.
pub fn is_signed_by(certificate: &[u8], by: &[u8]) -> bool {
    let (Ok(certificate), Ok(by)) = (read(certificate), read(by)) else { return false };
    if certificate.issuer().as_raw() != by.subject().as_raw() {
        return false;
    }
    let spki = by.public_key().raw;
    let name = certificate.signature_algorithm.algorithm.to_id_string();
    let (Some(algorithm), Some(bits)) = (algorithm(&name, spki), key::bits(spki)) else { return false };
    let (signed, signature) = (certificate.tbs_certificate.as_ref(), &certificate.signature_value.data);
    UnparsedPublicKey::new(algorithm, bits).verify(signed, signature).is_ok()
}

fn read(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err("it cannot be read".to_owned()),
    }
}

/// Every extension but those that follow from the key, and whether it is critical.
fn said<'c>(certificate: &'c X509Certificate<'_>) -> Vec<(String, bool, &'c [u8])> {
    let follows = [SUBJECT_KEY_ID, AUTHORITY_KEY_ID, TIMESTAMPS].map(|oid| oid.to_string());
    certificate
        .extensions()
        .iter()
        .map(|extension| (extension.oid.to_id_string(), extension.critical, extension.value))
        .filter(|(oid, ..)| !follows.contains(oid))
        .collect()
}

/// RFC 4055, RFC 5758, RFC 8410.
fn algorithm(name: &str, spki: &[u8]) -> Option<&'static dyn VerificationAlgorithm> {
    let curve = match PublicKey::parse(spki)? {
        PublicKey::Ec(curve, _) => curve,
        _ => &[],
    };
    Some(match (name, curve) {
        ("1.2.840.113549.1.1.11", []) => &signature::RSA_PKCS1_2048_8192_SHA256,
        ("1.2.840.113549.1.1.12", []) => &signature::RSA_PKCS1_2048_8192_SHA384,
        ("1.2.840.113549.1.1.13", []) => &signature::RSA_PKCS1_2048_8192_SHA512,
        ("1.2.840.10045.4.3.2", oid::P256) => &signature::ECDSA_P256_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", oid::P256) => &signature::ECDSA_P256_SHA384_ASN1,
        ("1.2.840.10045.4.3.2", oid::P384) => &signature::ECDSA_P384_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", oid::P384) => &signature::ECDSA_P384_SHA384_ASN1,
        ("1.3.101.112", []) => &signature::ED25519,
        _ => return None,
    })
}
