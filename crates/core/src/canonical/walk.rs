//! From a value to its leaves: unwrap, open documents, and look at what is inside.

use super::{
    Input, Leaf,
    atom::{self, Finding},
    bundle,
    document::{self, Document, Reading},
    layer,
};
use crate::{
    format::slot::{self, Says},
    model::{Attributes, Place},
    observation::Bundle,
    secret::SecretValue,
};

/// Documents within documents that are opened.
const MOST_DEPTH: usize = 6;

/// The credentials in a value; empty if it is not one. Never panics, on any bytes; time and memory are linear in the value's size.
///
/// Pointers are unique within one value. What has the form of a document and cannot be parsed is one opaque leaf where secrets are expected.
pub fn leaves(input: &Input<'_>, value: &SecretValue) -> Vec<Leaf> {
    let mut found = Vec::new();
    let from = From {
        place: input.place,
        kind: input.kind,
        says: Says::Nothing,
        nested: false,
        bundle: input.bundle,
        pointer: "",
        subject: None,
        attributes: Attributes::new(),
    };
    walk(value.expose(), input.key, from, 0, &mut found);
    found
}

/// What is known from further out.
struct From<'a> {
    place: Place,
    kind: Option<crate::model::CredentialKind>,
    says: Says,
    nested: bool,
    bundle: &'a Bundle,
    pointer: &'a str,
    subject: Option<String>,
    attributes: Attributes,
}

fn walk(bytes: &[u8], key: &str, from: From<'_>, depth: usize, found: &mut Vec<Leaf>) {
    let peeled = layer::peel(bytes);
    if peeled.inner.is_empty() {
        return;
    }
    if depth < MOST_DEPTH
        && let Some(document) = document::open(&peeled.inner, Reading::Named(key)).into_iter().next()
    {
        return descend(document, from, depth, found);
    }
    let finding = Finding {
        key,
        place: from.place,
        kind: from.kind,
        says: from.says,
        nested: from.nested,
        pointer: from.pointer.to_owned(),
        bundle: from.bundle.clone(),
        subject: from.subject,
        attributes: from.attributes,
    };
    found.extend(atom::leaf(finding, &peeled.inner));
}

fn descend(document: Document, from: From<'_>, depth: usize, found: &mut Vec<Leaf>) {
    for slot in document.slots.iter().filter(|slot| slot.says != Says::User) {
        let beside =
            document.neighbours.get(&slot.container).map(|neighbours| neighbours.describe(&slot.key));
        let around = bundle::refine(from.bundle, bundle::within(beside.unwrap_or_default(), from.pointer));
        let bundle = bundle::refine(&around, bundle::within(slot.bundle.clone(), from.pointer));
        let mut attributes = from.attributes.clone();
        attributes.extend(slot.attributes.clone());
        attributes.entry("document".to_owned()).or_insert_with(|| document.name.into());
        if document.name == "kubeconfig" {
            attributes.insert("format".to_owned(), "kubeconfig".into());
        }
        // A document of configuration stays one, whatever is inside it.
        let says = if slot.says == Says::Nothing && from.says == Says::Configuration {
            from.says
        } else {
            slot.says
        };
        let inner = From {
            place: from.place,
            // A whole connection string is what its field is; the leaves of other documents are not what the field is.
            kind: if slot.pointer.is_empty() { from.kind } else { None },
            says,
            nested: true,
            bundle: &bundle,
            pointer: &slot::join(from.pointer, &slot.pointer),
            subject: slot.subject.clone().or_else(|| from.subject.clone()),
            attributes,
        };
        walk(slot.value.expose(), &slot.key, inner, depth + 1, found);
    }
}
