//! Taking values out of the places of the estate.

use async_trait::async_trait;
use claviger_backend::{Eraser, Error, ErrorKind, Expect, FormerValue, Operation, Result};
use claviger_core::reference::Ref;

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Estate, ObjectKind},
    store::{may_write, place},
    target::Target,
};

#[async_trait]
impl Eraser for SimulatedBackend {
    async fn erase(&self, op: &Operation, at: &Ref, version: &str) -> Result<()> {
        let (expect, key) = (Expect::Version(version.to_owned()), op.key.to_string());
        self.mutate("erase", op, at, |estate, target, now| {
            if place(estate, "erase", at, target)?.value.is_none() {
                return Ok(Change::nothing(()));
            }
            may_write(estate, at, target, &expect)?;
            let revision = estate.next_revision();
            match target {
                Target::Kv { path, key: field } => {
                    if let Some(entry) = estate.secret_store.paths.get_mut(path) {
                        let mut fields = entry.current().map(|it| it.fields.clone()).unwrap_or_default();
                        fields.remove(field);
                        entry.push(fields, now, Some(key.clone()));
                    }
                }
                Target::Object { namespace, object, key: Some(field) } => {
                    let Some(held) = estate.cluster.namespaces.get_mut(namespace) else {
                        return Err(gone(at));
                    };
                    match object.kind {
                        ObjectKind::Secret => {
                            let secret = held.secrets.get_mut(&object.name).ok_or_else(|| gone(at))?;
                            secret.data.remove(field);
                            (secret.version, secret.updated_at) = (revision, now);
                        }
                        ObjectKind::ConfigMap => {
                            let map = held.config_maps.get_mut(&object.name).ok_or_else(|| gone(at))?;
                            map.data.remove(field);
                            (map.version, map.updated_at) = (revision, now);
                        }
                    }
                }
                _ => {
                    let message = format!("{at} cannot be without a value");
                    return Err(Error::new(ErrorKind::Unsupported, "erase", message));
                }
            }
            Ok(Change::made(()))
        })
        .await
    }

    async fn former(&self, at: &Ref) -> Result<Vec<FormerValue>> {
        self.look("former", at, |estate, target, _| {
            let Target::Kv { path, key } = &target else { return Ok(Vec::new()) };
            place(estate, "former", at, &target)?;
            let Some(entry) = estate.secret_store.paths.get(path) else { return Ok(Vec::new()) };
            let current = entry.current().map(|version| version.number);
            let former = entry.versions.iter().filter(|version| Some(version.number) != current);
            let held = former.filter_map(|version| {
                let value = version.fields.get(key)?.secret();
                Some(FormerValue { version: version.number.to_string(), value })
            });
            Ok(held.collect())
        })
        .await
    }

    async fn destroy(&self, op: &Operation, at: &Ref, version: &str) -> Result<()> {
        let version = version.to_owned();
        self.mutate("destroy", op, at, |estate, target, _| {
            let Target::Kv { path, .. } = target else { return Ok(Change::nothing(())) };
            place(estate, "destroy", at, target)?;
            let there = kept(estate, path, &version);
            match there {
                None => return Ok(Change::nothing(())),
                Some(true) => {
                    let message = format!("{at}: version {version} is in force");
                    return Err(Error::new(ErrorKind::Conflict, "destroy", message));
                }
                Some(false) => {}
            }
            if let Some(entry) = estate.secret_store.paths.get_mut(path) {
                entry.versions.retain(|kept| kept.number.to_string() != version);
            }
            estate.next_revision();
            Ok(Change::made(()))
        })
        .await
    }
}

/// Is this version kept, and if so, is it the one in force?
fn kept(estate: &Estate, path: &str, version: &str) -> Option<bool> {
    let entry = estate.secret_store.paths.get(path)?;
    let found = entry.versions.iter().find(|kept| kept.number.to_string() == version)?;
    Some(entry.current().is_some_and(|current| current.number == found.number))
}

fn gone(at: &Ref) -> Error {
    Error::new(ErrorKind::NotFound, "erase", format!("{at}: there is no such object"))
}
