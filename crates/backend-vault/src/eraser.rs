//! Taking values out of KV: a field out of the version in force, and former versions destroyed.

use async_trait::async_trait;
use claviger_backend::{Effect, Eraser, Error, ErrorKind, FormerValue, Operation, Result};
use claviger_core::reference::Ref;
use serde_json::json;

use crate::{
    backend::VaultBackend,
    kv::{ask_version, read_version, value_of},
    mounts::MountKind,
};

#[async_trait]
impl Eraser for VaultBackend {
    /// The same path without the field, on top of this version. A path of which nothing is left stays with an empty version.
    async fn erase(&self, op: &Operation, at: &Ref, version: &str) -> Result<()> {
        let place = self.place("erase", at).await?;
        if place.mount.kind == MountKind::Kv1 && self.version_key.is_none() {
            let why = format!("{at}: KV version 1 keeps no versions, so a write cannot be guarded");
            return Err(Error::new(ErrorKind::Invalid, "erase", why)
                .with_hint("upgrade the mount to version 2, or take it out by hand"));
        }
        self.field(&place).erase(op, version).await
    }

    /// Versions that are neither deleted nor destroyed. Version 1 keeps none.
    async fn former(&self, at: &Ref) -> Result<Vec<FormerValue>> {
        let place = self.place("former", at).await?;
        if place.mount.kind != MountKind::Kv2 {
            return Ok(Vec::new());
        }
        let Some((current, kept)) = self.field(&place).kept("former").await? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for number in kept.into_iter().filter(|number| *number != current) {
            let what = format!("GET {}/data/{}", place.mount.path, place.path);
            let call = self.api.call("former", &what, false);
            let answer = ask_version(&self.api, call, &place.mount.path, &place.path, Some(number)).await?;
            let answer = if answer.status == 404 { answer } else { answer.good(call)? };
            let Some(version) = read_version(&answer, call)? else { continue };
            let value = version.data.as_ref().and_then(|fields| fields.get(place.key.as_str()));
            found.extend(value.map(|raw| FormerValue { version: number.to_string(), value: value_of(raw) }));
        }
        Ok(found)
    }

    async fn destroy(&self, op: &Operation, at: &Ref, version: &str) -> Result<()> {
        let place = self.place("destroy", at).await?;
        let invalid = |text: &str| Error::new(ErrorKind::Invalid, "destroy", format!("{at}: {text}"));
        let number: u64 = version.parse().map_err(|_| invalid("that is no version of KV version 2"))?;
        let Some((current, kept)) = self.field(&place).kept("destroy").await? else { return Ok(()) };
        if number == current {
            let text = format!("{at}: version {number} is in force");
            return Err(Error::new(ErrorKind::Conflict, "destroy", text));
        }
        if !kept.contains(&number) {
            return Ok(());
        }
        let path = format!("{}/destroy/{}", place.mount.path, place.path);
        let call = self.api.call("destroy", &path, true);
        let body = json!({ "versions": [number] });
        let work = self.api.post("destroy", &path, &body, true);
        match tokio::time::timeout(op.deadline, work).await {
            Ok(answer) => answer?.good(call).map(drop),
            Err(_) => {
                Err(Error::new(ErrorKind::Unavailable, "destroy", format!("{at}: no answer by the deadline"))
                    .with_effect(Effect::Unknown))
            }
        }
    }
}
