//! A value that is no document: what it is, and whether it is a credential at all.

use serde_json::json;
use zeroize::Zeroizing;

use super::{
    Leaf,
    material::{self, Material},
    name::{self, Name},
    shape, strength,
};
use crate::{
    fingerprint::Form,
    format::{aws, github, jwt, slot::Says, vendor},
    model::{Attributes, CredentialKind, Handle, HandleScheme, Place},
    observation::Bundle,
    secret::SecretValue,
};

/// Where a value was found, and what is known about it from there.
pub(super) struct Finding<'a> {
    pub(super) key: &'a str,
    pub(super) place: Place,
    /// What the store says, of the field as a whole.
    pub(super) kind: Option<CredentialKind>,
    pub(super) says: Says,
    /// True inside a document whose other leaves are configuration as likely as not.
    pub(super) nested: bool,
    pub(super) pointer: String,
    pub(super) bundle: Bundle,
    pub(super) subject: Option<String>,
    pub(super) attributes: Attributes,
}

/// The leaf, if the value is a credential.
pub(super) fn leaf(finding: Finding<'_>, bytes: &[u8]) -> Option<Leaf> {
    let text = std::str::from_utf8(bytes).ok();
    match material::read(bytes, text) {
        Material::Pair(pair) => return Some(key_pair(finding, pair)),
        Material::Certificate(pair, is_authority) => {
            return certificate_counts(&finding, is_authority).then(|| key_pair(finding, pair));
        }
        Material::None => {}
    }
    let Some(text) = text else {
        // A keystore in a ConfigMap is as likely an image.
        let counts = finding.place == Place::SecretStore
            && finding.says != Says::Configuration
            && name::says(finding.key) != Name::Public;
        return counts.then(|| plain(finding, bytes, CredentialKind::Opaque));
    };
    if let Some(token) = jwt::parse(text) {
        return Some(json_web_token(finding, bytes, token));
    }
    if let Some((kind, vendor, form)) = vendor_of(text) {
        // The kind that a slot or store declares says where it lies; the vendor's form says what it is, unless both agree on a container.
        let kind = match finding.kind {
            Some(CredentialKind::Registry) => CredentialKind::Registry,
            _ if finding.says == Says::Secret(CredentialKind::Registry) => CredentialKind::Registry,
            _ => kind,
        };
        let mut leaf = plain(finding, bytes, kind);
        leaf.attributes.insert("vendor".to_owned(), vendor.into());
        leaf.attributes.insert("token_form".to_owned(), form.into());
        return Some(leaf);
    }
    let name = name::says(finding.key);
    if shape::is_never_secret(text) || !is_credential(&finding, name, text) {
        return None;
    }
    let kind = match (finding.says, finding.kind, name) {
        (Says::Secret(kind), ..) | (_, Some(kind), _) | (.., Name::Secret(kind)) => kind,
        _ => CredentialKind::Opaque,
    };
    let is_access_key = kind == CredentialKind::AccessKey
        || (kind == CredentialKind::Opaque
            && finding.bundle.aws_access_key_id.is_some()
            && aws::is_secret_access_key(text));
    let kind = if is_access_key { CredentialKind::AccessKey } else { kind };
    let mut leaf = plain(finding, bytes, kind);
    if is_access_key && let Some(id) = &leaf.bundle.aws_access_key_id {
        leaf.handle = Some(Handle::new(HandleScheme::AwsAccessKeyId, id.clone()));
        if let Some(parsed) = aws::parse_access_key_id(id) {
            leaf.attributes.insert("aws_session".to_owned(), (!parsed.long_lived).into());
            if let Some(account) = parsed.account {
                leaf.attributes.insert("aws_account".to_owned(), account.into());
            }
        }
    }
    Some(leaf)
}

fn vendor_of(text: &str) -> Option<(CredentialKind, &'static str, &'static str)> {
    if let Some(token) = github::parse(text) {
        return Some((CredentialKind::Token, token.vendor, token.form));
    }
    vendor::parse(text).map(|vendor| (vendor.kind, vendor.name, vendor.form))
}

/// The rules of a place for a text that no format recognises.
fn is_credential(finding: &Finding<'_>, name: Name, text: &str) -> bool {
    if matches!(finding.says, Says::Secret(_)) {
        return true;
    }
    // A store that says what a field is knows better than the field's name, but for names that nobody gives a secret.
    if finding.kind.is_some() && !finding.nested {
        return name != Name::Public;
    }
    if finding.place == Place::SecretStore && finding.says != Says::Configuration {
        return match name {
            Name::Public => false,
            // Even `token` and `secret` are at times the place where it lies.
            Name::Secret(kind) => kind == CredentialKind::WebhookSecret || !shape::is_location(text),
            Name::MostlyPublic => shape::looks_random(text) || shape::is_structured(text),
            Name::Key | Name::Silent => {
                !(shape::is_plain_fact(text) || finding.nested && shape::is_ordinary(text))
            }
        };
    }
    match name {
        Name::Secret(_) => !shape::is_ordinary(text),
        Name::Key => shape::looks_random(text),
        Name::Public | Name::MostlyPublic | Name::Silent => false,
    }
}

/// A certificate without its key is public; in a store of secrets it stands for the pair whose other half lies beside it.
fn certificate_counts(finding: &Finding<'_>, is_authority: bool) -> bool {
    if matches!(finding.says, Says::Secret(_)) {
        return true;
    }
    finding.place == Place::SecretStore
        && finding.says != Says::Configuration
        && !name::is_authority(&finding.key.to_ascii_lowercase())
        && (!is_authority || name::is_certificate(finding.key))
}

fn plain(finding: Finding<'_>, bytes: &[u8], kind: CredentialKind) -> Leaf {
    Leaf {
        pointer: finding.pointer,
        form: Form::Text,
        canonical: SecretValue::new(bytes.to_vec()),
        kind,
        handle: None,
        subject: finding.subject,
        bundle: finding.bundle,
        strength: strength::of(bytes),
        expires_at: None,
        created_at: None,
        attributes: finding.attributes,
        owners: Vec::new(),
    }
}

fn key_pair(finding: Finding<'_>, pair: material::Pair) -> Leaf {
    use CredentialKind as Kind;
    let is_ssh = pair.ssh || name::is_ssh(finding.key);
    let declared = match finding.says {
        Says::Secret(kind) => Some(kind),
        _ => finding.kind,
    };
    // What a store calls a password may be a key; what it calls a certificate, a kubeconfig or a cloud key is one that has a key in it.
    let kind = declared
        .filter(|kind| {
            matches!(
                kind,
                Kind::Certificate
                    | Kind::PrivateKey
                    | Kind::SshKey
                    | Kind::Kubeconfig
                    | Kind::AccessKey
                    | Kind::Registry
            )
        })
        .unwrap_or(match (pair.certificate, is_ssh) {
            (true, _) => Kind::Certificate,
            (false, true) => Kind::SshKey,
            (false, false) => Kind::PrivateKey,
        });
    let mut attributes = finding.attributes;
    attributes.extend(pair.attributes);
    let by_ssh = is_ssh || kind == Kind::SshKey;
    let handle = match (&pair.ssh_fingerprint, &pair.spki) {
        (Some(print), _) if by_ssh => Some(Handle::new(HandleScheme::SshFingerprint, print.clone())),
        (_, Some(spki)) => Some(Handle::new(HandleScheme::SpkiSha256, crate::format::der::spki_sha256(spki))),
        _ => None,
    };
    if by_ssh && let Some(print) = pair.ssh_fingerprint {
        attributes.insert("ssh_fingerprint".to_owned(), print.into());
    }
    let (form, canonical) = match pair.spki {
        Some(spki) => (Form::Spki, Zeroizing::new(spki)),
        None => (Form::Text, pair.body),
    };
    Leaf {
        pointer: finding.pointer,
        form,
        canonical: SecretValue::new(canonical.to_vec()),
        kind,
        handle,
        subject: pair.subject.or(finding.subject),
        bundle: finding.bundle,
        strength: super::Strength::Strong,
        expires_at: pair.not_after,
        created_at: pair.not_before,
        attributes,
        owners: pair.owners,
    }
}

fn json_web_token(finding: Finding<'_>, bytes: &[u8], token: jwt::Jwt) -> Leaf {
    use CredentialKind as Kind;
    let by_name = || match name::says(finding.key) {
        Name::Secret(kind) if kind != Kind::Password => Some(kind),
        _ => None,
    };
    let kind = match (&token.kubernetes, finding.says) {
        (Some(jwt::Kubernetes::Legacy { .. }), _) => Kind::ServiceAccountToken,
        (Some(jwt::Kubernetes::Bound { .. }), _) => Kind::BoundToken,
        (None, Says::Secret(Kind::Registry)) => Kind::Registry,
        (None, _) => finding.kind.or_else(by_name).unwrap_or(Kind::Token),
    };
    let mut leaf = plain(finding, bytes, kind);
    leaf.strength = super::Strength::Strong;
    leaf.expires_at = token.expires_at;
    leaf.created_at = token.issued_at;
    let mut say = |key: &str, value: Option<serde_json::Value>| {
        if let Some(value) = value {
            leaf.attributes.insert(key.to_owned(), value);
        }
    };
    say("value_format", Some("jwt".into()));
    say("jwt_algorithm", token.algorithm.map(Into::into));
    say("issuer", token.issuer.map(Into::into));
    say("jti", token.id.map(Into::into));
    say("audience", (!token.audience.is_empty()).then(|| json!(token.audience)));
    match token.kubernetes {
        Some(jwt::Kubernetes::Legacy { namespace, secret, service_account, uid }) => {
            let handle = format!("{namespace}/{secret}/{uid}");
            say("namespace", Some(namespace.into()));
            say("service_account", Some(service_account.into()));
            say("service_account_uid", Some(uid.into()));
            say("token_secret", Some(secret.into()));
            leaf.handle = Some(Handle::new(HandleScheme::KubernetesLegacyToken, handle));
        }
        Some(jwt::Kubernetes::Bound { namespace, service_account, uid, pod, node, secret, warn_after }) => {
            say("namespace", Some(namespace.into()));
            say("service_account", service_account.map(Into::into));
            say("service_account_uid", uid.map(Into::into));
            say("pod", pod.map(Into::into));
            say("node", node.map(Into::into));
            say("token_secret", secret.map(Into::into));
            say(
                "warn_after",
                warn_after.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true).into()),
            );
        }
        None => {}
    }
    leaf.subject = token.subject.or(leaf.subject);
    leaf
}
