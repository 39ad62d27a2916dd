//! From what a store holds to what a fingerprint is made over.
//!
//! One password lies in many wrappings: with a newline, in base64, in a database URL, in a registry configuration, as a leaf of a JSON
//! document. [`leaves`] opens them all and gives one [`Leaf`] per credential, with what can be said about it without asking anybody;
//! [`splice`] writes a new value back into the same wrapping. Neither keeps a value, and neither fails on any bytes: what cannot be
//! parsed is an opaque secret where secrets are expected, and nothing elsewhere.
//!
//! # Attributes of a leaf
//!
//! | on | keys |
//! | --- | --- |
//! | a leaf of a document | `document`: `json`, `yaml`, `connection-string`, `docker-config`, `kubeconfig`, `helm-release`, `manifest`, `dotenv`, `aws-credentials`, `gcp-service-account`, `login-file`; with a kubeconfig `format` = `kubeconfig`, `kubeconfig_user`, `server`; with a registry `registry` |
//! | a JWT | `value_format` = `jwt`, `jwt_algorithm`, `issuer`, `audience`, `jti`; of Kubernetes also `namespace`, `service_account`, `service_account_uid`, `token_secret`, `pod`, `node`, `warn_after` |
//! | a key pair | `value_format` (`x509`, `pkcs1`, `pkcs8`, `sec1`, `openssh`, `pgp`), `key_algorithm`, `key_bits`, `spki_sha256`, `encrypted`, `cipher`, `comment`, `ssh_fingerprint` |
//! | with a certificate | `serial`, `issuer`, `certificate_subject`, `common_name`, `organizations`, `alternative_names`, `extended_key_usage`, `is_ca`, `signature_algorithm` |
//! | a vendor's token | `vendor`, `token_form` |
//! | a cloud key | `aws_account`, `aws_session`; `gcp_project_id`, `gcp_private_key_id`, `gcp_client_email` |
//!
//! To add a format: a file in `format`, and a line in `canonical/document.rs` (it has leaves) or `canonical/atom.rs` (it is one).

mod atom;
mod bundle;
mod document;
mod layer;
mod material;
mod name;
mod shape;
mod splice;
mod strength;
mod walk;

use chrono::{DateTime, Utc};

use crate::{
    fingerprint::Form,
    model::{Attributes, CredentialKind, Handle, OwnerEvidence, Place},
    observation::Bundle,
    secret::SecretValue,
};

pub use self::{
    bundle::{Neighbours, bundle_of},
    splice::{splice, value_at},
    strength::estimate_bits,
    walk::leaves,
};

/// One credential found in a value.
pub struct Leaf {
    /// Where in the value: `""` is the field itself, else JSON pointer segments (RFC 6901 escapes) joined by `/`, without a leading slash:
    /// `auths/reg.io/password`.
    pub pointer: String,
    /// How `canonical` was made.
    pub form: Form,
    /// The bytes to fingerprint: the bare text, or the DER SubjectPublicKeyInfo.
    pub canonical: SecretValue,
    /// What it is.
    pub kind: CredentialKind,
    /// A public name that the issuer shows too, found offline.
    pub handle: Option<Handle>,
    /// The bundle that was given, refined by what the value itself says (user and host of a URL).
    pub bundle: Bundle,
    /// Whether equal fingerprints prove a copy.
    pub strength: Strength,
    /// When it ends by itself, as it says.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was made, as it says.
    pub created_at: Option<DateTime<Utc>>,
    /// Whom it names: the subject of a token or certificate, the user of a registry.
    pub subject: Option<String>,
    /// Facts that are not secret: algorithm, key size, issuer, audience.
    pub attributes: Attributes,
    /// Hints at its owner.
    pub owners: Vec<OwnerEvidence>,
}

/// Whether two equal values are copies of one credential, or may be equal by chance or by habit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// Nobody hits on it twice: equal fingerprints are copies.
    Strong,
    /// Equal fingerprints alone prove nothing.
    Weak(Weakness),
}

/// Why a value is weak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// Shorter than 8 bytes.
    Short,
    /// A value that products ship with, or that everybody tries first.
    KnownDefault,
    /// Fewer than 60 bits by estimate.
    Guessable,
}

impl std::fmt::Display for Weakness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Short => "short",
            Self::KnownDefault => "known-default",
            Self::Guessable => "guessable",
        })
    }
}

/// What is known about a value besides its bytes.
pub struct Input<'a> {
    /// The field's name in its store.
    pub key: &'a str,
    /// What kind of place it lies in.
    pub place: Place,
    /// What the store says it is.
    pub kind: Option<CredentialKind>,
    /// What lies beside it.
    pub bundle: &'a Bundle,
}

/// Why a leaf could not be replaced. The document is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// The document has no leaf there.
    #[error("the document has no leaf at this pointer")]
    NoSuchLeaf,
    /// The leaf holds something else than the expected old value.
    #[error("the leaf does not hold the expected old value")]
    OldValueDiffers,
    /// The new value cannot be written in this format, e.g. a line break in an environment file.
    #[error("the new value cannot be written in this format")]
    NotRepresentable,
    /// The format can be read and not written, e.g. a Helm release.
    #[error("the format can be read but not rewritten")]
    ReadOnly,
    /// Replacing the text would have changed something else too.
    #[error("the leaf cannot be replaced without touching its neighbours")]
    Ambiguous,
}
