//! Workloads: who reads which copy and how, and the values that stand in their specifications.
//!
//! A consumer is the owner that a person deploys: the Deployment, not its ReplicaSets and Pods. A Pod counts by itself only when nobody
//! owns it, or when its owner is of a kind that we do not read (then under its owner's name).
//!
//! A Deployment's former templates lie in its old ReplicaSets: their values are former copies in the Deployment, and nobody consumes
//! them. ReplicaSets are a part of their own, so that a scan that may not read them is a scan of the workloads all the same, and does
//! not take the former copies for gone.

use std::sync::Arc;

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, ConsumerHow, CopyStage, Place},
    observation::{Bundle, Content, Observation, ObservedConsumer, ObservedCopy},
    reference::Ref,
};
use serde_json::Value;

use super::{
    Context, Scan, Troubles,
    accounts::AccountIndex,
    literals::{self, Literal},
    revisions::Revisions,
};
use crate::{
    failure::Failure,
    managed,
    paging::{Batch, PageReader},
    resource::{self, Resource},
    version,
    wire::{self, Container, CronJob, EnvFrom, EnvVar, Meta, Pod, PodSpec, Projection, Volume, Workload},
};

const PART: &str = "workloads";
const REPLICA_SETS_PART: &str = "replicasets";
/// The volume that the API server itself adds for the pod's own token; the use of the ServiceAccount says the same.
const TOKEN_VOLUME: &str = "kube-api-access-";
/// Owners whose own specification we read, so that their pods say nothing new.
const READ_OWNERS: [&str; 7] =
    ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "CronJob", "Job"];
const SHAPES: [(Resource, Shape); 7] = [
    (resource::DEPLOYMENTS, Shape::Template),
    (resource::STATEFUL_SETS, Shape::Template),
    (resource::DAEMON_SETS, Shape::Template),
    (resource::REPLICATION_CONTROLLERS, Shape::Template),
    (resource::CRON_JOBS, Shape::Cron),
    (resource::JOBS, Shape::Template),
    (resource::PODS, Shape::Pod),
];

/// Where the pod specification lies in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Template,
    Cron,
    Pod,
}

impl Scan<'_> {
    /// Everything that runs pods.
    pub(super) async fn workloads(&mut self, accounts: &AccountIndex, sink: &mut ScanSink) -> Result<()> {
        let context = Arc::clone(&self.context);
        let mut revisions = Revisions::default();
        let mut troubles = Troubles::default();
        for (resource, shape) in SHAPES {
            let mut reader = WorkloadReader {
                context: &context,
                accounts,
                resource,
                shape,
                part: PART,
                revisions: &mut revisions,
            };
            troubles.join(self.read(resource, &mut reader, sink).await?);
        }
        // After the Deployments: they say which of their ReplicaSets is the present one.
        let mut reader = WorkloadReader {
            context: &context,
            accounts,
            resource: resource::REPLICA_SETS,
            shape: Shape::Template,
            part: REPLICA_SETS_PART,
            revisions: &mut revisions,
        };
        let of_replica_sets = self.read(resource::REPLICA_SETS, &mut reader, sink).await?;
        self.end(PART, &troubles, sink).await?;
        self.end(REPLICA_SETS_PART, &of_replica_sets, sink).await
    }
}

struct WorkloadReader<'s> {
    context: &'s Context<'s>,
    accounts: &'s AccountIndex,
    resource: Resource,
    shape: Shape,
    part: &'static str,
    /// Learnt from the Deployments, asked for the ReplicaSets.
    revisions: &'s mut Revisions,
}

impl PageReader for WorkloadReader<'_> {
    fn read(&mut self, body: &[u8], batch: &mut Batch) -> Result<(usize, Option<String>), Failure> {
        match self.shape {
            Shape::Template => {
                let (items, next) = wire::page::<Workload<'_>>(body)?;
                let count = items.len();
                for item in items {
                    self.observe(&item.metadata, item.spec.template.spec, item.spec.replicas, batch);
                }
                Ok((count, next))
            }
            Shape::Cron => {
                let (items, next) = wire::page::<CronJob<'_>>(body)?;
                let count = items.len();
                for item in items {
                    self.observe(&item.metadata, item.spec.job_template.spec.template.spec, None, batch);
                }
                Ok((count, next))
            }
            Shape::Pod => {
                let (items, next) = wire::page::<Pod<'_>>(body)?;
                let count = items.len();
                for item in items {
                    self.observe(&item.metadata, item.spec, None, batch);
                }
                Ok((count, next))
            }
        }
    }
}

impl WorkloadReader<'_> {
    fn observe(&mut self, meta: &Meta<'_>, spec: PodSpec<'_>, replicas: Option<i64>, batch: &mut Batch) {
        if !self.context.selects(meta.namespace.as_str()) {
            return;
        }
        if self.resource == resource::DEPLOYMENTS {
            self.revisions.learn(meta);
        }
        let former = (self.resource == resource::REPLICA_SETS)
            .then(|| self.revisions.former_of(meta, replicas))
            .flatten();
        let (at, stage) = match former {
            Some(deployment) => {
                let namespace = meta.namespace.plain();
                let at = self.context.names.object(&namespace, resource::DEPLOYMENTS.kind, &deployment);
                (at, CopyStage::Former)
            }
            None => {
                let Some(at) = self.owner(meta) else { return };
                (at, CopyStage::Current)
            }
        };
        let area = meta.namespace.plain();
        let view = View {
            context: self.context,
            accounts: self.accounts,
            meta,
            at,
            stage,
            namespace: area.clone(),
            replicas,
        };
        view.observe(spec, |observation| batch.push(&area, self.part, observation));
    }

    /// The ref under which this object's pods are known; `None` when another object that we read stands for them.
    fn owner(&self, meta: &Meta<'_>) -> Option<Ref> {
        let namespace = meta.namespace.plain();
        match meta.owner_references.iter().find(|owner| owner.controller) {
            None => Some(self.context.names.object(&namespace, self.resource.kind, &meta.name.plain())),
            Some(owner) if READ_OWNERS.contains(&owner.kind.as_str()) => None,
            // A controller of another kind deploys Deployments; the pods of an own kind of workload have only its name.
            Some(_)
                if self.shape != Shape::Pod
                    && self.resource != resource::REPLICA_SETS
                    && self.resource != resource::JOBS =>
            {
                Some(self.context.names.object(&namespace, self.resource.kind, &meta.name.plain()))
            }
            Some(owner) => {
                Some(self.context.names.object(&namespace, &owner.kind.plain(), &owner.name.plain()))
            }
        }
    }
}

/// One workload and what is needed to describe it.
struct View<'v> {
    context: &'v Context<'v>,
    accounts: &'v AccountIndex,
    meta: &'v Meta<'v>,
    at: Ref,
    /// Former: `meta` is of the ReplicaSet that keeps the template which the workload had before.
    stage: CopyStage,
    namespace: String,
    replicas: Option<i64>,
}

impl View<'_> {
    fn observe(&self, spec: PodSpec<'_>, mut send: impl FnMut(Observation)) {
        let account = if spec.service_account_name.is_empty() {
            "default".to_owned()
        } else {
            spec.service_account_name.plain()
        };
        let containers = [
            ("containers", spec.containers),
            ("initContainers", spec.init_containers),
            ("ephemeralContainers", spec.ephemeral_containers),
        ];
        let mut all: Vec<(&str, Container<'_>)> = Vec::new();
        for (list, containers) in containers {
            all.extend(containers.into_iter().map(|container| (list, container)));
        }
        for (list, container) in &mut all {
            self.literals(list, container, &mut send);
        }
        if self.stage == CopyStage::Former {
            return;
        }
        let all: Vec<Container<'_>> = all.into_iter().map(|(_, container)| container).collect();
        for container in &all {
            for variable in &container.env {
                self.variable(container, variable, &mut send);
            }
            for source in &container.env_from {
                self.env_from(container, source, &mut send);
            }
        }
        for volume in spec.volumes.iter().filter(|volume| !volume.name.as_str().starts_with(TOKEN_VOLUME)) {
            self.volume(volume, &account, &all, &mut send);
        }
        self.pull_secrets(&spec.image_pull_secrets, &account, &mut send);
        let automount = spec
            .automount_service_account_token
            .unwrap_or_else(|| self.accounts.automounts(&self.namespace, &account));
        if automount {
            let reads = self.object("ServiceAccount", &account);
            send(self.consumer(reads, ConsumerHow::ServiceAccount, None, Attributes::new()));
        }
    }

    fn object(&self, kind: &str, name: &str) -> Ref {
        self.context.names.object(&self.namespace, kind, name)
    }

    fn consumer(
        &self,
        reads: Ref,
        how: ConsumerHow,
        container: Option<&Container<'_>>,
        mut attributes: Attributes,
    ) -> Observation {
        if let Some(replicas) = self.replicas {
            attributes.insert("replicas".to_owned(), Value::from(replicas));
        }
        Observation::Consumer(ObservedConsumer {
            at: self.at.clone(),
            reads,
            how,
            container: container.map(|container| container.name.plain()),
            attributes,
        })
    }

    fn literals(&self, list: &str, container: &mut Container<'_>, send: &mut impl FnMut(Observation)) {
        for literal in literals::of(container) {
            let at = self.at.field(&format!("{list}/{}/{}", container.name.plain(), literal.pointer));
            send(Observation::Copy(self.literal(at.clone(), literal)));
            if self.stage != CopyStage::Former {
                send(self.consumer(at, ConsumerHow::Literal, Some(container), Attributes::new()));
            }
        }
    }

    fn literal(&self, at: Ref, literal: Literal) -> ObservedCopy {
        let made = self.meta.creation_timestamp.as_ref().and_then(wire::time);
        // A ReplicaSet is made with its template and keeps it: its name is the version, its age the version's, not the place's.
        let (version, created_at, updated_at) = if self.stage == CopyStage::Former {
            (self.meta.name.plain(), None, made)
        } else {
            (version::of(self.meta), made, None)
        };
        let mut attributes = Attributes::new();
        // Of a former template it would be the Deployment itself, which is no other system.
        if self.stage != CopyStage::Former
            && let Some(system) = managed::managed_by(self.meta)
        {
            attributes.insert("managed_by".to_owned(), Value::from(system));
        }
        ObservedCopy {
            at,
            key: literal.key,
            version: Some(version),
            stage: self.stage,
            place: Place::Literal,
            content: Content::Value(literal.value),
            bundle: Bundle::default(),
            kind: None,
            issuer: None,
            created_at,
            updated_at,
            last_used_at: None,
            labels: self.context.labels_of(self.meta),
            owners: self.context.owners_of(self.meta),
            attributes,
        }
    }

    fn variable(&self, container: &Container<'_>, variable: &EnvVar<'_>, send: &mut impl FnMut(Observation)) {
        let sources = [
            ("Secret", &variable.value_from.secret_key_ref),
            ("ConfigMap", &variable.value_from.config_map_key_ref),
        ];
        for (kind, source) in sources {
            if let Some(source) = source {
                let mut attributes = flags(source.optional);
                attributes.insert("variable".to_owned(), Value::from(variable.name.plain()));
                let reads = self.object(kind, &source.name.plain()).field(&source.key.plain());
                send(self.consumer(reads, ConsumerHow::Env, Some(container), attributes));
            }
        }
    }

    fn env_from(&self, container: &Container<'_>, source: &EnvFrom<'_>, send: &mut impl FnMut(Observation)) {
        for (kind, object) in [("Secret", &source.secret_ref), ("ConfigMap", &source.config_map_ref)] {
            if let Some(object) = object {
                let mut attributes = flags(object.optional);
                if !source.prefix.is_empty() {
                    attributes.insert("prefix".to_owned(), Value::from(source.prefix.plain()));
                }
                let reads = self.object(kind, &object.name.plain());
                send(self.consumer(reads, ConsumerHow::EnvFrom, Some(container), attributes));
            }
        }
    }

    fn volume(
        &self,
        volume: &Volume<'_>,
        account: &str,
        containers: &[Container<'_>],
        send: &mut impl FnMut(Observation),
    ) {
        let mut reads: Vec<(Ref, ConsumerHow, Attributes)> = Vec::new();
        if let Some(secret) = &volume.secret {
            let object = self.object("Secret", &secret.secret_name.plain());
            keyed(&object, &secret.items, ConsumerHow::Volume, secret.optional, &mut reads);
        }
        if let Some(map) = &volume.config_map {
            keyed(
                &self.object("ConfigMap", &map.name.plain()),
                &map.items,
                ConsumerHow::Volume,
                map.optional,
                &mut reads,
            );
        }
        for source in volume.projected.iter().flat_map(|projected| &projected.sources) {
            self.projection(source, account, &mut reads);
        }
        if let Some(secret) = volume.csi.as_ref().and_then(|csi| csi.node_publish_secret_ref.as_ref()) {
            let driver = volume.csi.as_ref().map(|csi| csi.driver.plain()).unwrap_or_default();
            let attributes = Attributes::from([("csi_driver".to_owned(), Value::from(driver))]);
            reads.push((self.object("Secret", &secret.name.plain()), ConsumerHow::Volume, attributes));
        }
        if let Some(file) = volume.azure_file.as_ref().filter(|file| !file.secret_name.is_empty()) {
            reads.push((
                self.object("Secret", &file.secret_name.plain()),
                ConsumerHow::Volume,
                Attributes::new(),
            ));
        }
        for (object, how, attributes) in reads {
            self.mounts(volume, object, how, &attributes, containers, send);
        }
    }

    fn projection(
        &self,
        source: &Projection<'_>,
        account: &str,
        reads: &mut Vec<(Ref, ConsumerHow, Attributes)>,
    ) {
        if let Some(secret) = &source.secret {
            keyed(
                &self.object("Secret", &secret.name.plain()),
                &secret.items,
                ConsumerHow::Projected,
                secret.optional,
                reads,
            );
        }
        if let Some(map) = &source.config_map {
            keyed(
                &self.object("ConfigMap", &map.name.plain()),
                &map.items,
                ConsumerHow::Projected,
                map.optional,
                reads,
            );
        }
        if let Some(token) = &source.service_account_token {
            let mut attributes = Attributes::new();
            if !token.audience.is_empty() {
                attributes.insert("audience".to_owned(), Value::from(token.audience.plain()));
            }
            // The API server's default for a projected token is an hour.
            attributes.insert(
                "expiration_seconds".to_owned(),
                Value::from(token.expiration_seconds.unwrap_or(3600)),
            );
            reads.push((self.object("ServiceAccount", account), ConsumerHow::Projected, attributes));
        }
    }

    /// One consumer per container that mounts the volume, or one without a container when none does.
    fn mounts(
        &self,
        volume: &Volume<'_>,
        reads: Ref,
        how: ConsumerHow,
        attributes: &Attributes,
        containers: &[Container<'_>],
        send: &mut impl FnMut(Observation),
    ) {
        let mut mounted = false;
        for container in containers {
            for mount in container.volume_mounts.iter().filter(|mount| mount.name == volume.name) {
                mounted = true;
                let mut attributes = attributes.clone();
                attributes.insert("mount_path".to_owned(), Value::from(mount.mount_path.plain()));
                let sub_path = if mount.sub_path.is_empty() { &mount.sub_path_expr } else { &mount.sub_path };
                if !sub_path.is_empty() {
                    attributes.insert("sub_path".to_owned(), Value::from(sub_path.plain()));
                }
                send(self.consumer(reads.clone(), how, Some(container), attributes));
            }
        }
        if !mounted {
            let mut attributes = attributes.clone();
            attributes.insert("mounted".to_owned(), Value::from(false));
            send(self.consumer(reads, how, None, attributes));
        }
    }

    /// The pod's own pull secrets, else those of its ServiceAccount, which the API server puts into pods that have none.
    fn pull_secrets(&self, own: &[wire::Named<'_>], account: &str, send: &mut impl FnMut(Observation)) {
        let names: Vec<String> =
            own.iter().filter(|secret| !secret.name.is_empty()).map(|secret| secret.name.plain()).collect();
        let (names, inherited) = if own.is_empty() {
            (self.accounts.image_pull_secrets(&self.namespace, account).to_vec(), true)
        } else {
            (names, false)
        };
        for name in names {
            let mut attributes = Attributes::new();
            if inherited {
                attributes.insert("from_service_account".to_owned(), Value::from(account));
            }
            send(self.consumer(self.object("Secret", &name), ConsumerHow::ImagePull, None, attributes));
        }
    }
}

fn flags(optional: bool) -> Attributes {
    let mut attributes = Attributes::new();
    if optional {
        attributes.insert("optional".to_owned(), Value::from(true));
    }
    attributes
}

/// The chosen keys of an object, or the whole of it.
fn keyed(
    object: &Ref,
    items: &[wire::Item<'_>],
    how: ConsumerHow,
    optional: bool,
    reads: &mut Vec<(Ref, ConsumerHow, Attributes)>,
) {
    if items.is_empty() {
        reads.push((object.clone(), how, flags(optional)));
    }
    for item in items {
        reads.push((object.field(&item.key.plain()), how, flags(optional)));
    }
}
