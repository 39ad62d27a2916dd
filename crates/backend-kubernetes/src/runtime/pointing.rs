//! Which Secret a workload's pods name, and where.

use serde::Deserialize;

use crate::wire::{self, Container, Meta, PodSpec};

/// A workload as far as its pods' template goes.
#[derive(Debug, Deserialize)]
pub(crate) struct Pointing<'a> {
    #[serde(borrow, default)]
    pub(crate) metadata: Meta<'a>,
    #[serde(borrow, default, deserialize_with = "wire::nullable")]
    spec: Spec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec<'a> {
    #[serde(borrow)]
    template: Option<Template<'a>>,
    #[serde(borrow)]
    job_template: Option<JobTemplate<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JobTemplate<'a> {
    #[serde(borrow, deserialize_with = "wire::nullable")]
    spec: JobSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JobSpec<'a> {
    #[serde(borrow)]
    template: Option<Template<'a>>,
}

/// A pod template.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Template<'a> {
    #[serde(borrow)]
    pub(crate) metadata: Option<Meta<'a>>,
    #[serde(borrow, deserialize_with = "wire::nullable")]
    pub(crate) spec: PodSpec<'a>,
}

impl<'a> Pointing<'a> {
    /// The template, and its place in the object as a JSON pointer.
    pub(crate) fn template(&self) -> Option<(&'static str, &Template<'a>)> {
        let direct = self.spec.template.as_ref().map(|template| ("/spec/template", template));
        direct.or_else(|| {
            let template = self.spec.job_template.as_ref()?.spec.template.as_ref()?;
            Some(("/spec/jobTemplate/spec/template", template))
        })
    }

    /// JSON pointers of all places whose text is the name of this Secret.
    pub(crate) fn named(&self, secret: &str) -> Vec<String> {
        let Some((root, template)) = self.template() else { return Vec::new() };
        let spec = &template.spec;
        let mut places = Vec::new();
        for (index, volume) in spec.volumes.iter().enumerate() {
            let at = format!("{root}/spec/volumes/{index}");
            if volume.secret.as_ref().is_some_and(|source| source.secret_name.as_str() == secret) {
                places.push(format!("{at}/secret/secretName"));
            }
            for (source, projection) in
                volume.projected.iter().flat_map(|projected| &projected.sources).enumerate()
            {
                if projection.secret.as_ref().is_some_and(|source| source.name.as_str() == secret) {
                    places.push(format!("{at}/projected/sources/{source}/secret/name"));
                }
            }
            let publish = volume.csi.as_ref().and_then(|csi| csi.node_publish_secret_ref.as_ref());
            if publish.is_some_and(|named| named.name.as_str() == secret) {
                places.push(format!("{at}/csi/nodePublishSecretRef/name"));
            }
            if volume.azure_file.as_ref().is_some_and(|file| file.secret_name.as_str() == secret) {
                places.push(format!("{at}/azureFile/secretName"));
            }
        }
        for (list, containers) in
            [("containers", &spec.containers), ("initContainers", &spec.init_containers)]
        {
            for (index, container) in containers.iter().enumerate() {
                of_container(&format!("{root}/spec/{list}/{index}"), container, secret, &mut places);
            }
        }
        for (index, named) in spec.image_pull_secrets.iter().enumerate() {
            if named.name.as_str() == secret {
                places.push(format!("{root}/spec/imagePullSecrets/{index}/name"));
            }
        }
        places
    }
}

fn of_container(at: &str, container: &Container<'_>, secret: &str, places: &mut Vec<String>) {
    for (index, variable) in container.env.iter().enumerate() {
        let from = variable.value_from.secret_key_ref.as_ref();
        if from.is_some_and(|from| from.name.as_str() == secret) {
            places.push(format!("{at}/env/{index}/valueFrom/secretKeyRef/name"));
        }
    }
    for (index, source) in container.env_from.iter().enumerate() {
        if source.secret_ref.as_ref().is_some_and(|from| from.name.as_str() == secret) {
            places.push(format!("{at}/envFrom/{index}/secretRef/name"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> serde_json::Value {
        json!({
            "volumes": [
                {"name": "other", "secret": {"secretName": "db"}},
                {"name": "token", "secret": {"secretName": "tok"}},
                {"name": "all", "projected": {"sources": [{"configMap": {"name": "tok"}}, {"secret": {"name": "tok"}}]}},
            ],
            "containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "tok"}}, {"secretRef": {"name": "tok"}}],
                "env": [{"name": "A", "value": "tok"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "tok", "key": "token"}}}]}],
            "initContainers": [{"name": "i", "env": [{"name": "C", "valueFrom": {"secretKeyRef": {"name": "tok", "key": "token"}}}]}],
        })
    }

    #[test]
    fn each_place_that_names_a_secret_is_found_and_no_other() {
        let mut object = json!({"metadata": {"name": "web"}, "spec": {"template": {"spec": pod()}}});
        let text = object.to_string();
        let pointing: Pointing<'_> = wire::read(text.as_bytes()).expect("a workload");
        let places = pointing.named("tok");
        assert_eq!(places.len(), 5, "{places:?}");
        for place in &places {
            assert_eq!(object.pointer(place).and_then(|name| name.as_str()), Some("tok"), "{place}");
            *object.pointer_mut(place).expect("a place") = "new".into();
        }
        assert!(pointing.named("").is_empty() && pointing.named("nothing").is_empty());
        let text = object.to_string();
        let pointing: Pointing<'_> = wire::read(text.as_bytes()).expect("a workload");
        assert!(pointing.named("tok").is_empty());
        assert_eq!(pointing.named("new").len(), 5);
    }

    #[test]
    fn a_cron_job_s_template_lies_deeper() {
        let object = json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": pod()}}}}});
        let text = object.to_string();
        let pointing: Pointing<'_> = wire::read(text.as_bytes()).expect("a workload");
        let places = pointing.named("tok");
        assert!(
            places.len() == 5 && places.iter().all(|place| object.pointer(place).is_some()),
            "{places:?}"
        );
    }
}
