//! From what a scan saw to rows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use claviger_core::reference::Ref;
use uuid::Uuid;

use super::{
    super::text::{micros, text, to_json},
    facts::{ConsumerFacts, CopyFacts, IdentityFacts, IssuedFacts, PrivilegeFacts, rank},
    key,
};
use crate::{
    Merged, MergedConsumer, MergedCopy, MergedCredential, MergedGrant, MergedIdentity,
    entity::{consumer, copy, identity, issued, privilege},
};

/// What all rows of a page share.
pub(super) struct Stamp {
    pub(super) epoch: i64,
    pub(super) at: DateTime<Utc>,
    pub(super) backend: String,
    pub(super) scope: Uuid,
}

/// A page's items by table and id: what comes twice counts once, and rows are locked in the same order by everybody.
#[derive(Default)]
pub(super) struct Items {
    pub(super) identities: BTreeMap<Uuid, MergedIdentity>,
    pub(super) issued: BTreeMap<Uuid, MergedCredential>,
    pub(super) copies: BTreeMap<Uuid, MergedCopy>,
    pub(super) consumers: BTreeMap<Uuid, MergedConsumer>,
    pub(super) grants: BTreeMap<Uuid, MergedGrant>,
}

impl Items {
    pub(super) fn sort(items: Vec<Merged>) -> Self {
        let mut sorted = Self::default();
        for item in items {
            match item {
                Merged::Identity(mut seen) => {
                    clean(&mut seen.at);
                    sorted.identities.insert(key::identity(&seen.at), seen);
                }
                Merged::Credential(mut seen) => {
                    clean(&mut seen.at);
                    sorted.issued.insert(key::issued(seen.at.as_str()), seen);
                }
                Merged::Copy(mut seen) => {
                    clean(&mut seen.at);
                    let id = key::copy(&seen.at, seen.stage, seen.version.as_deref());
                    sorted.copies.insert(id, *seen);
                }
                Merged::Consumer(mut seen) => {
                    clean(&mut seen.at);
                    clean(&mut seen.reads);
                    sorted.consumers.insert(key::consumer(&seen), seen);
                }
                Merged::Grant(mut seen) => {
                    clean(&mut seen.identity);
                    clean(&mut seen.source);
                    sorted.grants.insert(key::privilege(&seen), seen);
                }
            }
        }
        sorted
    }
}

fn clean(at: &mut Ref) {
    if at.as_str().contains('\0') {
        *at = Ref::from_text(text(at.as_str()));
    }
}

pub(super) fn identity_row(id: Uuid, seen: MergedIdentity, stamp: &Stamp) -> identity::Model {
    let facts = to_json(&IdentityFacts {
        kind: seen.kind,
        created_at: seen.created_at.map(micros),
        disabled: seen.disabled,
        labels: seen.labels,
        owners: seen.owners,
        attributes: seen.attributes,
    });
    identity::Model {
        id,
        scope_id: stamp.scope,
        backend: stamp.backend.clone(),
        at: seen.at.as_str().to_owned(),
        kind: seen.kind.as_str().to_owned(),
        digest: key::digest(&facts),
        facts,
        last_used_at: seen.last_used_at.map(micros),
        first_seen: stamp.at,
        last_seen: stamp.at,
        last_scan: stamp.epoch,
        gone_at: None,
    }
}

pub(super) fn issued_row(id: Uuid, seen: MergedCredential, stamp: &Stamp) -> issued::Model {
    let identity_key = seen.identity.as_ref().map(key::identity);
    let handle = seen.handle.as_ref().map(|handle| text(&handle.to_string()));
    let facts = to_json(&IssuedFacts {
        kind: seen.kind,
        identity: seen.identity,
        state: seen.state,
        created_at: seen.created_at.map(micros),
        rotated_at: seen.rotated_at.map(micros),
        expires_at: seen.expires_at.map(micros),
        handle: seen.handle,
        verifier: seen.verifier.map(|verifier| verifier.to_string()),
        labels: seen.labels,
        owners: seen.owners,
        attributes: seen.attributes,
    });
    issued::Model {
        id,
        scope_id: stamp.scope,
        backend: stamp.backend.clone(),
        at: seen.at.as_str().to_owned(),
        kind: seen.kind.as_str().to_owned(),
        identity_key,
        handle,
        dirty: true,
        value_changed_at: None,
        digest: key::digest(&facts),
        facts,
        last_used_at: seen.last_used_at.map(micros),
        first_seen: stamp.at,
        last_seen: stamp.at,
        last_scan: stamp.epoch,
        gone_at: None,
    }
}

pub(super) fn copy_row(id: Uuid, seen: MergedCopy, stamp: &Stamp) -> copy::Model {
    let group_key = match &seen.fingerprint {
        Some((_, fingerprint)) if seen.strong => key::value_group(fingerprint),
        _ => key::place_group(seen.at.as_str()),
    };
    let handle = seen.handle.as_ref().map(|handle| text(&handle.to_string()));
    let (issuer, evidence) = match seen.link {
        Some(link) => (Some(Ref::from_text(text(link.issuer.as_str()))), Some(link.evidence)),
        None => (None, None),
    };
    let facts = to_json(&CopyFacts {
        field_at: seen.field_at,
        pointer: seen.pointer,
        version: seen.version,
        stage: seen.stage,
        place: seen.place,
        kind: seen.kind,
        form: seen.fingerprint.as_ref().map(|(form, _)| form.as_str().to_owned()),
        fingerprint: seen.fingerprint.as_ref().map(|(_, fingerprint)| fingerprint.to_string()),
        strong: seen.strong,
        handle: seen.handle,
        issuer: issuer.clone(),
        evidence: evidence.map(|evidence| evidence.as_str().to_owned()),
        subject: seen.subject,
        created_at: seen.created_at.map(micros),
        updated_at: seen.updated_at.map(micros),
        expires_at: seen.expires_at.map(micros),
        labels: seen.labels,
        owners: seen.owners,
        attributes: seen.attributes,
    });
    copy::Model {
        id,
        scope_id: stamp.scope,
        backend: stamp.backend.clone(),
        object_key: key::object(&seen.at),
        current_id: key::copy(&seen.at, claviger_core::model::CopyStage::Current, None),
        at: seen.at.as_str().to_owned(),
        stage: seen.stage.as_str().to_owned(),
        kind: seen.kind.as_str().to_owned(),
        fingerprint: seen.fingerprint.map(|(_, fingerprint)| fingerprint.0.to_vec()),
        strong: seen.strong,
        group_key,
        handle,
        issuer: issuer.map(|issuer| issuer.as_str().to_owned()),
        issuer_rank: evidence.map(rank),
        credential_id: None,
        evidence: None,
        dirty: true,
        digest: key::digest(&facts),
        facts,
        last_used_at: seen.last_used_at.map(micros),
        first_seen: stamp.at,
        last_seen: stamp.at,
        last_scan: stamp.epoch,
        gone_at: None,
    }
}

pub(super) fn consumer_row(id: Uuid, seen: MergedConsumer, stamp: &Stamp) -> consumer::Model {
    let facts =
        to_json(&ConsumerFacts { how: seen.how, container: seen.container, attributes: seen.attributes });
    consumer::Model {
        id,
        scope_id: stamp.scope,
        backend: stamp.backend.clone(),
        at: seen.at.as_str().to_owned(),
        object_key: key::object(&seen.reads),
        reads: seen.reads.as_str().to_owned(),
        digest: key::digest(&facts),
        facts,
        first_seen: stamp.at,
        last_seen: stamp.at,
        last_scan: stamp.epoch,
        gone_at: None,
    }
}

pub(super) fn privilege_row(id: Uuid, seen: MergedGrant, stamp: &Stamp) -> privilege::Model {
    let identity_key = key::identity(&seen.identity);
    let at = seen.source.as_str().to_owned();
    let facts = to_json(&PrivilegeFacts {
        identity: seen.identity,
        privilege: seen.privilege,
        reach: seen.reach,
        level: seen.level,
        attributes: seen.attributes,
    });
    privilege::Model {
        id,
        scope_id: stamp.scope,
        backend: stamp.backend.clone(),
        identity_key,
        at,
        digest: key::digest(&facts),
        facts,
        first_seen: stamp.at,
        last_seen: stamp.at,
        last_scan: stamp.epoch,
        gone_at: None,
    }
}
