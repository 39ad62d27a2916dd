//! Short ways to ask for leaves.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_core::{
    canonical::{Input, Leaf, leaves},
    fingerprint::Form,
    model::{CredentialKind, Place},
    observation::Bundle,
    secret::SecretValue,
};

pub(crate) fn secret(bytes: impl AsRef<[u8]>) -> SecretValue {
    SecretValue::new(bytes.as_ref().to_vec())
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn in_place(place: Place, key: &str, bytes: impl AsRef<[u8]>) -> Vec<Leaf> {
    let bundle = Bundle::default();
    leaves(&Input { key, place, kind: None, bundle: &bundle }, &secret(bytes))
}

pub(crate) fn in_store(key: &str, bytes: impl AsRef<[u8]>) -> Vec<Leaf> {
    in_place(Place::SecretStore, key, bytes)
}

pub(crate) fn in_configuration(key: &str, bytes: impl AsRef<[u8]>) -> Vec<Leaf> {
    in_place(Place::Configuration, key, bytes)
}

/// The only leaf.
pub(crate) fn only(mut leaves: Vec<Leaf>) -> Leaf {
    let pointers: Vec<_> = leaves.iter().map(|leaf| leaf.pointer.clone()).collect();
    assert_eq!(leaves.len(), 1, "{pointers:?}");
    leaves.remove(0)
}

/// Form and canonical bytes: what the fingerprint is made over.
pub(crate) fn identity(leaf: &Leaf) -> (Form, Vec<u8>) {
    (leaf.form, leaf.canonical.expose().to_vec())
}

/// Pointer, kind and text of each leaf.
pub(crate) fn shown(leaves: &[Leaf]) -> Vec<(&str, CredentialKind, &str)> {
    leaves
        .iter()
        .map(|leaf| (leaf.pointer.as_str(), leaf.kind, leaf.canonical.expose_text().unwrap_or("(binary)")))
        .collect()
}

pub(crate) fn attribute<'a>(leaf: &'a Leaf, key: &str) -> &'a serde_json::Value {
    leaf.attributes.get(key).unwrap_or(&serde_json::Value::Null)
}

/// A percent-encoding that escapes everything.
pub(crate) fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
