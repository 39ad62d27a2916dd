//! Secrets whose issuer is the API server itself: legacy ServiceAccount tokens and bootstrap tokens.

use chrono::{DateTime, NaiveDate, Utc};
use claviger_core::{
    model::{CredentialKind, CredentialState, Handle, HandleScheme},
    observation::ObservedCredential,
};
use serde_json::Value;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Context, accounts::AccountIndex, object::Object};
use crate::wire::{Meta, Secret};

pub(crate) const LEGACY: &str = "kubernetes.io/service-account-token";
pub(crate) const BOOTSTRAP: &str = "bootstrap.kubernetes.io/token";
pub(crate) const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
pub(crate) const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";
/// The letters of names that the token controller made (`rand.String` of apimachinery).
const GENERATED_LETTERS: &str = "bcdfghjklmnpqrstvwxz2456789";

/// Is this key the value of the credential?
pub(super) fn is_value(kind: &str, key: &str) -> bool {
    matches!((kind, key), (LEGACY, "token") | (BOOTSTRAP, "token-secret"))
}

/// When a legacy token was last used; the API server writes the day only.
pub(crate) fn last_used(meta: &Meta<'_>) -> Option<DateTime<Utc>> {
    let day = NaiveDate::parse_from_str(meta.labels.get(LAST_USED)?, "%Y-%m-%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc())
}

/// The credential that a token Secret is, filled or not.
pub(super) fn credential(
    context: &Context<'_>,
    accounts: &AccountIndex,
    secret: &Secret<'_>,
    object: &Object,
) -> Option<ObservedCredential> {
    let meta = &secret.metadata;
    let mut credential = ObservedCredential {
        at: object.at.clone(),
        kind: CredentialKind::ServiceAccountToken,
        identity: None,
        state: CredentialState::Active,
        created_at: object.created_at,
        rotated_at: None,
        expires_at: None,
        last_used_at: None,
        handle: None,
        verifier: None,
        labels: object.labels.clone(),
        owners: object.owners.clone(),
        attributes: object.attributes.clone(),
    };
    match secret.kind.as_str() {
        LEGACY => legacy(context, accounts, meta, &mut credential),
        BOOTSTRAP => bootstrap(secret, &mut credential),
        _ => return None,
    }
    Some(credential)
}

fn legacy(
    context: &Context<'_>,
    accounts: &AccountIndex,
    meta: &Meta<'_>,
    credential: &mut ObservedCredential,
) {
    let (namespace, name) = (meta.namespace.plain(), meta.name.plain());
    credential.last_used_at = last_used(meta);
    let account = meta.annotations.get(ACCOUNT_NAME).filter(|account| !account.is_empty());
    let mut auto = false;
    if let Some(account) = account {
        let account = account.replace('\0', "\u{fffd}");
        credential.identity = Some(context.names.object(&namespace, "ServiceAccount", &account));
        auto = accounts.lists_secret(&namespace, &account, &name) || is_generated(&name, &account);
        if let Some(uid) = meta.annotations.get(ACCOUNT_UID).filter(|uid| !uid.is_empty()) {
            credential.handle =
                Some(Handle::new(HandleScheme::KubernetesLegacyToken, format!("{namespace}/{name}/{uid}")));
        }
        if accounts.exists(&namespace, &account) == Some(false) {
            credential.attributes.insert("dangling".to_owned(), Value::from(true));
        }
    }
    credential.attributes.insert("auto".to_owned(), Value::from(auto));
    credential.attributes.insert("manual".to_owned(), Value::from(!auto));
    if let Some(since) = meta.labels.get(INVALID_SINCE) {
        credential.state = CredentialState::Suspended;
        credential
            .attributes
            .insert("invalid_since".to_owned(), Value::from(since.replace('\0', "\u{fffd}")));
    }
}

fn bootstrap(secret: &Secret<'_>, credential: &mut ObservedCredential) {
    credential.kind = CredentialKind::Token;
    credential.attributes.insert("bootstrap".to_owned(), Value::from(true));
    let text = |key: &str| {
        let bytes = STANDARD.decode(secret.data.get(key)?).ok()?;
        String::from_utf8(bytes).ok()
    };
    credential.expires_at =
        text("expiration").and_then(|at| DateTime::parse_from_rfc3339(at.trim()).ok()).map(|at| at.to_utc());
    for usage in ["usage-bootstrap-authentication", "usage-bootstrap-signing"] {
        if text(usage).as_deref() == Some("true") {
            credential.attributes.insert(usage.replace('-', "_"), Value::from(true));
        }
    }
}

/// `<account>-token-<5 letters>`: how the token controller named what it made before Kubernetes 1.24.
fn is_generated(name: &str, account: &str) -> bool {
    let suffix = name.strip_prefix(account).and_then(|rest| rest.strip_prefix("-token-"));
    suffix.is_some_and(|suffix| {
        suffix.len() == 5 && suffix.chars().all(|letter| GENERATED_LETTERS.contains(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_are_told_from_chosen_ones() {
        assert!(is_generated("default-token-x7k9p", "default"));
        for (name, account) in [
            ("default-token-ab1de", "default"),
            ("default-token-x7k9pp", "default"),
            ("ci-token", "ci"),
            ("default-token-x7k9p", "web"),
        ] {
            assert!(!is_generated(name, account), "{name}");
        }
    }
}
