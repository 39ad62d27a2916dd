//! Keys and certificates for the lab.

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// A certificate and its key, both PEM.
pub struct Identity {
    /// Certificate.
    pub certificate: String,
    /// PKCS#8 private key.
    pub key: String,
}

/// An RSA key pair: (private PKCS#8 PEM, public PEM). RSA because Kubernetes clusters sign with it, and because its
/// signatures are deterministic, which is what makes a re-created token Secret hold the same token.
///
/// # Errors
/// When the key cannot be made.
pub fn rsa_key() -> Result<(String, String)> {
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).context("an RSA key")?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

/// A certificate that is its own issuer, for these DNS names or IP addresses.
///
/// # Errors
/// When it cannot be made.
pub fn self_signed(names: &[&str]) -> Result<Identity> {
    let key = KeyPair::generate().context("a key")?;
    let certificate = parameters(names)?.self_signed(&key).context("a certificate")?;
    Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// An authority, and a server's certificate issued by it: (authority's certificate PEM, server).
///
/// # Errors
/// When they cannot be made.
pub fn issued(names: &[&str]) -> Result<(String, Identity)> {
    let authority_key = KeyPair::generate().context("a key")?;
    let mut authority = parameters(&[])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "claviger lab authority");
    let pem = authority.self_signed(&authority_key).context("an authority")?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().context("a key")?;
    let certificate = parameters(names)?.signed_by(&key, &issuer).context("a certificate")?;
    Ok((pem, Identity { certificate: certificate.pem(), key: key.serialize_pem() }))
}

fn parameters(names: &[&str]) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())
        .context("certificate names")?;
    if let Some(name) = names.first() {
        parameters.distinguished_name.push(DnType::CommonName, *name);
    }
    Ok(parameters)
}
