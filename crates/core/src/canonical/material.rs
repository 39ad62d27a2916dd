//! Cryptographic keys and certificates in PEM, DER and OpenSSH's container, brought to one form.

use chrono::{DateTime, Utc};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    format::{
        der, pem,
        private_key::{self, PrivateKey},
        ssh, x509,
    },
    model::{Attributes, OwnerEvidence},
};

/// What a value holds of keys.
pub(super) enum Material {
    /// A private key, perhaps with its certificate.
    Pair(Pair),
    /// A certificate alone; `true` for a certificate authority's.
    Certificate(Pair, bool),
    /// Nothing of the kind.
    None,
}

/// One key pair, as far as it is there.
pub(super) struct Pair {
    /// The public half; `None` if it cannot be had (encrypted, or of an unknown algorithm).
    pub(super) spki: Option<Vec<u8>>,
    /// The private part's bytes, to fingerprint where there is no public half.
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) ssh: bool,
    pub(super) ssh_fingerprint: Option<String>,
    pub(super) certificate: bool,
    pub(super) subject: Option<String>,
    pub(super) not_before: Option<DateTime<Utc>>,
    pub(super) not_after: Option<DateTime<Utc>>,
    pub(super) attributes: Attributes,
    pub(super) owners: Vec<OwnerEvidence>,
}

impl Pair {
    fn new(spki: Option<Vec<u8>>, body: &[u8], format: &str) -> Self {
        let mut attributes = Attributes::from([("value_format".to_owned(), format.into())]);
        let mut ssh_fingerprint = None;
        if let Some(spki) = &spki {
            attributes.insert("spki_sha256".to_owned(), der::spki_sha256(spki).into());
            ssh_fingerprint = ssh::public_blob(spki).map(|blob| ssh::fingerprint(&blob));
            if let Some(key) = der::PublicKey::parse(spki) {
                attributes.insert("key_algorithm".to_owned(), key.algorithm().into());
                attributes.insert("key_bits".to_owned(), key.bits().into());
            }
        }
        Self {
            spki,
            body: Zeroizing::new(body.to_vec()),
            ssh: false,
            ssh_fingerprint,
            certificate: false,
            subject: None,
            not_before: None,
            not_after: None,
            attributes,
            owners: Vec::new(),
        }
    }

    fn of_key(key: PrivateKey, body: &[u8]) -> Self {
        let known = key.spki.is_some();
        let mut pair = Self::new(key.spki, body, key.container);
        if !known {
            pair.attributes.insert("key_algorithm".to_owned(), key.algorithm.into());
        }
        pair.attributes.insert("encrypted".to_owned(), false.into());
        pair
    }

    fn encrypted(body: &[u8]) -> Self {
        let mut pair = Self::new(None, body, "pkcs8");
        pair.attributes.insert("encrypted".to_owned(), true.into());
        pair
    }

    fn of_certificate(certificate: &x509::Certificate) -> Self {
        let mut pair = Self::new(Some(certificate.spki.clone()), &[], "x509");
        pair.describe(certificate);
        pair
    }

    fn describe(&mut self, certificate: &x509::Certificate) {
        self.certificate = true;
        self.subject = certificate.common_name.clone().or_else(|| Some(certificate.subject.clone()));
        (self.not_before, self.not_after) = (certificate.not_before, certificate.not_after);
        let facts = [
            ("serial", json!(certificate.serial)),
            ("issuer", json!(certificate.issuer)),
            ("certificate_subject", json!(certificate.subject)),
            ("organizations", json!(certificate.organizations)),
            ("alternative_names", json!(certificate.alternative_names)),
            ("extended_key_usage", json!(certificate.extended_key_usage)),
            ("is_ca", json!(certificate.is_ca)),
            ("signature_algorithm", json!(certificate.signature_algorithm)),
            ("key_algorithm", json!(certificate.key_algorithm)),
        ];
        self.attributes.extend(facts.map(|(key, value)| (key.to_owned(), value)));
        if let Some(name) = &certificate.common_name {
            self.attributes.insert("common_name".to_owned(), json!(name));
        }
        if let Some(bits) = certificate.key_bits {
            self.attributes.insert("key_bits".to_owned(), bits.into());
        }
    }

    fn of_ssh(key: ssh::SshKey, body: &[u8]) -> Self {
        let mut pair = Self::new(ssh::spki(&key.public), body, "openssh");
        pair.ssh = true;
        pair.ssh_fingerprint = Some(key.fingerprint());
        pair.attributes.insert("encrypted".to_owned(), (key.cipher != "none").into());
        pair.attributes.insert("cipher".to_owned(), key.cipher.into());
        if let Some(comment) = key.comment {
            pair.attributes.insert("comment".to_owned(), comment.as_str().into());
            // Who made the key, which is seldom who answers for it.
            pair.owners.push(OwnerEvidence { owner: comment, source: "ssh-comment".to_owned(), weight: 10 });
        }
        pair
    }
}

/// Reads PEM text or DER bytes.
pub(super) fn read(bytes: &[u8], text: Option<&str>) -> Material {
    match text {
        Some(text) if text.contains("-----BEGIN ") => read_pem(text),
        Some(_) => Material::None,
        None => read_der(bytes),
    }
}

fn read_der(bytes: &[u8]) -> Material {
    if let Some(key) = private_key::parse_der(bytes) {
        return Material::Pair(Pair::of_key(key, bytes));
    }
    if private_key::is_encrypted_pkcs8(bytes) {
        return Material::Pair(Pair::encrypted(bytes));
    }
    match x509::parse_der(bytes) {
        Some(certificate) => Material::Certificate(Pair::of_certificate(&certificate), certificate.is_ca),
        None => Material::None,
    }
}

fn read_pem(text: &str) -> Material {
    let mut pair: Option<Pair> = None;
    let mut certificates = Vec::new();
    for block in pem::blocks(text) {
        let body = block.body.as_slice();
        match block.label.as_str() {
            "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => {
                certificates.extend(x509::parse_der(body))
            }
            label if label.ends_with("PRIVATE KEY") || label == "PGP PRIVATE KEY BLOCK" => {
                // The first key counts: bundles hold one.
                pair = pair.or_else(|| private(label, &block));
            }
            _ => {}
        }
    }
    match (pair, certificates.first()) {
        (Some(mut pair), _) => {
            if let Some(own) =
                certificates.iter().find(|certificate| Some(&certificate.spki) == pair.spki.as_ref())
            {
                pair.describe(own);
            }
            Material::Pair(pair)
        }
        (None, Some(first)) => Material::Certificate(Pair::of_certificate(first), first.is_ca),
        (None, None) => Material::None,
    }
}

fn private(label: &str, block: &pem::Block) -> Option<Pair> {
    let body = block.body.as_slice();
    if label == "OPENSSH PRIVATE KEY" {
        return ssh::parse_container(body).map(|key| Pair::of_ssh(key, body));
    }
    if label == "PGP PRIVATE KEY BLOCK" {
        return (!body.is_empty()).then(|| Pair::new(None, body, "pgp"));
    }
    if block.encrypted {
        return Some(Pair::encrypted(body));
    }
    private_key::parse_der(body).map(|key| Pair::of_key(key, body))
}
