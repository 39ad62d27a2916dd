//! Rollouts: making workloads read their copies again, or other ones, and seeing them do so.

mod adoption;
pub(crate) mod pointing;
pub(crate) mod repoint;

use async_trait::async_trait;
use claviger_backend::{Adoption, Effect, Error, ErrorKind, Operation, Result, Runtime, StoreState};
use claviger_core::{id::OperationKey, model::ConsumerHow, reference::Ref};
use http::Method;
use serde_json::json;

use self::adoption::{Rolling, daemon_set, deployment, next_run, stateful_set};
use crate::{
    backend::KubernetesBackend,
    connection::{Ask, MERGE_PATCH, OBJECT_LIMIT},
    failure::Failure,
    place::Place,
    resource::{self, Resource},
    store::MANAGER,
    wire::{self, Meta},
};

/// On the pod template: a new value makes new pods.
pub(crate) const RESTARTED_FOR: &str = "claviger.dev/restarted-for";
/// On the workload: the operations that restarted it, the latest last. Two rotations may restart one workload one after the other, and
/// the later rollout serves the earlier one too.
pub(crate) const REFRESHED_FOR: &str = "claviger.dev/refreshed-for";
const REMEMBERED: usize = 64;
/// Somebody else changed the workload in between: read it again, so often.
pub(crate) const ATTEMPTS: usize = 5;

/// How a workload comes to read its copies again.
enum Way {
    Rollout(Resource),
    /// Its next run reads them.
    NextRun(Resource),
    /// Nothing that we could do without taking it away.
    None,
}

fn way(kind: &str) -> Way {
    match kind {
        "Deployment" => Way::Rollout(resource::DEPLOYMENTS),
        "StatefulSet" => Way::Rollout(resource::STATEFUL_SETS),
        "DaemonSet" => Way::Rollout(resource::DAEMON_SETS),
        "CronJob" => Way::NextRun(resource::CRON_JOBS),
        "Job" => Way::NextRun(resource::JOBS),
        _ => Way::None,
    }
}

#[async_trait]
impl Runtime for KubernetesBackend {
    async fn refresh(&self, op: &Operation, consumer: &Ref, how: ConsumerHow) -> Result<()> {
        let place = Place::parse("refresh", consumer)?;
        match how {
            ConsumerHow::Literal => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "refresh",
                    format!("{consumer} holds the value in its own specification"),
                )
                .with_hint("move the value into a Secret and let the workload read it there"));
            }
            // Read by the kubelet at the next pull: no pod holds it.
            ConsumerHow::ImagePull => return Ok(()),
            _ => {}
        }
        match way(&place.kind) {
            Way::NextRun(_) => Ok(()),
            Way::None => Err(Error::new(
                ErrorKind::Unsupported,
                "refresh",
                format!("{consumer} cannot be restarted by a rollout"),
            )
            .with_hint("delete the pod and let whoever made it make it again")),
            Way::Rollout(resource) => {
                let rollout = self.roll_out(op.key, consumer, &place, resource);
                match tokio::time::timeout(op.deadline, rollout).await {
                    Ok(result) => result,
                    Err(_) => {
                        let text = format!("restart {consumer}: no answer within the deadline");
                        Err(Error::new(ErrorKind::Unavailable, "refresh", text).with_effect(Effect::Unknown))
                    }
                }
            }
        }
    }

    async fn adopted(&self, op: &Operation, consumer: &Ref) -> Result<Adoption> {
        self.stands("adopted", consumer, Some(op.key)).await
    }

    async fn standing(&self, consumer: &Ref) -> Result<Adoption> {
        self.stands("standing", consumer, None).await
    }

    async fn repointable(&self, consumer: &Ref, from: &Ref) -> Result<StoreState> {
        self.may_repoint(consumer, from).await
    }

    async fn repoint(&self, op: &Operation, consumer: &Ref, from: &Ref, to: &Ref) -> Result<()> {
        match tokio::time::timeout(op.deadline, self.point(op.key, consumer, from, to)).await {
            Ok(result) => result,
            Err(_) => {
                let text = format!("change {consumer}: no answer within the deadline");
                Err(Error::new(ErrorKind::Unavailable, "repoint", text).with_effect(Effect::Unknown))
            }
        }
    }

    async fn repointed(&self, op: &Operation, consumer: &Ref) -> Result<bool> {
        self.was_pointed(op.key, consumer).await
    }
}

/// How far its rollout has come.
fn judge(kind: &str, workload: &Rolling<'_>) -> Adoption {
    match kind {
        "StatefulSet" => stateful_set(workload),
        "DaemonSet" => daemon_set(workload),
        "Deployment" => deployment(workload),
        _ => next_run(workload),
    }
}

/// The same of an answer's body.
fn judged(kind: &str, body: &[u8]) -> Result<Adoption, Failure> {
    Ok(judge(kind, &wire::read::<Rolling<'_>>(body)?))
}

impl KubernetesBackend {
    /// Its rollout, where `key` is given only once it was asked for with that key.
    async fn stands(
        &self,
        operation: &'static str,
        consumer: &Ref,
        key: Option<OperationKey>,
    ) -> Result<Adoption> {
        let place = Place::parse(operation, consumer)?;
        let (resource, rolls) = match way(&place.kind) {
            Way::Rollout(resource) => (resource, true),
            Way::NextRun(resource) => (resource, false),
            Way::None => {
                return Ok(Adoption::Failing(
                    "nobody restarts it: delete the pod and let whoever made it make it again".to_owned(),
                ));
            }
        };
        let body = match self
            .connection
            .ask(Ask::get(resource.object(&place.namespace, &place.name)), OBJECT_LIMIT)
            .await
        {
            Ok(body) => body,
            Err(failure) if failure.is_absent() => {
                return Ok(Adoption::Adopted("it no longer exists".to_owned()));
            }
            Err(failure) => return Err(self.error(failure, operation, &format!("get {consumer}"))),
        };
        let workload: Rolling<'_> = wire::read(&body)
            .map_err(|failure| self.error(failure, operation, &format!("get {consumer}")))?;
        if !rolls {
            return Ok(next_run(&workload));
        }
        if let Some(key) = key.map(|key| key.to_string())
            && !remembered(&workload.metadata).any(|known| known == key)
        {
            return Ok(Adoption::Pending("it was not restarted for this operation yet".to_owned()));
        }
        Ok(judge(&place.kind, &workload))
    }

    async fn roll_out(
        &self,
        key: OperationKey,
        consumer: &Ref,
        place: &Place,
        resource: Resource,
    ) -> Result<()> {
        let path = resource.object(&place.namespace, &place.name);
        let key = key.to_string();
        for attempt in 1.. {
            let body = match self.connection.ask(Ask::get(path.clone()).metadata_only(), OBJECT_LIMIT).await {
                Ok(body) => body,
                Err(failure) if failure.is_absent() => return Ok(()),
                Err(failure) => {
                    return Err(self
                        .error(failure, "refresh", &format!("get {consumer}"))
                        .with_effect(Effect::NotApplied));
                }
            };
            let bare: wire::Bare<'_> = wire::read(&body)
                .map_err(|failure| self.error(failure, "refresh", &format!("get {consumer}")))?;
            let meta = bare.metadata;
            if remembered(&meta).any(|known| known == key) {
                return Ok(());
            }
            let patch = json!({
                "metadata": {
                    "resourceVersion": meta.resource_version.as_str(), "uid": meta.uid.as_str(),
                    "annotations": {REFRESHED_FOR: with_key(&meta, &key)},
                },
                "spec": {"template": {"metadata": {"annotations": {RESTARTED_FOR: key}}}},
            });
            let ask = Ask::with_body(
                Method::PATCH,
                format!("{path}?{MANAGER}"),
                MERGE_PATCH,
                patch.to_string().into_bytes(),
            );
            match self.connection.ask(ask.metadata_only(), OBJECT_LIMIT).await {
                Ok(_) => return Ok(()),
                Err(failure) if failure.is_absent() => return Ok(()),
                // Status changes all the time; the precondition guards the list of keys.
                Err(Failure::Status { code: 409, .. }) if attempt < ATTEMPTS => {}
                Err(failure) => return Err(self.error(failure, "refresh", &format!("restart {consumer}"))),
            }
        }
        Ok(())
    }
}

pub(crate) fn remembered<'m>(meta: &'m Meta<'_>) -> impl Iterator<Item = &'m str> {
    meta.annotations
        .get(REFRESHED_FOR)
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|key| !key.is_empty())
}

/// What is remembered with one more key, without the oldest where they are too many.
pub(crate) fn with_key(meta: &Meta<'_>, key: &str) -> String {
    let mut keys: Vec<&str> = remembered(meta).collect();
    keys.push(key);
    let keep = keys.len().saturating_sub(REMEMBERED);
    keys[keep..].join(",")
}
