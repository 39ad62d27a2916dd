//! Keys of Secrets and ConfigMaps as a store.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_backend::{
    Effect, Error, ErrorKind, Expect, Field, Operation, Result, Store, StoreState, StoredValue,
};
use claviger_core::{reference::Ref, secret::SecretValue};
use http::Method;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    access,
    backend::KubernetesBackend,
    buffer::Buffer,
    connection::{Ask, JSON, MERGE_PATCH, OBJECT_LIMIT},
    failure::Failure,
    managed,
    place::Place,
    resource::{CONFIG_MAPS, Resource, SECRETS},
    version,
    wire::{self, Meta},
};

/// JSON object: data key to the key of the operation that wrote it last. One annotation, because a data key may be longer than an
/// annotation's name.
pub(crate) const OPERATIONS: &str = "claviger.dev/operations";
/// Who we are in the managed fields.
pub(crate) const MANAGER: &str = "fieldManager=claviger";

/// A Secret or ConfigMap with the fields that both have.
pub(crate) struct Object<'a> {
    pub(crate) meta: Meta<'a>,
    pub(crate) immutable: bool,
    /// The value of the key, decoded.
    pub(crate) value: Option<Result<Vec<u8>, ()>>,
    /// A ConfigMap's binary values lie beside the others.
    pub(crate) is_binary: bool,
}

/// A data key of a Secret or a ConfigMap.
pub(crate) struct Target {
    pub(crate) place: Place,
    pub(crate) resource: Resource,
    pub(crate) key: String,
}

impl Target {
    pub(crate) fn of(operation: &'static str, at: &Ref) -> Result<Self> {
        let place = Place::parse(operation, at)?;
        let resource = match place.kind.as_str() {
            "Secret" => SECRETS,
            "ConfigMap" => CONFIG_MAPS,
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    operation,
                    format!("{at}: only Secrets and ConfigMaps can be written"),
                )
                .with_hint("move the value into a Secret and let the workload read it there"));
            }
        };
        let Some(key) = place.key().map(str::to_owned) else {
            return Err(Error::new(ErrorKind::Invalid, operation, format!("{at} names no key"))
                .with_hint("a copy's ref ends with #<key>"));
        };
        Ok(Self { place, resource, key })
    }

    pub(crate) fn path(&self) -> String {
        self.resource.object(&self.place.namespace, &self.place.name)
    }
}

pub(crate) fn parse<'a>(target: &Target, body: &'a Buffer) -> Result<Object<'a>, Failure> {
    if target.resource == SECRETS {
        let secret: wire::Secret<'a> = wire::read(body)?;
        let value = secret.data.get(&target.key).map(|text| STANDARD.decode(text).map_err(|_| ()));
        return Ok(Object { value, meta: secret.metadata, immutable: secret.immutable, is_binary: false });
    }
    let map: wire::ConfigMap<'a> = wire::read(body)?;
    let binary = map.binary_data.get(&target.key).map(|text| STANDARD.decode(text).map_err(|_| ()));
    let is_binary = binary.is_some();
    let value = binary.or_else(|| map.data.get(&target.key).map(|text| Ok(text.as_bytes().to_vec())));
    Ok(Object { value, meta: map.metadata, immutable: map.immutable, is_binary })
}

/// The keys of past operations, by data key. An annotation that somebody broke is begun anew.
fn operations(meta: &Meta<'_>) -> BTreeMap<String, String> {
    meta.annotations.get(OPERATIONS).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

#[async_trait]
impl Store for KubernetesBackend {
    async fn read(&self, at: &Ref) -> Result<Option<StoredValue>> {
        let target = Target::of("read", at)?;
        let failed = |failure| self.error(failure, "read", &format!("get {at}"));
        let body = match self.connection.ask(Ask::get(target.path()), OBJECT_LIMIT).await {
            Ok(body) => body,
            Err(failure) if failure.is_absent() => return Ok(None),
            Err(failure) => return Err(failed(failure)),
        };
        let object = parse(&target, &body).map_err(failed)?;
        match object.value {
            None => Ok(None),
            Some(Err(())) => Err(failed(Failure::Malformed("a value that is not base64".to_owned()))),
            Some(Ok(value)) => Ok(Some(StoredValue {
                value: SecretValue::new(value),
                version: version::of(&object.meta),
                written_by: operations(&object.meta).remove(&target.key),
            })),
        }
    }

    async fn writable(&self, at: &Ref) -> Result<StoreState> {
        let target = Target::of("writable", at)?;
        let failed = |failure, what: &str| self.error(failure, "writable", &format!("{what} {at}"));
        let found = match self.connection.ask(Ask::get(target.path()), OBJECT_LIMIT).await {
            Ok(body) => {
                let object = parse(&target, &body).map_err(|failure| failed(failure, "get"))?;
                if object.immutable {
                    return Ok(StoreState::Refused(
                        "it is immutable: make a new object and let the workload read that".to_owned(),
                    ));
                }
                if let Some(system) = managed::managed_by(&object.meta) {
                    return Ok(StoreState::ManagedElsewhere(system));
                }
                true
            }
            Err(failure) if failure.is_absent() => false,
            Err(failure) if failure.is_forbidden() => {
                return Ok(StoreState::Refused(format!(
                    "it may not be read: grant {}",
                    target.resource.rule("get")
                )));
            }
            Err(failure) => return Err(failed(failure, "get")),
        };
        let (verb, name) = if found { ("patch", Some(target.place.name.as_str())) } else { ("create", None) };
        let allowed = access::allowed(self, verb, target.resource, Some(&target.place.namespace), name).await;
        Ok(if allowed.map_err(|failure| failed(failure, "ask whether we may write"))? {
            StoreState::Writable
        } else {
            StoreState::Refused(format!(
                "grant {} in namespace {}",
                target.resource.rule(verb),
                target.place.namespace
            ))
        })
    }

    async fn write(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<String> {
        self.write_together(op, &[Field { at, value }], expect).await
    }

    /// An object is one document, and a patch of it with its version is one change.
    async fn write_together(&self, op: &Operation, fields: &[Field<'_>], expect: &Expect) -> Result<String> {
        let invalid = |text: String| Error::new(ErrorKind::Invalid, "write", text);
        let at = fields.first().ok_or_else(|| invalid("there is nothing to write".to_owned()))?.at;
        let mut changes = Vec::with_capacity(fields.len());
        for field in fields {
            if field.at.object() != at.object() {
                return Err(invalid(format!("{} lies in another object than {at}", field.at)));
            }
            changes.push((Target::of("write", field.at)?, field.value));
        }
        match tokio::time::timeout(op.deadline, self.write_keys(op, at, &changes, expect)).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(
                ErrorKind::Unavailable,
                "write",
                format!("write {at}: no answer within the deadline"),
            )
            .with_effect(Effect::Unknown)),
        }
    }
}

/// Keys of one object, each with its new value.
type Changes<'a> = [(Target, &'a SecretValue)];

impl KubernetesBackend {
    async fn write_keys(
        &self,
        op: &Operation,
        at: &Ref,
        changes: &Changes<'_>,
        expect: &Expect,
    ) -> Result<String> {
        let conflict = |why: &str| Error::new(ErrorKind::Conflict, "write", format!("{at} {why}"));
        // What follows up to the patch only reads.
        let failed =
            |failure| self.error(failure, "write", &format!("get {at}")).with_effect(Effect::NotApplied);
        let Some((first, _)) = changes.first() else { return Err(conflict("has no key to be written")) };
        let body = match self.connection.ask(Ask::get(first.path()), OBJECT_LIMIT).await {
            Ok(body) => body,
            Err(failure) if failure.is_absent() => {
                return match expect {
                    Expect::Absent => self.create(op, at, first, changes).await,
                    Expect::Version(_) => Err(conflict("is gone")),
                };
            }
            Err(failure) => return Err(failed(failure)),
        };
        let mut binary = Vec::with_capacity(changes.len());
        for (target, _) in changes {
            let object = parse(target, &body).map_err(failed)?;
            match expect {
                Expect::Absent if object.value.is_some() => return Err(conflict("already has a value")),
                Expect::Version(_) if object.value.is_none() => {
                    return Err(conflict("has no value any more"));
                }
                Expect::Version(wanted) if *wanted != version::of(&object.meta) => {
                    return Err(conflict("was changed by somebody else"));
                }
                _ => {}
            }
            binary.push(object.is_binary);
        }
        let object = parse(first, &body).map_err(failed)?;
        if object.immutable {
            return Err(Error::new(ErrorKind::Invalid, "write", format!("{at} is immutable"))
                .with_hint("make a new object and let the workload read that"));
        }
        let change = Change {
            metadata: ChangeMeta {
                resource_version: Some(object.meta.resource_version.as_str()),
                uid: Some(object.meta.uid.as_str()),
                ..ChangeMeta::default()
            },
            ..Change::default()
        };
        let log = logged(op, operations(&object.meta), changes);
        let body = change.filled(changes, &binary, &log).ok_or_else(|| not_text(at))?;
        let ask = Ask::with_body(Method::PATCH, format!("{}?{MANAGER}", first.path()), MERGE_PATCH, body)
            .metadata_only();
        self.written(at, self.connection.ask(ask.within(op.deadline), OBJECT_LIMIT).await)
    }

    async fn create(
        &self,
        op: &Operation,
        at: &Ref,
        target: &Target,
        changes: &Changes<'_>,
    ) -> Result<String> {
        let change = Change {
            api_version: Some("v1"),
            kind: Some(target.resource.kind),
            metadata: ChangeMeta { name: Some(&target.place.name), ..ChangeMeta::default() },
            ..Change::default()
        };
        let log = logged(op, BTreeMap::new(), changes);
        let body = change.filled(changes, &[], &log).ok_or_else(|| not_text(at))?;
        let path = format!("{}?{MANAGER}", target.resource.collection(Some(&target.place.namespace)));
        let ask = Ask::with_body(Method::POST, path, JSON, body).metadata_only().within(op.deadline);
        self.written(at, self.connection.ask(ask, OBJECT_LIMIT).await)
    }

    fn written(&self, at: &Ref, answer: Result<Buffer, Failure>) -> Result<String> {
        let body = answer.map_err(|failure| self.error(failure, "write", &format!("write {at}")))?;
        let bare: wire::Bare<'_> = wire::read(&body).map_err(|failure| {
            self.error(failure, "write", &format!("write {at}")).with_effect(Effect::Applied)
        })?;
        Ok(version::of(&bare.metadata))
    }
}

/// The log of operations with this one in it.
fn logged(op: &Operation, mut log: BTreeMap<String, String>, changes: &Changes<'_>) -> String {
    log.extend(changes.iter().map(|(target, _)| (target.key.clone(), op.key.to_string())));
    serde_json::to_string(&log).expect("a map of strings is JSON")
}

fn not_text(at: &Ref) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "write",
        format!("{at}: a ConfigMap's text cannot hold bytes that are not UTF-8"),
    )
}

/// A merge patch or a new object.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Change<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    metadata: ChangeMeta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<BTreeMap<&'a str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_data: Option<BTreeMap<&'a str, &'a str>>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeMeta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    annotations: BTreeMap<&'static str, &'a str>,
}

impl Change<'_> {
    /// The JSON with the values and the log of operations in it; `None` when a ConfigMap's text cannot hold a value. `binary` says which of a
    /// ConfigMap's values are.
    fn filled(self, changes: &Changes<'_>, binary: &[bool], log: &str) -> Option<Vec<u8>> {
        let encoded: Vec<_> =
            changes.iter().map(|(_, value)| Zeroizing::new(STANDARD.encode(value.expose()))).collect();
        let (mut data, mut binary_data) = (BTreeMap::new(), BTreeMap::new());
        for (index, (target, value)) in changes.iter().enumerate() {
            let is_binary = binary.get(index).copied().unwrap_or(false);
            let is_text = target.resource == CONFIG_MAPS && !is_binary;
            let text = if is_text { value.expose_text()? } else { encoded[index].as_str() };
            let into = if is_binary { &mut binary_data } else { &mut data };
            into.insert(target.key.as_str(), text);
        }
        let change = Change {
            api_version: self.api_version,
            kind: self.kind,
            metadata: ChangeMeta { annotations: BTreeMap::from([(OPERATIONS, log)]), ..self.metadata },
            data: (!data.is_empty()).then_some(data),
            binary_data: (!binary_data.is_empty()).then_some(binary_data),
        };
        Some(serde_json::to_vec(&change).expect("strings are JSON"))
    }
}
