//! X.509 certificates (RFC 5280): what a Kubernetes or TLS client certificate says about itself.

use chrono::{DateTime, Utc};
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::FromDer,
    x509::{AttributeTypeAndValue, X509Name},
};

use super::der::{self, PublicKey};

/// The facts of one certificate. All of them are public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Lower-case hex without separators.
    pub serial: String,
    /// Distinguished name.
    pub issuer: String,
    /// Distinguished name.
    pub subject: String,
    /// First common name of the subject: the user, for Kubernetes.
    pub common_name: Option<String>,
    /// Organisations of the subject: the groups, for Kubernetes.
    pub organizations: Vec<String>,
    /// Start of validity.
    pub not_before: Option<DateTime<Utc>>,
    /// End of validity.
    pub not_after: Option<DateTime<Utc>>,
    /// Alternative names: `dns:…`, `ip:…`, `uri:…`, `email:…`.
    pub alternative_names: Vec<String>,
    /// Extended key usages: `client-auth`, `server-auth`, `code-signing`, `email-protection`, `any`.
    pub extended_key_usage: Vec<&'static str>,
    /// True for a certificate authority.
    pub is_ca: bool,
    /// `RSA`, `EC P-256`, `Ed25519`, or the dotted identifier.
    pub key_algorithm: String,
    /// Size of the key in bits, where the algorithm is known.
    pub key_bits: Option<usize>,
    /// Dotted identifier of the signature algorithm.
    pub signature_algorithm: String,
    /// DER SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
}

/// Parses a DER certificate that is the whole input.
pub fn parse_der(bytes: &[u8]) -> Option<Certificate> {
    // Cheap refusal first: this is asked about every binary value.
    der::sequence(bytes)?;
    let (rest, certificate) = X509Certificate::from_der(bytes).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let spki = certificate.public_key().raw.to_vec();
    let key = PublicKey::parse(&spki);
    let mut alternative_names = Vec::new();
    if let Ok(Some(names)) = certificate.subject_alternative_name() {
        alternative_names.extend(names.value.general_names.iter().filter_map(alternative_name));
    }
    let mut extended_key_usage = Vec::new();
    if let Ok(Some(usage)) = certificate.extended_key_usage() {
        let usage = usage.value;
        for (set, word) in [
            (usage.any, "any"),
            (usage.client_auth, "client-auth"),
            (usage.server_auth, "server-auth"),
            (usage.code_signing, "code-signing"),
            (usage.email_protection, "email-protection"),
        ] {
            if set {
                extended_key_usage.push(word);
            }
        }
    }
    Some(Certificate {
        serial: hex::encode(certificate.raw_serial()),
        issuer: certificate.issuer().to_string(),
        subject: certificate.subject().to_string(),
        common_name: certificate.subject().iter_common_name().find_map(text),
        organizations: organizations(certificate.subject()),
        not_before: DateTime::from_timestamp(certificate.validity().not_before.timestamp(), 0),
        not_after: DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0),
        alternative_names,
        extended_key_usage,
        is_ca: certificate.is_ca(),
        key_algorithm: key.as_ref().map_or_else(
            || certificate.public_key().algorithm.algorithm.to_id_string(),
            |key| key.algorithm().to_owned(),
        ),
        key_bits: key.as_ref().map(PublicKey::bits),
        signature_algorithm: certificate.signature_algorithm.algorithm.to_id_string(),
        spki,
    })
}

fn text(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    attribute.as_str().ok().map(str::to_owned)
}

fn organizations(name: &X509Name<'_>) -> Vec<String> {
    name.iter_organization().filter_map(text).collect()
}

fn alternative_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(dns) => Some(format!("dns:{dns}")),
        GeneralName::URI(uri) => Some(format!("uri:{uri}")),
        GeneralName::RFC822Name(email) => Some(format!("email:{email}")),
        GeneralName::IPAddress(bytes) => {
            if let Ok(v4) = <[u8; 4]>::try_from(*bytes) {
                return Some(format!("ip:{}", std::net::Ipv4Addr::from(v4)));
            }
            <[u8; 16]>::try_from(*bytes).ok().map(|v6| format!("ip:{}", std::net::Ipv6Addr::from(v6)))
        }
        _ => None,
    }
}
