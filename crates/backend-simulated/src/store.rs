use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_backend::{Error, ErrorKind, Expect, Field, Operation, Result, Store, StoreState, StoredValue};
use claviger_core::{reference::Ref, secret::SecretValue};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{
        Container, Deployment, EnvSource, Estate, KvEntry, Namespace, ObjectKind, ObjectName, Planted,
        SecretType,
    },
    target::Target,
};

#[async_trait]
impl Store for SimulatedBackend {
    async fn read(&self, at: &Ref) -> Result<Option<StoredValue>> {
        self.look("read", at, |estate, target, _| {
            let place = place(estate, "read", at, &target)?;
            Ok(place.value.map(|value| StoredValue {
                value: value.secret(),
                version: place.version.unwrap_or_default(),
                written_by: place.written_by,
            }))
        })
        .await
    }

    async fn writable(&self, at: &Ref) -> Result<StoreState> {
        self.look("writable", at, |estate, target, _| {
            let place = match place(estate, "writable", at, &target) {
                Ok(place) => place,
                Err(error) if error.kind() == ErrorKind::Denied => {
                    return Ok(StoreState::Refused(error.message().to_owned()));
                }
                Err(error) => return Err(error),
            };
            Ok(match (place.refused, place.managed_by) {
                (Some(why), _) => StoreState::Refused(why.to_owned()),
                (None, Some(system)) => StoreState::ManagedElsewhere(system),
                (None, None) => StoreState::Writable,
            })
        })
        .await
    }

    async fn write(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<String> {
        self.write_together(op, &[Field { at, value }], expect).await
    }

    async fn write_together(&self, op: &Operation, fields: &[Field<'_>], expect: &Expect) -> Result<String> {
        let Some(first) = fields.first() else {
            return Err(Error::new(ErrorKind::Invalid, "write", "there is nothing to write"));
        };
        let (at, key, expect) = (first.at, op.key.to_string(), expect.clone());
        self.mutate("write", op, at, |estate, _, now| {
            let mut written = Vec::with_capacity(fields.len());
            for field in fields {
                if field.at.object() != at.object() {
                    let message = format!("{} lies in another object than {at}", field.at);
                    return Err(Error::new(ErrorKind::Invalid, "write", message));
                }
                let target = Target::parse("write", field.at)?;
                may_write(estate, field.at, &target, &expect)?;
                written.push((target, Planted::from_secret(field.value)));
            }
            Ok(Change::made(write(estate, at, &written, &key, now)?))
        })
        .await
    }
}

pub(crate) fn may_write(estate: &Estate, at: &Ref, target: &Target, expect: &Expect) -> Result<()> {
    let place = place(estate, "write", at, target)?;
    if let Some(why) = place.refused {
        return Err(Error::new(ErrorKind::Denied, "write", format!("{at}: {why}")));
    }
    let holds = match expect {
        Expect::Absent => place.value.is_none(),
        Expect::Version(version) => place.value.is_some() && place.version.as_ref() == Some(version),
    };
    if holds {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, "write", format!("{at} is not at the expected version")))
}

/// What lies at a ref.
pub(crate) struct Place {
    pub(crate) value: Option<Planted>,
    /// Version of the object, also where the field is absent.
    version: Option<String>,
    written_by: Option<String>,
    refused: Option<&'static str>,
    managed_by: Option<String>,
}

impl Place {
    fn nothing() -> Self {
        Self { value: None, version: None, written_by: None, refused: None, managed_by: None }
    }
}

pub(crate) fn place(estate: &Estate, operation: &'static str, at: &Ref, target: &Target) -> Result<Place> {
    match target {
        Target::Kv { path, key } => {
            let Some(entry) = estate.secret_store.paths.get(path) else { return Ok(Place::nothing()) };
            if entry.denied {
                return Err(denied(operation, at));
            }
            let current = entry.current();
            Ok(Place {
                value: current.and_then(|version| version.fields.get(key).cloned()),
                version: current.map(|version| version.number.to_string()),
                written_by: current.and_then(|version| version.written_by.clone()),
                ..Place::nothing()
            })
        }
        Target::Object { namespace, object, key: Some(key) } => {
            let Some(held) = open(estate, operation, at, namespace)? else { return Ok(Place::nothing()) };
            Ok(object_place(estate, held, namespace, object, key))
        }
        Target::Literal { namespace, name, container, variable } => {
            let Some(held) = open(estate, operation, at, namespace)? else { return Ok(Place::nothing()) };
            let Some(deployment) = held.deployments.get(name) else { return Ok(Place::nothing()) };
            Ok(Place {
                value: literal(deployment, container, variable),
                version: Some(deployment.version.to_string()),
                written_by: deployment.written_by.clone(),
                ..Place::nothing()
            })
        }
        _ => Err(Error::new(ErrorKind::Invalid, operation, format!("{at} is no place that holds a value"))),
    }
}

fn object_place(estate: &Estate, held: &Namespace, namespace: &str, object: &ObjectName, key: &str) -> Place {
    if object.kind == ObjectKind::ConfigMap {
        let Some(map) = held.config_maps.get(&object.name) else { return Place::nothing() };
        return Place {
            value: map.data.get(key).cloned(),
            version: Some(map.version.to_string()),
            written_by: map.written_by.clone(),
            ..Place::nothing()
        };
    }
    let Some(secret) = held.secrets.get(&object.name) else { return Place::nothing() };
    let (value, refused) = match &secret.kind {
        SecretType::ServiceAccountToken { account, .. } if key == "token" => (
            estate.legacy_token(namespace, &object.name, account),
            Some("the cluster itself writes the token of a token Secret"),
        ),
        _ => (secret.data.get(key).cloned(), secret.immutable.then_some("the Secret is immutable")),
    };
    Place {
        value,
        version: Some(secret.version.to_string()),
        written_by: secret.written_by.clone(),
        refused,
        managed_by: secret.managed_by.clone(),
    }
}

fn open<'a>(
    estate: &'a Estate,
    operation: &'static str,
    at: &Ref,
    namespace: &str,
) -> Result<Option<&'a Namespace>> {
    match estate.cluster.namespaces.get(namespace) {
        Some(held) if held.denied => Err(denied(operation, at)),
        held => Ok(held),
    }
}

fn literal(deployment: &Deployment, container: &str, variable: &str) -> Option<Planted> {
    let container = deployment.containers.iter().find(|held| held.name == container)?;
    match container.env.get(variable)? {
        EnvSource::Literal(value) => Some(value.clone()),
        EnvSource::Field { .. } => None,
    }
}

/// Writes fields of one object as one change.
fn write(
    estate: &mut Estate,
    at: &Ref,
    fields: &[(Target, Planted)],
    op_key: &str,
    now: DateTime<Utc>,
) -> Result<String> {
    let gone = || Error::new(ErrorKind::NotFound, "write", format!("{at}: there is no such object"));
    let revision = estate.next_revision();
    let Some((first, _)) = fields.first() else { return Err(gone()) };
    match first {
        Target::Kv { path, .. } => {
            let empty = KvEntry { versions: Vec::new(), labels: BTreeMap::new(), denied: false };
            let entry = estate.secret_store.paths.entry(path.clone()).or_insert(empty);
            let mut content = entry.current().map(|version| version.fields.clone()).unwrap_or_default();
            for (target, value) in fields {
                let Target::Kv { key, .. } = target else { return Err(gone()) };
                content.insert(key.clone(), value.clone());
            }
            Ok(entry.push(content, now, Some(op_key.to_owned())).to_string())
        }
        Target::Object { namespace, object, .. } => {
            let held = estate.cluster.namespaces.get_mut(namespace).ok_or_else(gone)?;
            let data = match object.kind {
                ObjectKind::Secret => {
                    let secret = held.secrets.get_mut(&object.name).ok_or_else(gone)?;
                    (secret.version, secret.updated_at) = (revision, now);
                    secret.written_by = Some(op_key.to_owned());
                    &mut secret.data
                }
                ObjectKind::ConfigMap => {
                    let map = held.config_maps.get_mut(&object.name).ok_or_else(gone)?;
                    (map.version, map.updated_at) = (revision, now);
                    map.written_by = Some(op_key.to_owned());
                    &mut map.data
                }
            };
            for (target, value) in fields {
                let Target::Object { key: Some(key), .. } = target else { return Err(gone()) };
                data.insert(key.clone(), value.clone());
            }
            Ok(revision.to_string())
        }
        Target::Literal { namespace, name, .. } => {
            let held = estate.cluster.namespaces.get_mut(namespace).ok_or_else(gone)?;
            let deployment = held.deployments.get_mut(name).ok_or_else(gone)?;
            for (target, value) in fields {
                let Target::Literal { container, variable, .. } = target else { return Err(gone()) };
                let is_it = |held: &&mut Container| held.name == *container;
                let found = deployment.containers.iter_mut().find(is_it).ok_or_else(gone)?;
                found.env.insert(variable.clone(), EnvSource::Literal(value.clone()));
            }
            deployment.version = revision;
            deployment.written_by = Some(op_key.to_owned());
            // A changed specification is a rollout by itself.
            crate::runtime::roll_out(estate, namespace, name, op_key, now);
            Ok(revision.to_string())
        }
        _ => Err(gone()),
    }
}

fn denied(operation: &'static str, at: &Ref) -> Error {
    Error::new(ErrorKind::Denied, operation, format!("{at}: closed to us"))
}
