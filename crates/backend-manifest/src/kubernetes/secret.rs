//! Secrets and ConfigMaps: what the cluster would hold if they were applied.

use base64::{Engine, engine::general_purpose::STANDARD};
use claviger_core::{
    canonical::bundle_of,
    model::{CopyStage, CredentialKind},
    observation::{Content, Observation, ObservedCopy},
    secret::SecretValue,
};
use serde_json::json;
use yaml_serde::Value;

use super::Object;
use crate::{
    document::{self, members, scalar, text},
    sighting::{Home, is_reference},
};

/// Where `kubectl apply` keeps what it applied; it stays in what `kubectl get -o yaml` writes.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Names of an object's fields.
pub(super) fn keys(object: &Object<'_>) -> Vec<String> {
    let mut keys: Vec<String> = ["data", "stringData", "binaryData"]
        .into_iter()
        .flat_map(|part| members(object.value, part))
        .map(|(key, _)| key.to_owned())
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

/// All values of the object, and those that it had when it was last applied.
pub(super) fn observe(home: &Home, object: &Object<'_>) -> Vec<Observation> {
    let mut home = home.clone();
    let kind = text(object.value, "type").unwrap_or("Opaque");
    if object.kind == "Secret" {
        home.attributes.insert("secret_type".to_owned(), json!(kind));
    }
    if object.value.get("immutable").and_then(Value::as_bool) == Some(true) {
        home.attributes.insert("immutable".to_owned(), json!(true));
    }
    let current = fields(object.value, object.kind);
    let former: Vec<(String, Content)> = applied(object)
        .into_iter()
        .filter(|(key, content)| !current.iter().any(|(name, now)| name == key && same(now, content)))
        .collect();
    let mut found: Vec<Observation> =
        copies(&home, kind, current, CopyStage::Current).into_iter().map(Observation::Copy).collect();
    found.extend(copies(&home, kind, former, CopyStage::Former).into_iter().map(Observation::Copy));
    found
}

fn copies(home: &Home, kind: &str, fields: Vec<(String, Content)>, stage: CopyStage) -> Vec<ObservedCopy> {
    let held = fields.iter().filter_map(|(key, content)| match content {
        Content::Value(value) => Some((key.as_str(), value)),
        Content::Unreadable(_) => None,
    });
    let bundle = bundle_of(held);
    let secret = |(key, content): &(String, Content)| {
        let stands_for_another =
            matches!(content, Content::Value(value) if value.expose_text().is_some_and(is_reference));
        !is_public(kind, key) && !stands_for_another
    };
    let kept = fields.into_iter().filter(secret);
    kept.map(|(key, content)| {
        let mut copy = home.copy(&[&key], &key, content, bundle.clone());
        copy.kind = kind_of(kind, &key);
        copy.stage = stage;
        if stage == CopyStage::Former {
            copy.version = Some("last-applied".to_owned());
        }
        copy
    })
    .collect()
}

/// Fields by name; text wins over encoded data, as in the API server.
fn fields(object: &Value, kind: &str) -> Vec<(String, Content)> {
    let mut fields: Vec<(String, Content)> = Vec::new();
    let mut put = |key: &str, content: Content| {
        fields.retain(|(name, _)| name != key);
        fields.push((key.to_owned(), content));
    };
    for (key, value) in members(object, "data") {
        if kind == "Secret" {
            put(key, decoded(value));
        } else if let Some(value) = scalar(value) {
            put(key, Content::Value(value));
        }
    }
    for (key, value) in members(object, "binaryData") {
        put(key, decoded(value));
    }
    for (key, value) in members(object, "stringData") {
        if let Some(value) = scalar(value) {
            put(key, Content::Value(value));
        }
    }
    fields
}

fn decoded(value: &Value) -> Content {
    let Some(text) = value.as_str() else { return Content::Unreadable("not base64".to_owned()) };
    if is_reference(text) {
        return Content::Value(SecretValue::from_text(text.to_owned()));
    }
    let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    match STANDARD.decode(text) {
        Ok(bytes) => Content::Value(SecretValue::new(bytes)),
        Err(_) => Content::Unreadable("not base64".to_owned()),
    }
}

fn applied(object: &Object<'_>) -> Vec<(String, Content)> {
    let parsed = object.annotation(LAST_APPLIED).and_then(|text| document::parse(text).ok());
    parsed.into_iter().flatten().flat_map(|former| fields(&former, object.kind)).collect()
}

fn same(one: &Content, other: &Content) -> bool {
    match (one, other) {
        (Content::Value(one), Content::Value(other)) => one.expose() == other.expose(),
        (Content::Unreadable(_), Content::Unreadable(_)) => true,
        _ => false,
    }
}

/// Keys that a Secret's type reserves for something that is no secret.
fn is_public(kind: &str, key: &str) -> bool {
    match kind {
        "kubernetes.io/service-account-token" => matches!(key, "ca.crt" | "namespace" | "service-ca.crt"),
        "kubernetes.io/tls" => key == "ca.crt",
        "kubernetes.io/basic-auth" => key == "username",
        _ => false,
    }
}

/// What a Secret's type says about a key.
fn kind_of(kind: &str, key: &str) -> Option<CredentialKind> {
    Some(match (kind, key) {
        ("kubernetes.io/service-account-token", "token") => CredentialKind::ServiceAccountToken,
        ("bootstrap.kubernetes.io/token", "token-secret") => CredentialKind::Token,
        ("kubernetes.io/dockerconfigjson", ".dockerconfigjson")
        | ("kubernetes.io/dockercfg", ".dockercfg") => CredentialKind::Registry,
        ("kubernetes.io/tls", "tls.crt" | "tls.key") => CredentialKind::Certificate,
        ("kubernetes.io/basic-auth", "password") => CredentialKind::Password,
        ("kubernetes.io/ssh-auth", "ssh-privatekey") => CredentialKind::SshKey,
        _ => return None,
    })
}
