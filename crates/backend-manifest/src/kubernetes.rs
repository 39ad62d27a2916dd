//! Kubernetes objects as they stand in files.

mod index;
mod object;
mod secret;
mod workload;

use claviger_core::{model::Place, observation::Observation};
use serde_json::json;
use yaml_serde::Value;

pub(crate) use self::{index::Index, object::Object};
use crate::{
    document::{entries, items, members, text},
    environment,
    sighting::Home,
};

/// The objects of a file's documents, `List`s opened, and what is left over.
pub(crate) fn split(documents: &[Value]) -> (Vec<Object<'_>>, Vec<&Value>) {
    let (mut objects, mut others) = (Vec::new(), Vec::new());
    for document in documents {
        collect(document, &mut objects, &mut others);
    }
    object::number(&mut objects);
    (objects, others)
}

fn collect<'a>(document: &'a Value, objects: &mut Vec<Object<'a>>, others: &mut Vec<&'a Value>) {
    match Object::of(document) {
        Some(list) if list.kind.ends_with("List") => {
            for item in items(document, "items") {
                collect(item, objects, others);
            }
        }
        Some(object) => objects.push(object),
        None => others.push(document),
    }
}

/// What an object shows.
pub(crate) fn observe(file: &Home, object: &Object<'_>, index: &Index) -> Vec<Observation> {
    match object.kind {
        "Secret" => secret::observe(&object.home(file, Place::SecretStore), object),
        "ConfigMap" => secret::observe(&object.home(file, Place::Configuration), object),
        "Kustomization" => kustomization(file, object.value),
        _ => workload::observe(&object.home(file, Place::Literal), object, index),
    }
}

/// True for a `kustomization.yaml` that does not say what it is.
pub(crate) fn is_kustomization(document: &Value) -> bool {
    items(document, "secretGenerator").next().is_some()
        || items(document, "configMapGenerator").next().is_some()
}

/// Literals of Kustomize's generators, named by the object that they make.
pub(crate) fn kustomization(file: &Home, document: &Value) -> Vec<Observation> {
    let mut found = Vec::new();
    for (list, kind, place) in [
        ("secretGenerator", "Secret", Place::SecretStore),
        ("configMapGenerator", "ConfigMap", Place::Configuration),
    ] {
        for generator in items(document, list) {
            let name = text(generator, "name").unwrap_or_default();
            let lines: Vec<&str> = items(generator, "literals").filter_map(Value::as_str).collect();
            let mut home = file.clone();
            home.place = place;
            home.at = crate::sighting::below(&file.at, &[list, name]);
            home.attributes.insert("format".to_owned(), json!("kustomization"));
            home.attributes.insert("object_kind".to_owned(), json!(kind));
            found.extend(environment::observe(&home, environment::dotenv(&lines.join("\n"))));
        }
    }
    found
}

/// True for a kubeconfig.
pub(crate) fn is_kubeconfig(document: &Value) -> bool {
    text(document, "kind") == Some("Config") && items(document, "users").next().is_some()
}

/// True for a Docker configuration.
pub(crate) fn is_docker_config(document: &Value) -> bool {
    members(document, "auths").any(|(_, auth)| entries(auth).next().is_some())
}
