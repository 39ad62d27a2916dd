//! Making a workload read another Secret: one JSON patch that names the new one at every place of the pod template that names the old one.

use claviger_backend::{Adoption, Effect, Error, ErrorKind, Result, StoreState};
use claviger_core::{id::OperationKey, reference::Ref};
use http::Method;
use serde_json::{Value, json};

use super::{
    ATTEMPTS, REFRESHED_FOR, RESTARTED_FOR, Way, judged, pointing::Pointing, remembered, way, with_key,
};
use crate::{
    access,
    backend::KubernetesBackend,
    buffer::Buffer,
    connection::{Ask, JSON_PATCH, OBJECT_LIMIT},
    failure::Failure,
    managed,
    place::Place,
    resource::{CRON_JOBS, Resource},
    store::MANAGER,
    wire,
};

/// The workloads whose pod template may be changed; of the others why it may not.
pub(crate) fn changeable(kind: &str) -> Result<Resource, &'static str> {
    match way(kind) {
        Way::Rollout(resource) => Ok(resource),
        Way::NextRun(resource) if resource == CRON_JOBS => Ok(resource),
        Way::NextRun(_) => Err("what a Job runs cannot be changed once it is made"),
        Way::None if kind == "Pod" => {
            Err("what a Pod reads cannot be changed once it runs, and nobody makes it again")
        }
        Way::None => Err("claviger does not know how its pods are made and replaced"),
    }
}

/// The name of a Secret in the consumer's namespace: a pod names no other.
pub(crate) fn name_of(operation: &'static str, consumer: &Place, object: &Ref) -> Result<String> {
    let place = Place::parse(operation, object)?;
    if place.kind == "Secret" && place.namespace == consumer.namespace {
        return Ok(place.name);
    }
    let text = format!("{object} is no Secret of namespace {}", consumer.namespace);
    Err(Error::new(ErrorKind::Invalid, operation, text))
}

impl KubernetesBackend {
    pub(crate) async fn may_repoint(&self, consumer: &Ref, from: &Ref) -> Result<StoreState> {
        let place = Place::parse("repointable", consumer)?;
        name_of("repointable", &place, from)?;
        let resource = match changeable(&place.kind) {
            Ok(resource) => resource,
            Err(why) => return Ok(StoreState::Refused(why.to_owned())),
        };
        let failed = |failure, what: &str| self.error(failure, "repointable", &format!("{what} {consumer}"));
        let Some(body) = self.workload("repointable", consumer, &place, resource).await? else {
            return Ok(StoreState::Writable);
        };
        let pointing: Pointing<'_> = wire::read(&body).map_err(|failure| failed(failure, "get"))?;
        if let Some(system) = managed::managed_by(&pointing.metadata) {
            return Ok(StoreState::ManagedElsewhere(system));
        }
        // Who would not come up with what he has now does not with something else, and his old pods keep the old value.
        if let Adoption::Failing(why) =
            judged(&place.kind, &body).map_err(|failure| failed(failure, "get"))?
        {
            return Ok(StoreState::Refused(why));
        }
        let allowed =
            access::allowed(self, "patch", resource, Some(&place.namespace), Some(&place.name)).await;
        Ok(if allowed.map_err(|failure| failed(failure, "ask whether we may change"))? {
            StoreState::Writable
        } else {
            let rule = resource.rule("patch");
            StoreState::Refused(format!("grant {rule} in namespace {}", place.namespace))
        })
    }

    pub(crate) async fn was_pointed(&self, key: OperationKey, consumer: &Ref) -> Result<bool> {
        let place = Place::parse("repointed", consumer)?;
        let Ok(resource) = changeable(&place.kind) else { return Ok(false) };
        let Some(body) = self.workload("repointed", consumer, &place, resource).await? else {
            return Ok(true);
        };
        let pointing: Pointing<'_> = wire::read(&body)
            .map_err(|failure| self.error(failure, "repointed", &format!("get {consumer}")))?;
        let key = key.to_string();
        Ok(remembered(&pointing.metadata).any(|known| known == key))
    }

    pub(super) async fn point(&self, key: OperationKey, consumer: &Ref, from: &Ref, to: &Ref) -> Result<()> {
        let place = Place::parse("repoint", consumer)?;
        let (from, to) = (name_of("repoint", &place, from)?, name_of("repoint", &place, to)?);
        let resource = changeable(&place.kind).map_err(|why| {
            Error::new(ErrorKind::Unsupported, "repoint", format!("{consumer}: {why}"))
                .with_hint("change it at its source")
        })?;
        let path = format!("{}?{MANAGER}", resource.object(&place.namespace, &place.name));
        let key = key.to_string();
        for attempt in 1.. {
            let body = self.workload("repoint", consumer, &place, resource).await;
            let Some(body) = body.map_err(|error| error.with_effect(Effect::NotApplied))? else {
                return Ok(());
            };
            let pointing: Pointing<'_> = wire::read(&body)
                .map_err(|failure| self.error(failure, "repoint", &format!("get {consumer}")))?;
            if remembered(&pointing.metadata).any(|known| known == key) {
                return Ok(());
            }
            let patch = patch(&pointing, (&from, &to), &key, resource).to_string().into_bytes();
            let ask = Ask::with_body(Method::PATCH, path.clone(), JSON_PATCH, patch);
            match self.connection.ask(ask.metadata_only(), OBJECT_LIMIT).await {
                Ok(_) => return Ok(()),
                Err(failure) if failure.is_absent() => return Ok(()),
                // Somebody wrote in between, be it only the status: a test that fails is 422.
                Err(Failure::Status { code: 409 | 422, .. }) if attempt < ATTEMPTS => {}
                Err(failure) => return Err(self.error(failure, "repoint", &format!("change {consumer}"))),
            }
        }
        Ok(())
    }

    /// `None`: there is no such workload.
    pub(crate) async fn workload(
        &self,
        operation: &'static str,
        consumer: &Ref,
        place: &Place,
        resource: Resource,
    ) -> Result<Option<Buffer>> {
        let path = resource.object(&place.namespace, &place.name);
        match self.connection.ask(Ask::get(path), OBJECT_LIMIT).await {
            Ok(body) => Ok(Some(body)),
            Err(failure) if failure.is_absent() => Ok(None),
            Err(failure) => Err(self.error(failure, operation, &format!("get {consumer}"))),
        }
    }
}

/// Tests that nobody wrote since, the names, and the operation's key: on the workload, and where pods are replaced for it on their template.
fn patch(pointing: &Pointing<'_>, (from, to): (&str, &str), key: &str, resource: Resource) -> Value {
    let meta = &pointing.metadata;
    let places = pointing.named(from);
    let mut operations = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": meta.uid.as_str()}),
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": meta.resource_version.as_str()}),
    ];
    operations.extend(annotated("/metadata", Some(meta), REFRESHED_FOR, &with_key(meta, key)));
    if let Some((root, template)) = pointing.template()
        && !places.is_empty()
        && resource != CRON_JOBS
    {
        let at = format!("{root}/metadata");
        operations.extend(annotated(&at, template.metadata.as_ref(), RESTARTED_FOR, key));
    }
    let names = places.into_iter().map(|path| json!({"op": "replace", "path": path, "value": to}));
    operations.extend(names);
    Value::Array(operations)
}

/// An annotation, and what it lies in where that is not there yet.
pub(crate) fn annotated(at: &str, meta: Option<&wire::Meta<'_>>, name: &str, value: &str) -> Vec<Value> {
    let mut operations = Vec::new();
    if meta.is_none() {
        operations.push(json!({"op": "add", "path": at, "value": {}}));
    }
    if meta.is_none_or(|meta| meta.annotations.0.is_empty()) {
        operations.push(json!({"op": "add", "path": format!("{at}/annotations"), "value": {}}));
    }
    let path = format!("{at}/annotations/{}", name.replace('~', "~0").replace('/', "~1"));
    operations.push(json!({"op": "add", "path": path, "value": value}));
    operations
}
