//! A volume with the files of a token Secret, and one with a token of the pods' own account and the same files: the change from one to the other, and back.
//!
//! Pure: a pod template's volumes go in and come out. What a volume was is kept on the workload, so that it can be brought back by whoever reads that.

use std::collections::BTreeMap;

use claviger_core::saga::{Mounting, Side};
use serde::Deserialize;
use serde_json::{Value, json};

/// On a workload that was changed: what its volumes were, by the name of the Secret.
pub(super) const BEFORE: &str = "claviger.dev/before-swap";
/// The files that the token controller puts into a token Secret.
pub(super) const FILES: [&str; 3] = ["token", "ca.crt", "namespace"];
/// In every namespace, by the root-ca publisher of the controller manager (Kubernetes 1.20).
const ROOT_CA: &str = "kube-root-ca.crt";

/// What volumes were: by the name of the Secret, name and source.
pub(super) type Before = BTreeMap<String, Vec<Former>>;

/// A volume as it was.
#[derive(Debug, Clone, PartialEq, Deserialize, serde::Serialize)]
pub(super) struct Former {
    name: String,
    secret: Value,
}

/// A workload's pod template, as far as it is changed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Manifest {
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    template: Option<Template>,
    job_template: Option<JobTemplate>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JobTemplate {
    spec: JobSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JobSpec {
    template: Option<Template>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Template {
    spec: Pod,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pod {
    volumes: Option<Vec<Value>>,
}

impl Manifest {
    /// The volumes of its pods.
    pub(super) fn volumes(&self) -> &[Value] {
        let direct = self.spec.template.as_ref();
        let nested = || self.spec.job_template.as_ref()?.spec.template.as_ref();
        let template = direct.or_else(nested);
        template.and_then(|template| template.spec.volumes.as_deref()).unwrap_or_default()
    }
}

fn of_secret(volume: &Value, secret: &str) -> bool {
    volume["secret"]["secretName"] == secret
}

/// Where it is brought now.
pub(super) fn side(volumes: &[Value], before: &Before, secret: &str) -> Side {
    match before.contains_key(secret) {
        false => Side::Former,
        true if volumes.iter().any(|volume| of_secret(volume, secret)) => Side::Beside,
        true => Side::Over,
    }
}

/// The name of the volume that stands beside another one while nobody reads it.
fn beside(name: &str) -> String {
    let name: String = name.chars().take(50).collect();
    format!("claviger-{}", name.trim_end_matches('-'))
}

/// The volume with the same files that takes its place.
fn projected(former: &Former, mounting: &Mounting) -> Value {
    let named: Vec<(String, String)> = match former.secret["items"].as_array() {
        Some(items) if !items.is_empty() => items
            .iter()
            .filter_map(|item| Some((item["key"].as_str()?.to_owned(), item["path"].as_str()?.to_owned())))
            .collect(),
        _ => FILES.map(|file| (file.to_owned(), file.to_owned())).into(),
    };
    let source = |(key, path): &(String, String)| match key.as_str() {
        "token" => {
            let mut token = json!({"path": path, "expirationSeconds": mounting.lifetime});
            if let Some(audience) = &mounting.audience {
                token["audience"] = json!(audience);
            }
            Some(json!({"serviceAccountToken": token}))
        }
        "ca.crt" => Some(json!({"configMap": {"name": ROOT_CA, "items": [{"key": "ca.crt", "path": path}]}})),
        "namespace" => Some(json!({"downwardAPI": {"items": [
            {"path": path, "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        ]}})),
        _ => None,
    };
    let sources: Vec<Value> = named.iter().filter_map(source).collect();
    let mut made = json!({"sources": sources});
    if let Some(mode) = former.secret.get("defaultMode") {
        made["defaultMode"] = mode.clone();
    }
    made
}

/// Brings the volumes to that side, from whichever they are at. `None`: a volume that is none of ours has the name that one would get.
pub(super) fn brought(
    volumes: &[Value],
    before: &Before,
    secret: &str,
    (mounting, to): (&Mounting, Side),
) -> Option<(Vec<Value>, Before)> {
    let known = before.get(secret).cloned();
    let is_known = known.is_some();
    let former = known.unwrap_or_else(|| {
        let of_it = volumes.iter().filter(|volume| of_secret(volume, secret));
        let former = of_it.filter_map(|volume| {
            Some(Former { name: volume["name"].as_str()?.to_owned(), secret: volume["secret"].clone() })
        });
        former.collect()
    });
    let (mut volumes, mut before) = (volumes.to_vec(), before.clone());
    for one in &former {
        let extra = beside(&one.name);
        let at = volumes.iter().position(|volume| volume["name"] == extra.as_str());
        match at {
            Some(_) if !is_known => return None,
            Some(at) if to != Side::Beside => drop(volumes.remove(at)),
            None if to == Side::Beside => {
                volumes.push(json!({"name": extra, "projected": projected(one, mounting)}));
            }
            _ => {}
        }
        if let Some(volume) = volumes.iter_mut().find(|volume| volume["name"] == one.name.as_str()) {
            *volume = match to {
                Side::Over => json!({"name": one.name, "projected": projected(one, mounting)}),
                Side::Former | Side::Beside => json!({"name": one.name, "secret": one.secret}),
            };
        }
    }
    match to {
        Side::Former => drop(before.remove(secret)),
        Side::Beside | Side::Over => drop(before.insert(secret.to_owned(), former)),
    }
    Some((volumes, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounting() -> Mounting {
        Mounting { lifetime: 3600, ..Mounting::default() }
    }

    fn volumes() -> Vec<Value> {
        vec![
            json!({"name": "other", "emptyDir": {}}),
            json!({"name": "token", "secret": {"secretName": "tok", "defaultMode": 288}}),
            json!({"name": "named", "secret": {"secretName": "tok", "items": [{"key": "token", "path": "bearer"}]}}),
            json!({"name": "db", "secret": {"secretName": "db"}}),
        ]
    }

    fn at(volumes: &[Value], before: &Before, to: Side) -> (Vec<Value>, Before) {
        brought(volumes, before, "tok", (&mounting(), to)).expect("no name is taken")
    }

    #[test]
    fn every_way_back_leads_to_what_it_was() {
        let (none, was) = (Before::new(), volumes());
        for way in [
            vec![Side::Beside, Side::Former],
            vec![Side::Beside, Side::Over, Side::Beside, Side::Former],
            vec![Side::Over, Side::Former],
            vec![Side::Beside, Side::Beside, Side::Over, Side::Over, Side::Former],
        ] {
            let (mut volumes, mut before) = (was.clone(), none.clone());
            for to in &way {
                (volumes, before) = at(&volumes, &before, *to);
                assert_eq!(side(&volumes, &before, "tok"), *to, "{way:?}");
            }
            assert_eq!((volumes, before), (was.clone(), none.clone()), "{way:?}");
        }
    }

    #[test]
    fn the_same_files_lie_at_the_same_places() {
        let (over, before) = at(&volumes(), &Before::new(), Side::Over);
        assert!(!over.iter().any(|volume| of_secret(volume, "tok")), "{over:?}");
        assert_eq!(over.len(), volumes().len());
        let sources = over[1]["projected"]["sources"].as_array().expect("sources");
        assert_eq!(sources.len(), 3);
        assert_eq!(sources[0]["serviceAccountToken"], json!({"path": "token", "expirationSeconds": 3600}));
        assert_eq!(over[1]["projected"]["defaultMode"], 288);
        let named = over[2]["projected"]["sources"].as_array().expect("sources");
        assert_eq!(named.len(), 1);
        assert_eq!(named[0]["serviceAccountToken"]["path"], "bearer");
        assert_eq!((&over[0], &over[3]), (&volumes()[0], &volumes()[3]), "others are left alone");
        assert_eq!(side(&over, &before, "db"), Side::Former);
    }

    #[test]
    fn beside_nobody_reads_it_and_the_secret_stays() {
        let (beside, before) = at(&volumes(), &Before::new(), Side::Beside);
        assert_eq!(beside[..4], volumes()[..], "what is read is as it was");
        assert_eq!(beside.len(), 6);
        assert!(beside[4]["name"] == "claviger-token" && beside[5]["name"] == "claviger-named");
        assert_eq!(before["tok"].len(), 2);
    }

    #[test]
    fn a_volume_of_somebody_else_is_not_taken() {
        let mut taken = volumes();
        taken.push(json!({"name": "claviger-token", "emptyDir": {}}));
        assert!(brought(&taken, &Before::new(), "tok", (&mounting(), Side::Beside)).is_none());
    }

    #[test]
    fn an_audience_is_asked_for_where_there_is_one() {
        let mounting = Mounting { audience: Some("vault".to_owned()), ..mounting() };
        let (over, _) =
            brought(&volumes(), &Before::new(), "tok", (&mounting, Side::Over)).expect("no name is taken");
        assert_eq!(over[1]["projected"]["sources"][0]["serviceAccountToken"]["audience"], "vault");
    }
}
