//! KV as a store of copies.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use claviger_backend::{
    Error, ErrorKind, Expect, Field as Change, Operation, Result, Store, StoreState, StoredValue,
};
use claviger_core::{reference::Ref, secret::SecretValue};
use reqwest::Method;

use crate::{
    backend::VaultBackend,
    check::capabilities,
    client::ApiPath,
    kv::{Field, read_version},
    labels::managed_by,
    mounts::{Mount, MountKind, resolve},
    names::{Names, Subject},
};

/// A field's place, resolved.
pub(crate) struct Place {
    pub(crate) mount: Mount,
    pub(crate) path: String,
    pub(crate) key: String,
}

impl VaultBackend {
    pub(crate) async fn place(&self, operation: &'static str, at: &Ref) -> Result<Place> {
        let wrong = |why: &str| Error::new(ErrorKind::Unsupported, operation, format!("{at}: {why}"));
        let Subject::Path { path, key } = Names::subject(at) else {
            return Err(wrong("not a field of a KV secret"));
        };
        if key.is_empty() {
            return Err(wrong("the ref names no field"));
        }
        let mount = self.mount_of(operation, &path).await?;
        let mount = mount.ok_or_else(|| {
            Error::new(
                ErrorKind::Denied,
                operation,
                format!("{at}: no mount there that our token has a rule for"),
            )
        })?;
        if !matches!(mount.kind, MountKind::Kv1 | MountKind::Kv2) {
            return Err(wrong("not in a KV mount"));
        }
        let inner =
            path.strip_prefix(mount.path.as_str()).unwrap_or_default().trim_start_matches('/').to_owned();
        if inner.is_empty() {
            return Err(wrong("the ref names a mount, not a secret in it"));
        }
        Ok(Place { mount, path: inner, key })
    }

    /// Mounts are asked for once; they do not move while a process runs, and a wrong answer would be an error of the server, not a wrong write.
    async fn mount_of(&self, operation: &'static str, path: &str) -> Result<Option<Mount>> {
        let mut known = self.known.lock().await;
        let below =
            |mount: &Mount| path.strip_prefix(mount.path.as_str()).is_some_and(|rest| rest.starts_with('/'));
        if let Some(found) = known.iter().find(|mount| below(mount)) {
            return Ok(Some(found.clone()));
        }
        let found = resolve(&self.api, operation, path).await?;
        known.extend(found.clone());
        Ok(found)
    }

    pub(crate) fn field<'a>(&'a self, place: &'a Place) -> Field<'a> {
        Field {
            api: &self.api,
            mount: &place.mount.path,
            path: &place.path,
            key: &place.key,
            versioned: place.mount.kind == MountKind::Kv2,
            version_key: self.version_key.as_ref().map(Arc::as_ref),
        }
    }
}

/// Fields of KV secrets, `<mount>/<path>#<key>`. A version token is the version's number (version 2), or a keyed digest of the content
/// (version 1, which cannot compare and set: see [`Field::write`]).
#[async_trait]
impl Store for VaultBackend {
    async fn read(&self, at: &Ref) -> Result<Option<StoredValue>> {
        let place = self.place("read", at).await?;
        self.field(&place).read().await
    }

    async fn writable(&self, at: &Ref) -> Result<StoreState> {
        let place = self.place("writable", at).await?;
        let versioned = place.mount.kind == MountKind::Kv2;
        if !versioned && self.version_key.is_none() {
            let why = "KV version 1 keeps no versions, so a write cannot be guarded: upgrade the mount to version 2";
            return Ok(StoreState::Refused(why.into()));
        }
        let part = if versioned { "data/" } else { "" };
        let path = format!("{}/{part}{}", place.mount.path, place.path);
        let found = capabilities(&self.api, "writable", std::slice::from_ref(&path)).await?;
        let has = found.get(&path).map(Vec::as_slice).unwrap_or_default();
        let may = |name: &str| has.iter().any(|has| has == name || has == "root");
        if !may("read") {
            return Ok(StoreState::Refused(format!(
                "our token lacks `read` on {path}, and the field's siblings must be kept"
            )));
        }
        let what = format!("GET {path}");
        let call = self.api.call("writable", &what, false);
        let answer =
            self.api.send(call, Method::GET, &ApiPath::new("writable", &path)?, "", None, None).await?;
        let (exists, labels) = if versioned {
            let answer = if answer.status == 404 { answer } else { answer.good(call)? };
            match read_version(&answer, call)? {
                Some(version) => (true, version.metadata.custom_metadata.unwrap_or_default()),
                None => (false, Default::default()),
            }
        } else {
            (answer.status != 404, Default::default())
        };
        let needed = if exists { "update" } else { "create" };
        if !may(needed) {
            return Ok(StoreState::Refused(format!("our token lacks `{needed}` on {path}")));
        }
        Ok(match managed_by(&labels) {
            Some(owner) => StoreState::ManagedElsewhere(owner.to_owned()),
            None => StoreState::Writable,
        })
    }

    async fn write(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<String> {
        self.write_together(op, &[Change { at, value }], expect).await
    }

    /// A version of a path holds all its fields, so they change together.
    async fn write_together(&self, op: &Operation, fields: &[Change<'_>], expect: &Expect) -> Result<String> {
        let invalid = |text: String| Error::new(ErrorKind::Invalid, "write", text);
        let first = fields.first().ok_or_else(|| invalid("there is nothing to write".to_owned()))?.at;
        let place = self.place("write", first).await?;
        if place.mount.kind == MountKind::Kv1 && self.version_key.is_none() {
            let why = format!("{first}: KV version 1 keeps no versions, so a write cannot be guarded");
            return Err(
                Error::new(ErrorKind::Unsupported, "write", why).with_hint("upgrade the mount to version 2")
            );
        }
        let mut values = BTreeMap::new();
        for change in fields {
            let key = change.at.field_name().filter(|_| change.at.object() == first.object());
            let key = key.ok_or_else(|| invalid(format!("{} is no field of the same path", change.at)))?;
            values.insert(key, change.value);
        }
        self.field(&place).write(op, &values, expect).await
    }
}
