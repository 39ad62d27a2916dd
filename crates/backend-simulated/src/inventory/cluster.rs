use std::collections::BTreeMap;

use claviger_core::{
    canonical::Neighbours,
    model::{Attributes, ConsumerHow, CredentialKind, Labels, Place},
    observation::{Observation, ObservedConsumer, ObservedCopy},
    reference::Ref,
    secret::SecretValue,
};
use serde_json::json;

use super::{copy, dated, owners};
use crate::{
    SimulatedBackend,
    estate::{Deployment, EnvSource, Estate, Namespace, Planted, Secret, SecretType},
};

/// The environment that a namespace's objects inherit.
pub(super) fn environment(namespace: &Namespace) -> Labels {
    namespace
        .labels
        .iter()
        .filter(|(key, _)| *key == "env")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The object's labels over the inherited ones.
pub(super) fn merged(inherited: &Labels, own: &Labels) -> Labels {
    let mut labels = inherited.clone();
    labels.extend(own.clone());
    labels
}

fn neighbours(data: &BTreeMap<String, Planted>) -> Neighbours {
    let held: Vec<(&str, SecretValue)> =
        data.iter().map(|(key, value)| (key.as_str(), value.secret())).collect();
    Neighbours::of(held.iter().map(|(key, value)| (*key, value)))
}

pub(super) fn secrets(
    backend: &SimulatedBackend,
    estate: &Estate,
    name: &str,
    namespace: &Namespace,
) -> Vec<Observation> {
    let mut items = Vec::new();
    let inherited = environment(namespace);
    for (secret, held) in &namespace.secrets {
        let at = backend.at(["k8s", name, "Secret", secret]);
        if let SecretType::ServiceAccountToken { account, .. } = &held.kind
            && let Some(token) = estate.legacy_token(name, secret, account)
        {
            let mut copy = of_secret(&at, "token", held, &token, &inherited);
            copy.kind = Some(CredentialKind::ServiceAccountToken);
            copy.issuer = Some(at.clone());
            items.push(Observation::Copy(copy));
        }
        let beside = neighbours(&held.data);
        for (key, value) in &held.data {
            let mut copy = of_secret(&at, key, held, value, &inherited);
            copy.bundle = beside.describe(key);
            if held.kind == SecretType::DockerConfigJson {
                copy.kind = Some(CredentialKind::Registry);
            }
            items.push(Observation::Copy(copy));
        }
    }
    items
}

fn of_secret(at: &Ref, key: &str, held: &Secret, value: &Planted, inherited: &Labels) -> ObservedCopy {
    let mut copy =
        dated(copy(at.field(key), key, Place::SecretStore, value), held.created_at, held.updated_at);
    copy.version = Some(held.version.to_string());
    copy.labels = merged(inherited, &held.labels);
    copy.owners = owners("label", &held.labels);
    copy.owners.extend(owners("annotation", &held.annotations));
    copy.attributes.insert("secret_type".into(), json!(held.kind.name()));
    if held.immutable {
        copy.attributes.insert("immutable".into(), json!(true));
    }
    if let Some(system) = &held.managed_by {
        copy.attributes.insert("managed_by".into(), json!(system));
    }
    copy
}

pub(super) fn config_maps(backend: &SimulatedBackend, name: &str, namespace: &Namespace) -> Vec<Observation> {
    let mut items = Vec::new();
    let inherited = environment(namespace);
    for (map, held) in &namespace.config_maps {
        let at = backend.at(["k8s", name, "ConfigMap", map]);
        let beside = neighbours(&held.data);
        for (key, value) in &held.data {
            let copied = copy(at.field(key), key, Place::Configuration, value);
            let mut copied = dated(copied, held.created_at, held.updated_at);
            copied.version = Some(held.version.to_string());
            copied.bundle = beside.describe(key);
            copied.labels = merged(&inherited, &held.labels);
            copied.owners = owners("label", &held.labels);
            items.push(Observation::Copy(copied));
        }
    }
    items
}

pub(super) fn workloads(backend: &SimulatedBackend, name: &str, namespace: &Namespace) -> Vec<Observation> {
    let mut items = Vec::new();
    let inherited = environment(namespace);
    for (deployment, held) in &namespace.deployments {
        let at = backend.at(["k8s", name, "Deployment", deployment]);
        for container in &held.containers {
            let literals = container.env.iter().filter_map(|(variable, source)| match source {
                EnvSource::Literal(value) => Some((variable, value)),
                EnvSource::Field { .. } => None,
            });
            for (variable, value) in literals {
                let field = at.field(&format!("containers/{}/env/{variable}", container.name));
                let mut copied = dated(
                    copy(field.clone(), variable, Place::Literal, value),
                    held.created_at,
                    held.created_at,
                );
                copied.version = Some(held.version.to_string());
                copied.labels = merged(&inherited, &held.labels);
                copied.owners = owners("label", &held.labels);
                items.push(Observation::Copy(copied));
                items.push(consumer(&at, held, field, ConsumerHow::Literal, Some(&container.name)));
            }
            let object = |kind: &str, object: &str| backend.at(["k8s", name, kind, object]);
            for source in container.env.values() {
                if let EnvSource::Field { object: from, key } = source {
                    let reads = object(&from.kind.to_string(), &from.name).field(key);
                    items.push(consumer(&at, held, reads, ConsumerHow::Env, Some(&container.name)));
                }
            }
            for from in &container.env_from {
                let reads = object(&from.kind.to_string(), &from.name);
                items.push(consumer(&at, held, reads, ConsumerHow::EnvFrom, Some(&container.name)));
            }
            for mount in &container.mounts {
                let reads = object(&mount.object.kind.to_string(), &mount.object.name);
                let mut item = observed(&at, held, reads, ConsumerHow::Volume, Some(&container.name));
                if let Some(path) = &mount.sub_path {
                    item.attributes.insert("sub_path".into(), json!(path));
                }
                items.push(Observation::Consumer(item));
            }
        }
        for secret in &held.image_pull_secrets {
            let reads = backend.at(["k8s", name, "Secret", secret]);
            items.push(consumer(&at, held, reads, ConsumerHow::ImagePull, None));
        }
        if let Some(account) = &held.service_account {
            let reads = backend.at(["k8s", name, "ServiceAccount", account]);
            items.push(consumer(&at, held, reads, ConsumerHow::ServiceAccount, None));
        }
    }
    items
}

fn consumer(
    at: &Ref,
    held: &Deployment,
    reads: Ref,
    how: ConsumerHow,
    container: Option<&String>,
) -> Observation {
    Observation::Consumer(observed(at, held, reads, how, container))
}

fn observed(
    at: &Ref,
    held: &Deployment,
    reads: Ref,
    how: ConsumerHow,
    container: Option<&String>,
) -> ObservedConsumer {
    ObservedConsumer {
        at: at.clone(),
        reads,
        how,
        container: container.cloned(),
        attributes: Attributes::from([("replicas".to_owned(), json!(held.replicas))]),
    }
}
