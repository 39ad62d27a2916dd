//! One credential's view out of what was loaded.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use claviger_core::{
    fingerprint::Fingerprint,
    id::CredentialId,
    model::{Attributes, CopyStage, CredentialState, Labels, OwnerEvidence},
    reference::Ref,
    view::{ConsumerView, CopyView, CredentialView},
};

use super::{
    super::{
        super::text::{from_json, from_word},
        facts::{ConsumerFacts, CopyFacts, IdentityFacts, IssuedFacts},
        key,
    },
    copy::CopyRow,
    load::{Loaded, Read},
};
use crate::{
    Result,
    entity::{consumer, credential, issued},
};

type Issued = Read<issued::Model, IssuedFacts>;
type Copy = Read<CopyRow, CopyFacts>;

const CREDENTIAL: &str = "credential";

pub(super) fn view(now: DateTime<Utc>, row: &credential::Model, loaded: &Loaded) -> Result<CredentialView> {
    let issued = row.issuer_key.and_then(|key| loaded.issued.get(&key));
    let none = Vec::new();
    let copies = loaded.copies.get(&row.id).unwrap_or(&none);
    let current: Vec<&Copy> =
        copies.iter().filter(|copy| copy.row.stage == CopyStage::Current.as_str()).collect();
    let held: Vec<&Copy> =
        copies.iter().filter(|copy| copy.row.stage != CopyStage::Former.as_str()).collect();
    let created_at = issued
        .and_then(|issued| issued.facts.created_at)
        .or_else(|| current.iter().filter_map(|copy| copy.facts.created_at).min());
    let last_rotated_at = rotated(row, issued, &current);
    let expires_at = match issued {
        Some(issued) => issued.facts.expires_at,
        None => current.iter().filter_map(|copy| copy.facts.expires_at).min(),
    };
    let used = copies.iter().filter(|copy| copy.row.stage != CopyStage::Former.as_str());
    let last_used_at = match issued {
        Some(issued) => issued.row.last_used_at,
        None => used.filter_map(|copy| copy.row.last_used_at).max(),
    };
    let since = last_rotated_at.or(created_at);
    let made = since.unwrap_or(row.first_seen);
    let workloads: BTreeSet<&str> =
        loaded.consumers_of(row.id).into_iter().map(|consumer| consumer.row.at.as_str()).collect();
    let mut findings: BTreeSet<&String> = BTreeSet::new();
    if !loaded.findings.is_empty() {
        let subjects = copies.iter().map(|copy| key::subject(&copy.row.at)).chain([key::subject(&row.at)]);
        findings.extend(subjects.filter_map(|subject| loaded.findings.get(&subject)).flatten());
    }
    let seen =
        copies.iter().map(|copy| copy.row.last_seen).chain(issued.map(|issued| issued.row.last_seen)).max();
    Ok(CredentialView {
        id: CredentialId(row.id),
        at: Ref::from_text(row.at.as_str()),
        kind: from_word(CREDENTIAL, &row.kind)?,
        backend: row.backend.clone(),
        identity: issued.and_then(|issued| issued.facts.identity.clone()),
        owner: owners(row, loaded)?.into_iter().next().map(|evidence| evidence.owner),
        state: state(now, row, issued, expires_at)?,
        long_lived: expires_at.is_none_or(|end| end - made > Duration::hours(24)),
        created_at,
        last_rotated_at,
        expires_at,
        last_used_at,
        age_days: since.map(|since| (now - since).num_days()),
        next_due_at: None,
        policy: None,
        copies: count(held.len()),
        consumers: count(workloads.len()),
        findings: findings.into_iter().cloned().collect(),
        link: link(row, &current).to_owned(),
        labels: labels(issued, &current),
        attributes: attributes(row, issued, &current),
        first_seen: row.first_seen,
        last_seen: seen.or(row.gone_at).unwrap_or(row.first_seen),
    })
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The newest change of the value that is known: what the issuer says, what a rotation of ours or a scan saw. Without any of it, the value
/// is at least as old as the first write of a place that holds it.
fn rotated(row: &credential::Model, issued: Option<&Issued>, current: &[&Copy]) -> Option<DateTime<Utc>> {
    let told = issued.and_then(|issued| issued.facts.rotated_at);
    let seen = issued.and_then(|issued| issued.row.value_changed_at);
    let known = [told, seen, row.rotated_at].into_iter().flatten().max();
    if known.is_some() || issued.is_some() {
        return known;
    }
    current.iter().filter_map(|copy| copy.facts.updated_at).min()
}

/// What a revocation found out holds until the issuer is seen to list the credential as active again.
fn state(
    now: DateTime<Utc>,
    row: &credential::Model,
    issued: Option<&Issued>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<CredentialState> {
    let listed = issued.filter(|issued| issued.row.gone_at.is_none());
    if let (Some(state), Some(at)) = (&row.state, row.state_at) {
        let revived = listed
            .is_some_and(|issued| issued.row.last_seen > at && issued.facts.state == CredentialState::Active);
        if !revived {
            return from_word(CREDENTIAL, state);
        }
    }
    if row.gone_at.is_some() {
        return Ok(CredentialState::Gone);
    }
    let state = issued.map_or(CredentialState::Active, |issued| issued.facts.state);
    let over = expires_at.is_some_and(|end| end <= now);
    Ok(if over && state == CredentialState::Active { CredentialState::Expired } else { state })
}

fn link(row: &credential::Model, current: &[&Copy]) -> &'static str {
    if row.issuer_key.is_none() {
        let untried = current.iter().any(|copy| copy.facts.attributes.contains_key("link_not_tried"));
        return if untried { "not-tried" } else { "none" };
    }
    if current.is_empty() {
        return "none";
    }
    let weak = |copy: &&Copy| matches!(copy.row.evidence.as_deref(), Some("claimed" | "declared"));
    if current.iter().any(weak) { "claimed" } else { "proven" }
}

fn labels(issued: Option<&Issued>, current: &[&Copy]) -> Labels {
    let mut labels = issued.map(|issued| issued.facts.labels.clone()).unwrap_or_default();
    for (name, value) in current.iter().flat_map(|copy| &copy.facts.labels) {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    labels
}

/// The issuer's facts; without an issuer those of the copies, the first copy's first.
fn attributes(row: &credential::Model, issued: Option<&Issued>, current: &[&Copy]) -> Attributes {
    if let Some(issued) = issued {
        let mut attributes = issued.facts.attributes.clone();
        if issued.row.gone_at.is_some() && row.gone_at.is_none() {
            attributes.insert("issuer_gone".to_owned(), true.into());
        }
        return attributes;
    }
    let mut attributes = Attributes::new();
    for (name, value) in current.iter().flat_map(|copy| &copy.facts.attributes) {
        attributes.entry(name.clone()).or_insert_with(|| value.clone());
    }
    attributes
}

/// All hints at the owner, of the credential, its copies and its identity: strongest first, each once.
pub(super) fn owners(row: &credential::Model, loaded: &Loaded) -> Result<Vec<OwnerEvidence>> {
    let mut found: BTreeSet<OwnerEvidence> = BTreeSet::new();
    let issued = row.issuer_key.and_then(|key| loaded.issued.get(&key));
    if let Some(issued) = issued {
        found.extend(issued.facts.owners.iter().cloned());
        let identity = issued.row.identity_key.and_then(|key| loaded.identities.get(&key));
        if let Some(identity) = identity {
            let facts: IdentityFacts = from_json("identity", &identity.facts)?;
            found.extend(facts.owners);
        }
    }
    let copies = loaded.copies.get(&row.id).into_iter().flatten();
    found.extend(copies.flat_map(|copy| copy.facts.owners.iter().cloned()));
    let mut found: Vec<OwnerEvidence> = found.into_iter().collect();
    found.sort_by_key(|evidence| std::cmp::Reverse(evidence.weight));
    Ok(found)
}

/// `None` for a copy that was not linked yet.
pub(super) fn copy_view(copy: &Copy) -> Result<Option<CopyView>> {
    let Some(credential) = copy.row.credential_id else { return Ok(None) };
    let at = Ref::from_text(copy.row.at.as_str());
    let fingerprint = copy.row.fingerprint.as_deref().map(|bytes| {
        let bytes = bytes
            .try_into()
            .map_err(|_| crate::Error::inconsistent("credential_copy", "a fingerprint has 32 bytes"));
        bytes.map(|bytes| Fingerprint(bytes).to_string())
    });
    Ok(Some(CopyView {
        credential: CredentialId(credential),
        store: at.backend().to_owned(),
        path: at.path().to_owned(),
        field: at.field_name().map(str::to_owned),
        at,
        version: copy.facts.version.clone(),
        fingerprint: fingerprint.transpose()?,
        first_seen: copy.row.first_seen,
        last_seen: copy.row.last_seen,
        stage: copy.facts.stage,
        place: copy.facts.place,
        evidence: copy.row.evidence.clone().unwrap_or_else(|| "alone".to_owned()),
        labels: copy.facts.labels.clone(),
        attributes: copy.facts.attributes.clone(),
    }))
}

pub(super) fn consumer_view(
    consumer: &Read<consumer::Model, ConsumerFacts>,
    credential: Option<CredentialId>,
) -> ConsumerView {
    ConsumerView {
        credential,
        copy: Ref::from_text(consumer.row.reads.as_str()),
        at: Ref::from_text(consumer.row.at.as_str()),
        how: consumer.facts.how,
        container: consumer.facts.container.clone(),
        attributes: consumer.facts.attributes.clone(),
    }
}
