use claviger_core::{
    canonical::Neighbours,
    model::{CopyStage, Place},
    observation::Observation,
    secret::SecretValue,
};

use super::{copy, owners};
use crate::{SimulatedBackend, estate::Estate};

pub(super) fn copies(backend: &SimulatedBackend, estate: &Estate) -> Vec<Observation> {
    let mut items = Vec::new();
    for (path, entry) in estate.secret_store.paths.iter().filter(|(_, entry)| !entry.denied) {
        let at = backend.at(["kv", path]);
        let first = entry.versions.first().map(|version| version.created_at);
        let current = entry.current().map(|version| version.number);
        for version in &entry.versions {
            let held: Vec<(&str, SecretValue)> =
                version.fields.iter().map(|(key, value)| (key.as_str(), value.secret())).collect();
            let beside = Neighbours::of(held.iter().map(|(key, value)| (*key, value)));
            for (key, value) in &version.fields {
                let mut copy = copy(at.field(key), key, Place::SecretStore, value);
                copy.version = Some(version.number.to_string());
                copy.stage =
                    if Some(version.number) == current { CopyStage::Current } else { CopyStage::Former };
                copy.bundle = beside.describe(key);
                copy.created_at = first;
                copy.updated_at = Some(version.created_at);
                copy.labels = entry.labels.clone();
                copy.owners = owners("metadata", &entry.labels);
                items.push(Observation::Copy(copy));
            }
        }
    }
    items
}
