//! From what a store holds to what a fingerprint is made over.
//!
//! One password lies in many wrappings: with a newline, in base64, in a database URL, in a registry configuration, as a leaf of a JSON
//! document. [`leaves`] opens them all and gives one [`Leaf`] per credential, with what can be said about it without asking anybody;
//! [`splice`] writes a new value back into the same wrapping. Neither keeps a value, and neither fails on any bytes: what cannot be
//! parsed is an opaque secret where secrets are expected, and nothing elsewhere.
//!
//! To add a format: a file in `format`, and a line in `canonical/document.rs` (it has leaves) or `canonical/atom.rs` (it is one).

use chrono::{DateTime, Utc};

use crate::{
    fingerprint::Form,
    model::{Attributes, CredentialKind, Handle, OwnerEvidence, Place},
    observation::Bundle,
    secret::SecretValue,
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

/// The credentials in a value; empty if it is not a secret. Never panics, on any bytes; linear in the value's size.
pub fn leaves(input: &Input<'_>, value: &SecretValue) -> Vec<Leaf> {
    let bytes = value.expose();
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() || input.place != Place::SecretStore {
        return Vec::new();
    }
    vec![Leaf {
        pointer: String::new(),
        form: Form::Text,
        canonical: SecretValue::new(bytes.to_vec()),
        kind: input.kind.unwrap_or(CredentialKind::Opaque),
        handle: None,
        bundle: input.bundle.clone(),
        strength: Strength::Strong,
        expires_at: None,
        created_at: None,
        subject: None,
        attributes: Attributes::new(),
        owners: Vec::new(),
    }]
}

/// The same document with exactly that leaf replaced.
///
/// # Errors
/// See [`SpliceError`].
pub fn splice(
    value: &SecretValue,
    pointer: &str,
    old: &SecretValue,
    new: &SecretValue,
) -> Result<SecretValue, SpliceError> {
    let _ = old;
    if !pointer.is_empty() {
        return Err(SpliceError::NoSuchLeaf);
    }
    let mut bytes = new.expose().to_vec();
    if value.expose().ends_with(b"\n") {
        bytes.push(b'\n');
    }
    Ok(SecretValue::new(bytes))
}

/// What the fields of one object say about its secret: user, host, port, database, key ids.
pub fn bundle_of<'a>(fields: impl Iterator<Item = (&'a str, &'a SecretValue)>) -> Bundle {
    let mut bundle = Bundle::default();
    for (name, value) in fields {
        let text = value.expose_text().map(str::to_owned);
        match name {
            "username" | "user" => bundle.user = text,
            "host" => bundle.host = text,
            "aws_access_key_id" => bundle.aws_access_key_id = text,
            "role_id" => bundle.role_id = text,
            _ => {}
        }
    }
    bundle
}
