//! Workloads: what stands in their specifications, and which objects they read. Everything with a pod template counts, also custom kinds.

use claviger_core::{
    model::{Attributes, ConsumerHow},
    observation::{Bundle, Content, Observation},
    reference::Ref,
};
use serde_json::json;
use yaml_serde::Value;

use super::{Index, Object};
use crate::{
    document::{items, scalar, text},
    environment::{self, Pair},
    sighting::{Home, below, consumer, is_reference},
    words,
};

/// What a workload shows; nothing for an object without pods.
pub(super) fn observe(home: &Home, object: &Object<'_>, index: &Index) -> Vec<Observation> {
    let Some(spec) = pod_spec(object) else { return Vec::new() };
    let replicas = object.value.get("spec").and_then(|spec| spec.get("replicas")).and_then(Value::as_i64);
    let file = home.at.object();
    let mut view = View { home, object, index, file, replicas, found: Vec::new() };
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in items(spec, list) {
            view.container(list, container);
        }
    }
    for volume in items(spec, "volumes") {
        view.volume(spec, volume);
    }
    for secret in items(spec, "imagePullSecrets") {
        view.reads("Secret", text(secret, "name"), None, ConsumerHow::ImagePull, None, Attributes::new());
    }
    view.found
}

fn pod_spec<'a>(object: &Object<'a>) -> Option<&'a Value> {
    let spec = object.value.get("spec")?;
    let of_template = |spec: &'a Value| spec.get("template")?.get("spec");
    match object.kind {
        "Pod" => Some(spec),
        "CronJob" => of_template(spec.get("jobTemplate")?.get("spec")?),
        _ => of_template(spec),
    }
    .filter(|spec| spec.get("containers").is_some())
}

struct View<'v> {
    home: &'v Home,
    object: &'v Object<'v>,
    index: &'v Index,
    file: Ref,
    replicas: Option<i64>,
    found: Vec<Observation>,
}

impl View<'_> {
    fn container(&mut self, list: &str, container: &Value) {
        let name = text(container, "name").unwrap_or_default();
        self.environment(list, name, container);
        for part in ["command", "args"] {
            let arguments = items(container, part).filter_map(Value::as_str);
            for (number, word) in words::of_arguments(arguments).into_iter().enumerate() {
                let segments = [list, name, part, &format!("{number}-{}", word.name)];
                let pair = Pair { name: word.name, value: word.value };
                self.literal(&segments, pair, Bundle::default(), name);
            }
        }
        for source in items(container, "envFrom") {
            for (kind, key) in [("Secret", "secretRef"), ("ConfigMap", "configMapRef")] {
                let object = source.get(key).and_then(|object| text(object, "name"));
                self.reads(kind, object, None, ConsumerHow::EnvFrom, Some(name), Attributes::new());
            }
        }
    }

    fn environment(&mut self, list: &str, container: &str, value: &Value) {
        let mut literals = Vec::new();
        for variable in items(value, "env") {
            let Some(name) = text(variable, "name") else { continue };
            if let Some(value) = variable.get("value").and_then(scalar) {
                literals.push(Pair { name: name.to_owned(), value });
            }
            let from = variable.get("valueFrom");
            for (kind, key) in [("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef")] {
                let Some(source) = from.and_then(|from| from.get(key)) else { continue };
                let attributes = Attributes::from([("variable".to_owned(), json!(name))]);
                let object = text(source, "name");
                self.reads(kind, object, text(source, "key"), ConsumerHow::Env, Some(container), attributes);
            }
        }
        let bundles: Vec<Bundle> =
            literals.iter().map(|pair| environment::bundle(&pair.name, &literals)).collect();
        for (pair, bundle) in literals.into_iter().zip(bundles) {
            let name = pair.name.clone();
            self.literal(&[list, container, "env", &name], pair, bundle, container);
        }
    }

    fn literal(&mut self, segments: &[&str], pair: Pair, bundle: Bundle, container: &str) {
        if pair.value.expose_text().is_some_and(is_reference) {
            return;
        }
        let at = below(&self.home.at, segments);
        self.found.push(Observation::Copy(self.home.copy(
            segments,
            &pair.name,
            Content::Value(pair.value),
            bundle,
        )));
        let attributes = self.attributes(Attributes::new());
        self.found.push(consumer(&self.home.at, at, ConsumerHow::Literal, Some(container), attributes));
    }

    fn volume(&mut self, spec: &Value, volume: &Value) {
        let mut sources = vec![(volume, ConsumerHow::Volume)];
        if let Some(projected) = volume.get("projected") {
            sources.extend(items(projected, "sources").map(|source| (source, ConsumerHow::Projected)));
        }
        let name = text(volume, "name").unwrap_or_default();
        for (source, how) in sources {
            for (kind, key, named) in [("Secret", "secret", "secretName"), ("ConfigMap", "configMap", "name")]
            {
                let Some(object) = source.get(key) else { continue };
                // In a projected volume a Secret is named by `name`.
                let object_name = text(object, named).or_else(|| text(object, "name"));
                let keys: Vec<&str> = items(object, "items").filter_map(|item| text(item, "key")).collect();
                for (container, sub_path) in mounts(spec, name) {
                    let mut attributes = Attributes::new();
                    if let Some(sub_path) = sub_path {
                        attributes.insert("sub_path".to_owned(), json!(sub_path));
                    }
                    if keys.is_empty() {
                        self.reads(kind, object_name, None, how, container, attributes);
                        continue;
                    }
                    for key in &keys {
                        self.reads(kind, object_name, Some(key), how, container, attributes.clone());
                    }
                }
            }
        }
    }

    /// One consumer for each field that is read; for the object where its fields are not known.
    fn reads(
        &mut self,
        kind: &str,
        name: Option<&str>,
        key: Option<&str>,
        how: ConsumerHow,
        container: Option<&str>,
        attributes: Attributes,
    ) {
        let Some(name) = name.filter(|name| !is_reference(name)) else { return };
        let mut attributes = self.attributes(attributes);
        let found = self.index.find(&self.file, self.object.namespace, kind, name);
        let (object, keys) = match found {
            Some((at, keys)) => (at.clone(), keys),
            None => {
                attributes.insert("unresolved".to_owned(), json!(true));
                let namespace = self.object.namespace;
                let segments: &[&str] =
                    if namespace.is_empty() { &[kind, name] } else { &[kind, namespace, name] };
                (below(&self.file, segments), [].as_slice())
            }
        };
        let whole = || keys.iter().map(String::as_str).collect::<Vec<_>>();
        let keys = key.map_or_else(whole, |key| vec![key]);
        if keys.is_empty() {
            self.found.push(consumer(&self.home.at, object, how, container, attributes));
            return;
        }
        for key in keys {
            let reads = below(&object, &[key]);
            self.found.push(consumer(&self.home.at, reads, how, container, attributes.clone()));
        }
    }

    fn attributes(&self, mut attributes: Attributes) -> Attributes {
        if let Some(replicas) = self.replicas {
            attributes.insert("replicas".to_owned(), json!(replicas));
        }
        attributes
    }
}

/// The containers that mount a volume, with their `subPath`; one entry without a container where none does.
fn mounts<'a>(spec: &'a Value, volume: &str) -> Vec<(Option<&'a str>, Option<&'a str>)> {
    let mut found = Vec::new();
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            for mount in items(container, "volumeMounts").filter(|mount| text(mount, "name") == Some(volume))
            {
                let sub_path = text(mount, "subPath").or_else(|| text(mount, "subPathExpr"));
                found.push((text(container, "name"), sub_path));
            }
        }
    }
    if found.is_empty() {
        found.push((None, None));
    }
    found
}
