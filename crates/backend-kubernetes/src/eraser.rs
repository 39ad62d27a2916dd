//! Taking values out of Secrets and ConfigMaps: a key out of the data, and what `kubectl apply` left in an annotation.

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_backend::{Effect, Eraser, Error, ErrorKind, FormerValue, Operation, Result};
use claviger_core::{reference::Ref, secret::SecretValue};
use http::Method;
use serde_json::{Value, json};

use crate::{
    backend::KubernetesBackend,
    buffer::Buffer,
    connection::{Ask, MERGE_PATCH, OBJECT_LIMIT},
    inventory::object::{LAST_APPLIED, LAST_APPLIED_VERSION},
    resource::SECRETS,
    store::{MANAGER, Target, parse},
    version,
    wire::{self, LastApplied},
};

#[async_trait]
impl Eraser for KubernetesBackend {
    async fn erase(&self, op: &Operation, at: &Ref, version: &str) -> Result<()> {
        let target = Target::of("erase", at)?;
        let Some(body) = self.object_of("erase", &target, at).await? else { return Ok(()) };
        let object =
            parse(&target, &body).map_err(|failure| self.error(failure, "erase", &format!("get {at}")))?;
        if object.value.is_none() {
            return Ok(());
        }
        if object.immutable {
            return Err(Error::new(ErrorKind::Invalid, "erase", format!("{at} is immutable"))
                .with_hint("delete the whole object when no workload reads it any more"));
        }
        if version::of(&object.meta) != version {
            return Err(Error::new(
                ErrorKind::Conflict,
                "erase",
                format!("{at} was changed by somebody else"),
            ));
        }
        let field = if object.is_binary { "binaryData" } else { "data" };
        let patch = json!({
            "metadata": {"resourceVersion": object.meta.resource_version.as_str(), "uid": object.meta.uid.as_str()},
            field: {target.key.as_str(): Value::Null},
        });
        self.patched("erase", op, &target, at, &patch).await
    }

    /// What the annotation of `kubectl apply` holds for this key, and the object itself does not any more.
    async fn former(&self, at: &Ref) -> Result<Vec<FormerValue>> {
        let target = Target::of("former", at)?;
        let failed = |failure| self.error(failure, "former", &format!("get {at}"));
        let Some(body) = self.object_of("former", &target, at).await? else { return Ok(Vec::new()) };
        let object = parse(&target, &body).map_err(failed)?;
        let Some(annotation) = object.meta.annotations.get(LAST_APPLIED) else { return Ok(Vec::new()) };
        let former = |value: SecretValue| FormerValue { version: LAST_APPLIED_VERSION.to_owned(), value };
        let Ok(applied) = wire::read::<LastApplied<'_>>(annotation.as_bytes()) else {
            return Ok(vec![former(SecretValue::from_text(annotation.to_owned()))]);
        };
        let mut found = Vec::new();
        if let Some(text) = applied.data.get(&target.key) {
            let decoded = (target.resource == SECRETS).then(|| STANDARD.decode(text).ok()).flatten();
            found.push(former(match decoded {
                Some(bytes) => SecretValue::new(bytes),
                None => SecretValue::from_text(text.to_owned()),
            }));
        }
        found.extend(
            applied.string_data.get(&target.key).map(|text| former(SecretValue::from_text(text.to_owned()))),
        );
        Ok(found)
    }

    /// Takes the annotation off, whole: it may hold more values. `kubectl apply` says so once, and writes it again.
    async fn destroy(&self, op: &Operation, at: &Ref, version: &str) -> Result<()> {
        let target = Target::of("destroy", at)?;
        if version != LAST_APPLIED_VERSION {
            return Err(Error::new(
                ErrorKind::Conflict,
                "destroy",
                format!("{at}: version {version} is in force"),
            ));
        }
        let Some(body) = self.object_of("destroy", &target, at).await? else { return Ok(()) };
        let object =
            parse(&target, &body).map_err(|failure| self.error(failure, "destroy", &format!("get {at}")))?;
        if object.meta.annotations.get(LAST_APPLIED).is_none() {
            return Ok(());
        }
        let patch = json!({"metadata": {
            "resourceVersion": object.meta.resource_version.as_str(), "uid": object.meta.uid.as_str(),
            "annotations": {LAST_APPLIED: Value::Null},
        }});
        self.patched("destroy", op, &target, at, &patch).await
    }
}

impl KubernetesBackend {
    async fn object_of(&self, operation: &'static str, target: &Target, at: &Ref) -> Result<Option<Buffer>> {
        match self.connection.ask(Ask::get(target.path()), OBJECT_LIMIT).await {
            Ok(body) => Ok(Some(body)),
            Err(failure) if failure.is_absent() => Ok(None),
            Err(failure) => {
                Err(self.error(failure, operation, &format!("get {at}")).with_effect(Effect::NotApplied))
            }
        }
    }

    async fn patched(
        &self,
        operation: &'static str,
        op: &Operation,
        target: &Target,
        at: &Ref,
        patch: &Value,
    ) -> Result<()> {
        let path = format!("{}?{MANAGER}", target.path());
        let ask = Ask::with_body(Method::PATCH, path, MERGE_PATCH, patch.to_string().into_bytes());
        match self.connection.ask(ask.metadata_only().within(op.deadline), OBJECT_LIMIT).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_absent() => Ok(()),
            Err(failure) => Err(self.error(failure, operation, &format!("change {at}"))),
        }
    }
}
