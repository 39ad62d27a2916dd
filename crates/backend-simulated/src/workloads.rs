//! Deployments as bearers of short-lived identities: a volume with the files of a Secret gives way to one with a token of the pods' own account.

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use claviger_backend::{Error, ErrorKind, Holder, Operation, Reads, Result, Runs, StoreState, Workloads};
use claviger_core::{
    reference::Ref,
    saga::{Binding, Mounting, Side},
    secret::SecretValue,
};

use crate::{
    SimulatedBackend,
    anchor::BOUND,
    backend::Change,
    estate::{Deployment, EnvSource, Estate, ObjectKind, ObjectName, Projection, Rollout},
    issuer::absent,
    runtime::{object, roll_out, workload},
    target::Target,
    token,
};

/// How long a token holds that an owner asks for, in seconds.
const LIFETIME: u32 = 3600;
/// Whom a Deployment runs as that names nobody.
const DEFAULT: &str = "default";

/// How it reads the object.
fn reads(deployment: &Deployment, name: &ObjectName) -> Reads {
    let (mut files, mut fixed) = (false, None);
    for container in &deployment.containers {
        let by_variable = container.env.values().any(|source| match source {
            EnvSource::Field { object, .. } => object == name,
            EnvSource::Literal(_) => false,
        });
        if by_variable || container.env_from.contains(name) {
            fixed.get_or_insert((
                "read-once",
                "it reads the value into a variable when it starts, and a short-lived one ends",
            ));
        }
        for mount in container.mounts.iter().filter(|mount| mount.object == *name) {
            match mount.sub_path {
                None => files = true,
                Some(_) => fixed = Some(("sub-path", "it mounts one file by `subPath`, which never follows")),
            }
        }
    }
    match fixed {
        Some((code, why)) => Reads::Fixed(code, why.to_owned()),
        None if files => Reads::Files(["token".to_owned()].into()),
        None => Reads::Nothing,
    }
}

/// What its owner does with a patch: all workloads of an account that read this Secret go to that side.
pub(crate) fn by_owner(
    estate: &mut Estate,
    (namespace, account): (&str, &str),
    from: &str,
    to: Side,
    now: DateTime<Utc>,
) {
    let from = ObjectName { kind: ObjectKind::Secret, name: from.to_owned() };
    let binding = Binding { mounting: Mounting { lifetime: LIFETIME, ..Mounting::default() }, to };
    let held = estate.cluster.namespaces.get_mut(namespace);
    let deployments = held.into_iter().flat_map(|held| &mut held.deployments);
    let own = deployments.filter(|(_, it)| it.service_account.as_deref() == Some(account));
    let read = |it: &Deployment| {
        reads(it, &from) != Reads::Nothing
            || it.projections.iter().any(|projection| projection.from == from.name)
    };
    let moved: Vec<String> =
        own.filter_map(|(name, it)| (read(it) && bring(it, &from, &binding)).then(|| name.clone())).collect();
    for name in moved {
        roll_out(estate, namespace, &name, &format!("{name} by its owner to {}", to.word()), now);
    }
}

/// Brings it to that side. `false`: it was there.
fn bring(deployment: &mut Deployment, from: &ObjectName, binding: &Binding) -> bool {
    let side = match deployment.projections.iter().find(|it| it.from == from.name) {
        None => Side::Former,
        Some(projection) if projection.read => Side::Over,
        Some(_) => Side::Beside,
    };
    if side == binding.to {
        return false;
    }
    let mut projection = match deployment.projections.iter().position(|it| it.from == from.name) {
        Some(index) => deployment.projections.remove(index),
        None => Projection {
            from: from.name.clone(),
            audience: binding.mounting.audience.clone(),
            lifetime: binding.mounting.lifetime,
            read: false,
            former: Vec::new(),
        },
    };
    if binding.to == Side::Over {
        for container in &mut deployment.containers {
            let (taken, kept) =
                std::mem::take(&mut container.mounts).into_iter().partition(|mount| mount.object == *from);
            container.mounts = kept;
            let taken: Vec<_> = taken;
            projection.former.extend(taken.into_iter().map(|mount| (container.name.clone(), mount)));
        }
    } else {
        for (name, mount) in projection.former.drain(..) {
            let mut containers = deployment.containers.iter_mut();
            if let Some(container) = containers.find(|container| container.name == name) {
                container.mounts.push(mount);
            }
        }
    }
    projection.read = binding.to == Side::Over;
    if binding.to != Side::Former {
        deployment.projections.push(projection);
    }
    true
}

#[async_trait]
impl Workloads for SimulatedBackend {
    async fn holder(&self, consumer: &Ref, at: &Ref) -> Result<Holder> {
        self.look("holder", consumer, |estate, target, _| {
            let (namespace, name) = workload("holder", consumer, &target)?;
            let from = object("holder", namespace, at)?;
            let held = estate.cluster.namespaces.get(namespace).ok_or_else(|| absent("holder", consumer))?;
            let deployment = held.deployments.get(name).ok_or_else(|| absent("holder", consumer))?;
            let account = deployment.service_account.as_deref().unwrap_or(DEFAULT);
            let alone = estate.settings.runs_alone;
            let changeable = match (held.denied, deployment.labels.get("managed-by")) {
                (true, _) => StoreState::Refused("closed to us".into()),
                (false, Some(system)) => StoreState::ManagedElsewhere(system.clone()),
                (false, None) => StoreState::Writable,
            };
            Ok(Holder {
                consumer: consumer.clone(),
                account: self.at(["k8s", namespace, "ServiceAccount", account]),
                reads: reads(deployment, &from),
                notes: Vec::new(),
                issuer: None,
                changeable: if alone { StoreState::ManagedElsewhere("its owner".into()) } else { changeable },
                runs: alone.then(|| Runs { subject: format!("system:serviceaccount:{namespace}:{account}") }),
            })
        })
        .await
    }

    async fn assertion(&self, account: &Ref, _audience: Option<&str>, seconds: u32) -> Result<SecretValue> {
        self.look("assertion", account, |estate, target, now| {
            let Target::ServiceAccount { namespace, name } = &target else {
                return Err(Error::new(ErrorKind::Invalid, "assertion", format!("{account} is no account")));
            };
            let held = estate.cluster.namespaces.get(namespace);
            let uid = held.and_then(|held| held.service_accounts.get(name)).map(|account| &account.uid);
            let uid = uid.ok_or_else(|| absent("assertion", account))?;
            let ends = (now + Duration::seconds(i64::from(seconds))).timestamp();
            Ok(token::mint(&estate.key, namespace, &format!("{BOUND}{ends}"), name, uid).secret())
        })
        .await
    }

    async fn bind(&self, op: &Operation, consumer: &Ref, binding: &Binding) -> Result<()> {
        let key = op.key.to_string();
        self.mutate("bind", op, consumer, |estate, target, now| {
            let (namespace, name) = workload("bind", consumer, target)?;
            let Some(from) = &binding.mounting.from else { return Ok(Change::nothing(())) };
            let from = object("bind", namespace, from)?;
            let Some(held) = estate.cluster.namespaces.get_mut(namespace) else {
                return Ok(Change::nothing(()));
            };
            let Some(deployment) = held.deployments.get_mut(name) else { return Ok(Change::nothing(())) };
            if deployment.rollouts.iter().any(|rollout| rollout.key == key) {
                return Ok(Change::nothing(()));
            }
            if bring(deployment, &from, binding) {
                roll_out(estate, namespace, name, &key, now);
            } else {
                deployment.rollouts.push(Rollout { key: key.clone(), ready_at: now, failed: None });
            }
            Ok(Change::made(()))
        })
        .await
    }

    async fn bound(&self, op: &Operation, consumer: &Ref) -> Result<bool> {
        let key = op.key.to_string();
        self.look("bound", consumer, |estate, target, _| {
            let (namespace, name) = workload("bound", consumer, &target)?;
            let held = estate.cluster.namespaces.get(namespace);
            let deployment = held.and_then(|held| held.deployments.get(name));
            Ok(deployment.is_none_or(|it| it.rollouts.iter().any(|rollout| rollout.key == key)))
        })
        .await
    }

    async fn patch(&self, consumer: &Ref, mounting: &Mounting) -> Result<(String, String)> {
        let from = mounting.from.as_ref().map_or("nothing", Ref::as_str);
        let file = format!("{}.patch.yaml", consumer.path().replace('/', "-"));
        let text = format!("# {consumer}: takes a token of its own account instead of {from}\n");
        Ok((file, text))
    }
}
