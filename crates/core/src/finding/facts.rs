//! What rules ask of a view. The answer to a question about something unknown is `None` or `false`, never a guess.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{Context, Draft};
use crate::{
    canonical::Weakness,
    model::{Attributes, CopyStage, CredentialKind, CredentialState},
    reference::Ref,
    trust::Gap,
    view::{CopyView, CredentialDetail, CredentialView, IdentityView},
};

/// As many refs as evidence names; the count is always whole.
const NAMED: usize = 20;

/// True if there is still something to say about it: neither revoked nor gone.
pub(super) fn live(credential: &CredentialView) -> bool {
    !matches!(
        credential.state,
        CredentialState::RevokedProven
            | CredentialState::RevokedAttested
            | CredentialState::RevokedUnproven
            | CredentialState::Gone
    )
}

/// True if it would be accepted, as far as its state says: live, and neither expired, suspended nor quarantined.
pub(super) fn usable(credential: &CredentialView) -> bool {
    matches!(
        credential.state,
        CredentialState::Active
            | CredentialState::Superseded
            | CredentialState::Compromised
            | CredentialState::Mitigated
    )
}

/// The copies that readers get now.
pub(super) fn current(detail: &CredentialDetail) -> impl Iterator<Item = &CopyView> {
    detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current)
}

/// The current copies by value, as far as their values are known.
pub(super) fn by_fingerprint(detail: &CredentialDetail) -> BTreeMap<&str, Vec<&CopyView>> {
    let mut groups: BTreeMap<&str, Vec<&CopyView>> = BTreeMap::new();
    for copy in current(detail) {
        if let Some(fingerprint) = &copy.fingerprint {
            groups.entry(fingerprint).or_default().push(copy);
        }
    }
    groups
}

/// Current copies whose value was found to be weak in one of these ways, when it was in memory.
pub(super) fn weak<'a>(
    detail: &'a CredentialDetail,
    ways: &'a [Weakness],
) -> impl Iterator<Item = &'a CopyView> {
    current(detail).filter(move |copy| {
        text(&copy.attributes, "weak").is_some_and(|word| ways.iter().any(|way| way.to_string() == word))
    })
}

/// A boolean attribute that is there and true.
pub(super) fn flag(attributes: &Attributes, key: &str) -> bool {
    attributes.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// A whole number.
pub(super) fn number(attributes: &Attributes, key: &str) -> Option<i64> {
    attributes.get(key).and_then(Value::as_i64)
}

/// A text.
pub(super) fn text<'a>(attributes: &'a Attributes, key: &str) -> Option<&'a str> {
    attributes.get(key).and_then(Value::as_str)
}

/// What a role does not ask of those who may become it, the worst first.
pub(super) fn gaps(attributes: &Attributes) -> Vec<Gap> {
    let said: Vec<&str> = attributes
        .get("trust_gaps")
        .and_then(Value::as_array)
        .map(|words| words.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    Gap::ALL.iter().copied().filter(|gap| said.contains(&gap.as_str())).collect()
}

/// A draft with what is known of whom a role lets in.
pub(super) fn trust_evidence(draft: Draft, attributes: &Attributes) -> Draft {
    const TOLD: [&str; 11] = [
        "web_identity_providers",
        "web_identity_subjects",
        "web_identity_audiences",
        "trusted_organisations",
        "trusted_principals",
        "bound_service_account_names",
        "bound_service_account_namespaces",
        "audience",
        "bound_subject",
        "bound_claims",
        "attribute_condition",
    ];
    let told = TOLD.into_iter().filter_map(|key| Some((key, attributes.get(key)?.clone())));
    told.fold(draft, |draft, (key, value)| draft.with(key, value))
}

/// What the issuer or any current copy says under this key.
pub(super) fn said<'a>(detail: &'a CredentialDetail, key: &'a str) -> impl Iterator<Item = &'a Value> {
    let issuer = detail.credential.attributes.get(key);
    issuer.into_iter().chain(current(detail).filter_map(move |copy| copy.attributes.get(key)))
}

/// True if the issuer or any current copy says so.
pub(super) fn said_true(detail: &CredentialDetail, key: &str) -> bool {
    said(detail, key).any(|value| value.as_bool() == Some(true))
}

/// Kind of the object in a ref of a cluster, `…/<Kind>/<name>`: kinds are written in UpperCamelCase.
pub(super) fn object_kind(at: &Ref) -> Option<&str> {
    let mut segments = at.path().rsplit('/');
    segments.next()?;
    segments.next().filter(|kind| kind.starts_with(|first: char| first.is_ascii_uppercase()))
}

/// Kind of the object that a copy lies in: manifests say it, since their refs are files; refs of clusters show it.
pub(super) fn document_kind(copy: &CopyView) -> Option<&str> {
    text(&copy.attributes, "object_kind").or_else(|| object_kind(&copy.at))
}

/// Name of the object in a ref: its path's last segment.
pub(super) fn object_name(at: &Ref) -> &str {
    at.path().rsplit('/').next().unwrap_or_default()
}

/// Where an object of a cluster lives, `<backend>/…/<namespace>`.
pub(super) fn namespace_of(at: &Ref) -> Option<&str> {
    object_kind(at)?;
    let object = at.as_str().split('#').next().unwrap_or_default();
    let mut parts = object.rsplitn(3, '/');
    parts.next()?;
    parts.next()?;
    parts.next()
}

/// A kind of Kubernetes principal whose name Kubernetes keeps for itself: `system:` users and groups.
pub(super) fn is_system(identity: &IdentityView) -> bool {
    object_name(&identity.at).starts_with("system:")
}

/// When the value last changed; else when it was made; else unknown.
pub(super) fn value_since(credential: &CredentialView) -> Option<DateTime<Utc>> {
    credential.last_rotated_at.or(credential.created_at)
}

/// True if so many whole days lie between.
pub(super) fn older_than(at: DateTime<Utc>, days: i64, now: DateTime<Utc>) -> bool {
    now - at > TimeDelta::days(days)
}

/// True if its lifetime is a question of age: certificates and bound tokens carry their own end, which other rules look at.
pub(super) fn ages(credential: &CredentialView) -> bool {
    usable(credential)
        && credential.long_lived
        && !matches!(credential.kind, CredentialKind::Certificate | CredentialKind::BoundToken)
}

/// True if it is a token of Vault or OpenBao at its issuer.
pub(super) fn is_vault_token(credential: &CredentialView) -> bool {
    credential.kind == CredentialKind::Token && credential.at.path().contains("auth/token/accessor/")
}

/// Days after which something that its issuer says was never used counts as unused.
const NEVER_USED_DAYS: i64 = 30;

/// It was last used long ago, or its issuer says never and it is older than a month.
pub(super) fn disuse(detail: &CredentialDetail, context: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    if !usable(credential) {
        return None;
    }
    if let Some(used) = credential.last_used_at {
        return older_than(used, context.unused_days, context.now).then(|| {
            Draft::of(&credential.at, format!("It was last used on {}", day(used)))
                .with("last_used_at", instant(used))
                .with("limit_days", context.unused_days)
        });
    }
    let made = credential.created_at?;
    let never = flag(&credential.attributes, "never_used") && older_than(made, NEVER_USED_DAYS, context.now);
    never.then(|| {
        Draft::of(&credential.at, format!("It was made on {} and never used", day(made)))
            .with("created_at", instant(made))
            .with("never_used", true)
    })
}

/// A day, as titles write it.
pub(super) fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}

/// An instant, as evidence writes it.
pub(super) fn instant(at: DateTime<Utc>) -> Value {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true).into()
}

/// Refs in order, each once, at most 20.
pub(super) fn refs<'a>(refs: impl Iterator<Item = &'a Ref>) -> Value {
    let mut refs: Vec<&Ref> = refs.collect();
    refs.sort_unstable();
    refs.dedup();
    refs.into_iter().take(NAMED).map(|at| Value::from(at.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_of_clusters_are_taken_apart() {
        let at = Ref::from_text("prod/payments/Secret/db#a/B/c");
        assert_eq!(object_kind(&at), Some("Secret"));
        assert_eq!(object_name(&at), "db");
        assert_eq!(namespace_of(&at), Some("prod/payments"));
        assert_eq!(namespace_of(&Ref::from_text("sim/k8s/web/Deployment/app")), Some("sim/k8s/web"));
        for other in ["db/role/app", "vault/secret/app#x", "prod", ""] {
            assert_eq!(namespace_of(&Ref::from_text(other)), None, "{other}");
        }
    }

    #[test]
    fn evidence_names_each_ref_once_and_not_too_many() {
        let many: Vec<Ref> =
            (0..30).flat_map(|n| [n, n]).map(|n| Ref::from_text(format!("a/{n:02}"))).collect();
        let named = refs(many.iter());
        let named = named.as_array().expect("a list");
        assert_eq!(named.len(), NAMED);
        assert_eq!(named[0], "a/00");
        assert_eq!(named[1], "a/01");
    }

    #[test]
    fn absence_is_not_a_fact() {
        let mut attributes = Attributes::new();
        assert!(!flag(&attributes, "root"));
        attributes.insert("root".to_owned(), "true".into());
        assert!(!flag(&attributes, "root"), "a text is not a boolean");
        assert_eq!(number(&attributes, "root"), None);
    }
}
