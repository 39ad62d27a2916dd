//! The change of a workload as a strategic merge patch, for `kubectl patch --patch-file` and for kustomize.

use claviger_core::saga::{Mounting, Side};
use serde_json::{Value, json};

use super::manifest::{self, Before, Manifest};
use crate::{buffer::Buffer, failure::Failure, place::Place, runtime::pointing::Pointing, wire};

/// File name and text.
pub(super) fn text(place: &Place, body: &Buffer, mounting: &Mounting) -> Result<(String, String), Failure> {
    let pointing: Pointing<'_> = wire::read(body)?;
    let manifest: Manifest = wire::read(body)?;
    let secret = mounting.from.as_ref().map(|from| from.as_str().rsplit('/').next().unwrap_or_default());
    let secret = secret.unwrap_or_default();
    let (pod, mut remarks) = match &mounting.folder {
        None => (same_files(&manifest, secret, mounting), Vec::new()),
        Some(folder) => another_way(&pointing, secret, mounting, folder),
    };
    let mut template = json!({"spec": pod});
    if !mounting.annotations.is_empty() {
        template["metadata"] = json!({"annotations": mounting.annotations});
    }
    let spec = match pointing.template() {
        Some((root, _)) if root.contains("jobTemplate") => {
            json!({"jobTemplate": {"spec": {"template": template}}})
        }
        _ => json!({"template": template}),
    };
    let Place { namespace, kind, name, .. } = place;
    let file = format!("{namespace}-{}-{name}.patch.yaml", kind.to_lowercase());
    let mut lines = vec![
        format!(
            "{kind} {name} of namespace {namespace}: its own short-lived token instead of Secret {secret}"
        ),
        format!(
            "kubectl patch {} {name} --namespace {namespace} --type strategic --patch-file {file}",
            kind.to_lowercase()
        ),
    ];
    let account = pointing.template().map(|(_, template)| template.spec.service_account_name.plain());
    let account = account.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned());
    lines.extend(mounting.account_annotations.iter().map(|(key, value)| {
        format!("kubectl annotate serviceaccount {account} --namespace {namespace} {key}={value}")
    }));
    lines.append(&mut remarks);
    let remarks: String = lines.iter().map(|line| format!("# {line}\n")).collect();
    let document = yaml_serde::to_string(&json!({"spec": spec}))
        .map_err(|error| Failure::Malformed(error.to_string()))?;
    Ok((file, remarks + &document))
}

/// Each volume of the Secret with another source, under its name.
fn same_files(manifest: &Manifest, secret: &str, mounting: &Mounting) -> Value {
    let made = manifest::brought(manifest.volumes(), &Before::new(), secret, (mounting, Side::Over));
    let volumes = made.map(|(volumes, _)| volumes).unwrap_or_default();
    let changed = volumes.into_iter().filter(|volume| !manifest.volumes().contains(volume));
    let changed = changed.map(|mut volume| {
        volume["secret"] = Value::Null;
        volume
    });
    json!({"volumes": changed.collect::<Vec<_>>()})
}

/// A token of its own in a folder of its own, variables, and the Secret named no more.
fn another_way(
    pointing: &Pointing<'_>,
    secret: &str,
    mounting: &Mounting,
    folder: &str,
) -> (Value, Vec<String>) {
    const VOLUME: &str = "claviger-identity";
    let mut remarks = Vec::new();
    let mut token = json!({"path": "token", "expirationSeconds": mounting.lifetime});
    if let Some(audience) = &mounting.audience {
        token["audience"] = json!(audience);
    }
    let sources = json!([{"serviceAccountToken": token}]);
    let mut volumes = vec![json!({"name": VOLUME, "projected": {"sources": sources}})];
    let Some((_, template)) = pointing.template() else { return (json!({"volumes": volumes}), remarks) };
    let of_secret =
        template.spec.volumes.iter().filter(|volume| {
            volume.secret.as_ref().is_some_and(|source| source.secret_name.as_str() == secret)
        });
    let gone: Vec<&str> = of_secret.map(|volume| volume.name.as_str()).collect();
    volumes.extend(gone.iter().map(|name| json!({"name": name, "$patch": "delete"})));
    let containers: Vec<Value> = template
        .spec
        .containers
        .iter()
        .map(|container| {
            let named = container.env.iter().filter(|variable| {
                let from = variable.value_from.secret_key_ref.as_ref();
                from.is_some_and(|from| from.name.as_str() == secret)
            });
            let mut env: Vec<Value> =
                named.map(|variable| json!({"name": variable.name.as_str(), "$patch": "delete"})).collect();
            env.extend(mounting.variables.iter().map(|(name, value)| json!({"name": name, "value": value})));
            let whole = container
                .env_from
                .iter()
                .any(|source| source.secret_ref.as_ref().is_some_and(|from| from.name.as_str() == secret));
            if whole {
                remarks.push(format!(
                    "take Secret {secret} out of `envFrom` of container {} by hand: no merge patch can",
                    container.name.as_str()
                ));
            }
            let mounted = container.volume_mounts.iter().filter(|mount| gone.contains(&mount.name.as_str()));
            let mut mounts: Vec<Value> = mounted
                .map(|mount| json!({"mountPath": mount.mount_path.as_str(), "$patch": "delete"}))
                .collect();
            mounts.push(json!({"name": VOLUME, "mountPath": folder, "readOnly": true}));
            json!({"name": container.name.as_str(), "env": env, "volumeMounts": mounts})
        })
        .collect();
    (json!({"volumes": volumes, "containers": containers}), remarks)
}
