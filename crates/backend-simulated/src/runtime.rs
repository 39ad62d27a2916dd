use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use claviger_backend::{Adoption, Error, ErrorKind, Operation, Result, Runtime, StoreState};
use claviger_core::{model::ConsumerHow, reference::Ref};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Deployment, EnvSource, Estate, ObjectName, Pod, Rollout},
    target::Target,
};

#[async_trait]
impl Runtime for SimulatedBackend {
    async fn refresh(&self, op: &Operation, consumer: &Ref, _how: ConsumerHow) -> Result<()> {
        let key = op.key.to_string();
        self.mutate("refresh", op, consumer, |estate, target, now| {
            let (namespace, name) = workload("refresh", consumer, target)?;
            let Some(held) = estate.cluster.namespaces.get(namespace) else { return Ok(Change::nothing(())) };
            if held.denied {
                return Err(Error::new(ErrorKind::Denied, "refresh", format!("{consumer}: closed to us")));
            }
            let Some(deployment) = held.deployments.get(name) else { return Ok(Change::nothing(())) };
            if deployment.rollouts.iter().any(|rollout| rollout.key == key) {
                return Ok(Change::nothing(()));
            }
            roll_out(estate, namespace, name, &key, now);
            Ok(Change::made(()))
        })
        .await
    }

    async fn adopted(&self, op: &Operation, consumer: &Ref) -> Result<Adoption> {
        let key = op.key.to_string();
        self.look("adopted", consumer, |estate, target, now| {
            let (namespace, name) = workload("adopted", consumer, &target)?;
            let deployment =
                estate.cluster.namespaces.get(namespace).and_then(|held| held.deployments.get(name));
            let Some(deployment) = deployment else {
                return Ok(Adoption::Adopted("it does not exist".into()));
            };
            let Some(asked) = deployment.rollouts.iter().position(|rollout| rollout.key == key) else {
                return Ok(Adoption::Pending("no rollout was asked for with this key".into()));
            };
            // A later rollout read the copies later: it counts as well.
            let since = &deployment.rollouts[asked..];
            if let Some(ready) =
                since.iter().find(|rollout| rollout.failed.is_none() && rollout.ready_at <= now)
            {
                return Ok(Adoption::Adopted(format!("pods ready at {}", ready.ready_at.to_rfc3339())));
            }
            Ok(match since.last().and_then(|rollout| rollout.failed.clone()) {
                Some(why) => Adoption::Failing(why),
                None => Adoption::Pending("the new pods are not ready".into()),
            })
        })
        .await
    }

    async fn standing(&self, consumer: &Ref) -> Result<Adoption> {
        self.look("standing", consumer, |estate, target, now| {
            let (namespace, name) = workload("standing", consumer, &target)?;
            let held = estate.cluster.namespaces.get(namespace);
            let last = held.and_then(|held| held.deployments.get(name)).and_then(|it| it.rollouts.last());
            Ok(match last {
                None => Adoption::Adopted("nothing was rolled out".into()),
                Some(Rollout { failed: Some(why), .. }) => Adoption::Failing(why.clone()),
                Some(rollout) if rollout.ready_at > now => {
                    Adoption::Pending("the new pods are not ready".into())
                }
                Some(rollout) => {
                    Adoption::Adopted(format!("pods ready at {}", rollout.ready_at.to_rfc3339()))
                }
            })
        })
        .await
    }

    async fn repointable(&self, consumer: &Ref, from: &Ref) -> Result<StoreState> {
        self.look("repointable", consumer, |estate, target, _| {
            let (namespace, name) = workload("repointable", consumer, &target)?;
            object("repointable", namespace, from)?;
            let Some(held) = estate.cluster.namespaces.get(namespace) else {
                return Ok(StoreState::Writable);
            };
            if held.denied {
                return Ok(StoreState::Refused("closed to us".into()));
            }
            let system =
                held.deployments.get(name).and_then(|deployment| deployment.labels.get("managed-by"));
            Ok(system.map_or(StoreState::Writable, |system| StoreState::ManagedElsewhere(system.clone())))
        })
        .await
    }

    async fn repoint(&self, op: &Operation, consumer: &Ref, from: &Ref, to: &Ref) -> Result<()> {
        let key = op.key.to_string();
        self.mutate("repoint", op, consumer, |estate, target, now| {
            let (namespace, name) = workload("repoint", consumer, target)?;
            let (from, to) = (object("repoint", namespace, from)?, object("repoint", namespace, to)?);
            let held = estate.cluster.namespaces.get_mut(namespace);
            let Some(deployment) = held.and_then(|held| held.deployments.get_mut(name)) else {
                return Ok(Change::nothing(()));
            };
            if deployment.rollouts.iter().any(|rollout| rollout.key == key) {
                return Ok(Change::nothing(()));
            }
            let mut changed = false;
            for name in named(deployment) {
                if *name == from {
                    (*name, changed) = (to.clone(), true);
                }
            }
            if changed {
                roll_out(estate, namespace, name, &key, now);
            } else {
                // Noted, and nothing is restarted: what it has is what its specification says.
                deployment.rollouts.push(Rollout { key: key.clone(), ready_at: now, failed: None });
            }
            Ok(Change::made(()))
        })
        .await
    }

    async fn repointed(&self, op: &Operation, consumer: &Ref) -> Result<bool> {
        let key = op.key.to_string();
        self.look("repointed", consumer, |estate, target, _| {
            let (namespace, name) = workload("repointed", consumer, &target)?;
            let held = estate.cluster.namespaces.get(namespace);
            let deployment = held.and_then(|held| held.deployments.get(name));
            Ok(deployment.is_none_or(|it| it.rollouts.iter().any(|rollout| rollout.key == key)))
        })
        .await
    }
}

/// The objects that a Deployment names.
fn named(deployment: &mut Deployment) -> impl Iterator<Item = &mut ObjectName> {
    deployment.containers.iter_mut().flat_map(|container| {
        let variables = container.env.values_mut().filter_map(|source| match source {
            EnvSource::Field { object, .. } => Some(object),
            EnvSource::Literal(_) => None,
        });
        let mounts = container.mounts.iter_mut().map(|mount| &mut mount.object);
        variables.chain(&mut container.env_from).chain(mounts)
    })
}

/// An object of this namespace: a pod names no other.
pub(crate) fn object(operation: &'static str, namespace: &str, at: &Ref) -> Result<ObjectName> {
    match Target::parse(operation, at)? {
        Target::Object { namespace: other, object, key: None } if other == namespace => Ok(object),
        _ => Err(Error::new(ErrorKind::Invalid, operation, format!("{at} is no object of {namespace}"))),
    }
}

pub(crate) fn workload<'a>(
    operation: &'static str,
    consumer: &Ref,
    target: &'a Target,
) -> Result<(&'a str, &'a str)> {
    match target {
        Target::Deployment { namespace, name } => Ok((namespace, name)),
        _ => Err(Error::new(ErrorKind::Invalid, operation, format!("{consumer} is no workload"))),
    }
}

/// Starts new pods that read the copies now. The former ones go on until the new are ready, and for ever where they never are.
pub(crate) fn roll_out(estate: &mut Estate, namespace: &str, name: &str, key: &str, now: DateTime<Utc>) {
    let revision = estate.next_revision();
    let ready_at = now + Duration::seconds(i64::from(estate.settings.rollout_seconds));
    let tokens = estate.legacy_tokens(namespace);
    let Some(held) = estate.cluster.namespaces.get_mut(namespace) else { return };
    let Some(deployment) = held.deployments.get(name) else { return };
    let started = match &deployment.broken {
        Some(why) => Err(why.clone()),
        None => held.read_at_start(deployment, &tokens),
    };
    let Some(deployment) = held.deployments.get_mut(name) else { return };
    deployment.version = revision;
    if deployment.breaks > 0 {
        deployment.breaks -= 1;
        if deployment.breaks == 0 {
            deployment.broken = None;
        }
    }
    let failed = match started {
        Ok(holds) => {
            let newest_ready =
                deployment.pods.iter().filter(|pod| pod.ready_at <= now).map(|pod| pod.ready_at).max();
            deployment.pods.retain(|pod| Some(pod.ready_at) == newest_ready && ready_at > now);
            deployment.pods.push(Pod { started_at: now, ready_at, holds });
            None
        }
        Err(why) => Some(why),
    };
    deployment.rollouts.push(Rollout { key: key.to_owned(), ready_at, failed });
}
