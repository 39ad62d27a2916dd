//! What the copies of one Secret or ConfigMap share: the object, its neighbours' bundle, its former values.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use claviger_core::{
    canonical::Neighbours,
    model::{Attributes, CopyStage, Labels, OwnerEvidence, Place},
    observation::{Content, ObservedCopy},
    reference::Ref,
    secret::SecretValue,
};
use serde_json::Value;

use super::Context;
use crate::{
    managed, version,
    wire::{self, LastApplied, Meta, Pairs, Text},
};

pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Version of a value that only the annotation still holds.
pub(crate) const LAST_APPLIED_VERSION: &str = "last-applied";

/// What all copies of one object share.
pub(super) struct Object {
    pub(super) at: Ref,
    pub(super) place: Place,
    pub(super) version: String,
    pub(super) created_at: Option<DateTime<Utc>>,
    pub(super) labels: Labels,
    pub(super) owners: Vec<OwnerEvidence>,
    pub(super) attributes: Attributes,
}

impl Object {
    pub(super) fn new(
        context: &Context<'_>,
        kind: &str,
        place: Place,
        meta: &Meta<'_>,
        immutable: bool,
    ) -> Self {
        let mut attributes = Attributes::new();
        if immutable {
            attributes.insert("immutable".to_owned(), Value::from(true));
        }
        if let Some(system) = managed::managed_by(meta) {
            attributes.insert("managed_by".to_owned(), Value::from(system));
        }
        Self {
            at: context.names.object(&meta.namespace.plain(), kind, &meta.name.plain()),
            place,
            version: version::of(meta),
            created_at: meta.creation_timestamp.as_ref().and_then(wire::time),
            labels: context.labels_of(meta),
            owners: context.owners_of(meta),
            attributes,
        }
    }

    pub(super) fn copy(
        &self,
        key: &str,
        content: Content,
        beside: &Neighbours,
        updated_at: Option<DateTime<Utc>>,
    ) -> ObservedCopy {
        ObservedCopy {
            at: self.at.field(key),
            key: key.to_owned(),
            version: Some(self.version.clone()),
            stage: CopyStage::Current,
            place: self.place,
            content,
            bundle: beside.describe(key),
            kind: None,
            issuer: None,
            created_at: self.created_at,
            updated_at: updated_at.or(self.created_at),
            last_used_at: None,
            labels: self.labels.clone(),
            owners: self.owners.clone(),
            attributes: self.attributes.clone(),
        }
    }

    /// What `kubectl apply` left behind: values that are former, or a note on those that still hold.
    pub(super) fn former(
        &self,
        meta: &Meta<'_>,
        current: &mut [(String, ObservedCopy)],
        beside: &Neighbours,
        is_base64: bool,
    ) -> Vec<ObservedCopy> {
        let Some(annotation) = meta.annotations.get(LAST_APPLIED) else { return Vec::new() };
        let mut left = Vec::new();
        let mut former = |key: &str, value: SecretValue| {
            let mut copy = self.copy(key, Content::Value(value), beside, None);
            copy.version = Some(LAST_APPLIED_VERSION.to_owned());
            copy.stage = CopyStage::Former;
            copy.updated_at = None;
            copy.attributes.insert("last_applied".to_owned(), Value::from(true));
            left.push(copy);
        };
        let Ok(applied) = wire::read::<LastApplied<'_>>(annotation.as_bytes()) else {
            former("annotations/last-applied-configuration", SecretValue::from_text(annotation.to_owned()));
            return left;
        };
        let plain = applied.string_data.0.into_iter().map(|pair| (pair, false));
        for ((key, value), encoded) in applied.data.0.into_iter().map(|pair| (pair, is_base64)).chain(plain) {
            let value = match encoded.then(|| STANDARD.decode(value.as_str())) {
                Some(Ok(bytes)) => SecretValue::new(bytes),
                // Not base64 after all: whatever it is, it was written there.
                Some(Err(_)) | None => SecretValue::from_text(value.into_value()),
            };
            let key = key.plain();
            let same = current.iter_mut().find(|(name, _)| *name == key);
            match same {
                Some((_, copy)) if matches!(&copy.content, Content::Value(now) if now.expose() == value.expose()) =>
                {
                    copy.attributes.insert("last_applied".to_owned(), Value::from(true));
                }
                _ if value.is_empty() => {}
                _ => former(&key, value),
            }
        }
        left
    }
}

/// Decodes values once: they are needed as neighbours before they are sent.
pub(super) fn decode<'a>(data: &Pairs<'a>) -> Vec<(Text<'a>, Content)> {
    let decode = |value: &Text<'_>| match STANDARD.decode(value.as_str()) {
        Ok(bytes) => Content::Value(SecretValue::new(bytes)),
        Err(_) => Content::Unreadable("its base64 is malformed".to_owned()),
    };
    data.0.iter().map(|(key, value)| (key.clone(), decode(value))).collect()
}

/// User, host and port beside the values.
pub(super) fn beside(values: &[(Text<'_>, Content)]) -> Neighbours {
    Neighbours::of(values.iter().filter_map(|(key, content)| match content {
        Content::Value(value) => Some((key.as_str(), value)),
        Content::Unreadable(_) => None,
    }))
}

/// When each key was last written, so far as the managed fields tell.
pub(super) fn written_at(meta: &Meta<'_>, key: &str) -> Option<DateTime<Utc>> {
    let owns = |field: &Text<'_>| field.as_str().strip_prefix("f:") == Some(key);
    meta.managed_fields
        .iter()
        .filter(|entry| entry.fields.data.0.iter().any(owns))
        .filter_map(|entry| entry.time.as_ref().and_then(wire::time))
        .max()
}
