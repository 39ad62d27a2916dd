use claviger_core::{
    model::{Labels, OwnerEvidence, Place},
    reference::Ref,
};
use serde_json::json;
use yaml_serde::Value;

use crate::{
    document::{members, text},
    sighting::{Home, below},
};

/// An object of a file.
#[derive(Clone, Copy)]
pub(crate) struct Object<'a> {
    pub(crate) value: &'a Value,
    pub(crate) kind: &'a str,
    /// Empty where the object names none.
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// Counts objects of the same kind and name in one file, from 1.
    ordinal: u32,
}

impl<'a> Object<'a> {
    /// `None` for a document that is no object.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        text(value, "apiVersion")?;
        let kind = text(value, "kind")?;
        let metadata = value.get("metadata");
        let of_metadata = |key: &str| metadata.and_then(|metadata| text(metadata, key));
        // A kubeconfig has `apiVersion` and `kind` as well, and no metadata.
        if metadata.is_none() && !kind.ends_with("List") && kind != "Kustomization" {
            return None;
        }
        let name = of_metadata("name").or_else(|| of_metadata("generateName")).unwrap_or_default();
        Some(Self { value, kind, namespace: of_metadata("namespace").unwrap_or_default(), name, ordinal: 1 })
    }

    /// Its ref within a file.
    pub(crate) fn at(&self, file: &Ref) -> Ref {
        let name =
            if self.ordinal > 1 { format!("{}~{}", self.name, self.ordinal) } else { self.name.to_owned() };
        let at = below(file, &[self.kind]);
        let at = if self.namespace.is_empty() { at } else { below(&at, &[self.namespace]) };
        // Not escaped: `~2` is ours, and names of objects hold neither `~` nor `/`.
        at.within(&name)
    }

    /// What is known of everything in it.
    pub(super) fn home(&self, file: &Home, place: Place) -> Home {
        let mut home = file.clone();
        home.at = self.at(&file.at);
        home.place = place;
        home.labels = self.pairs("labels");
        home.owners = owners("label", &home.labels);
        home.owners.extend(owners("annotation", &self.pairs("annotations")));
        home.attributes.insert("format".to_owned(), json!("kubernetes"));
        home.attributes.insert("object_kind".to_owned(), json!(self.kind));
        home
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&'a str> {
        self.value.get("metadata")?.get("annotations")?.get(name)?.as_str()
    }

    fn pairs(&self, key: &str) -> Labels {
        let Some(metadata) = self.value.get("metadata") else { return Labels::new() };
        let pairs = members(metadata, key)
            .filter_map(|(name, value)| Some((name.to_owned(), value.as_str()?.to_owned())));
        pairs.collect()
    }
}

/// Numbers objects of one kind and name.
pub(super) fn number(objects: &mut [Object<'_>]) {
    for index in 0..objects.len() {
        let it = objects[index];
        let same = |other: &&Object<'_>| {
            (other.kind, other.namespace, other.name) == (it.kind, it.namespace, it.name)
        };
        let before = objects[..index].iter().filter(same).count();
        objects[index].ordinal = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1);
    }
}

/// How much a label or annotation says about the owner, by its part after the prefix.
fn owners(source: &str, pairs: &Labels) -> Vec<OwnerEvidence> {
    let weight = |key: &str| {
        let name = key.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "owner" | "owned-by" | "owner-name" => Some(80),
            "owner-email" | "service-owner" | "product-owner" => Some(75),
            "team" | "squad" | "owner-team" | "owning-team" => Some(65),
            "contact" | "maintainer" | "responsible" | "oncall" | "on-call" => Some(55),
            _ => None,
        }
    };
    let found = pairs.iter().filter_map(|(key, owner)| {
        let owner = owner.trim();
        let weight = weight(key)?;
        let evidence = OwnerEvidence { owner: owner.to_owned(), source: format!("{source}:{key}"), weight };
        (!owner.is_empty()).then_some(evidence)
    });
    found.collect()
}
