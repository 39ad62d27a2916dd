//! Who answers for an object, as its labels and annotations say.

use claviger_core::model::OwnerEvidence;

use crate::wire::{Meta, Pairs, Text};

/// How much an inherited hint of the namespace loses.
const INHERITED: u8 = 35;

/// What the object itself says.
pub(crate) fn of(meta: &Meta<'_>) -> Vec<OwnerEvidence> {
    let mut owners = Vec::new();
    collect(&mut owners, "label", &meta.labels, 0);
    collect(&mut owners, "annotation", &meta.annotations, 0);
    owners
}

/// What a namespace says about everything in it.
pub(crate) fn of_namespace(meta: &Meta<'_>) -> Vec<OwnerEvidence> {
    let mut owners = Vec::new();
    collect(&mut owners, "namespace-label", &meta.labels, INHERITED);
    collect(&mut owners, "namespace-annotation", &meta.annotations, INHERITED);
    owners
}

fn collect(owners: &mut Vec<OwnerEvidence>, place: &str, pairs: &Pairs<'_>, loss: u8) {
    for (key, value) in &pairs.0 {
        let owner = value.plain();
        let owner = owner.trim();
        // Names of people and teams are short; a long text is a description.
        if let Some(weight) = weight(key)
            && !owner.is_empty()
            && owner.chars().count() <= 200
        {
            owners.push(OwnerEvidence {
                owner: owner.to_owned(),
                source: format!("{place}:{}", key.plain()),
                weight: weight.saturating_sub(loss),
            });
        }
    }
}

/// How much a key says about the owner, by its part after the prefix: `app.kubernetes.io/owner` counts as `owner`.
fn weight(key: &Text<'_>) -> Option<u8> {
    let name = key.as_str().rsplit('/').next().unwrap_or_default();
    Some(match name.to_ascii_lowercase().as_str() {
        "owner" | "owned-by" | "owner-name" => 80,
        "owner-email" | "service-owner" | "product-owner" => 75,
        "team" | "squad" | "owner-team" | "owning-team" => 65,
        "contact" | "maintainer" | "responsible" | "oncall" | "on-call" => 55,
        "created-by" | "requester" => 30,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    #[test]
    fn the_object_outweighs_its_namespace_and_the_owner_outweighs_the_team() {
        let meta: Meta<'_> = wire::read(
            br#"{"labels":{"app.kubernetes.io/owner":"dana","app":"web"},"annotations":{"acme.io/team":" payments ","owner":"","contact":"a\u0000b"}}"#,
        )
        .expect("metadata");
        let found: Vec<_> =
            of(&meta).into_iter().map(|hint| (hint.owner, hint.source, hint.weight)).collect();
        assert_eq!(
            found,
            [
                ("dana".to_owned(), "label:app.kubernetes.io/owner".to_owned(), 80),
                ("payments".to_owned(), "annotation:acme.io/team".to_owned(), 65),
                ("a\u{fffd}b".to_owned(), "annotation:contact".to_owned(), 55),
            ]
        );
        assert!(
            of_namespace(&meta).iter().all(|hint| hint.weight <= 45 && hint.source.starts_with("namespace-"))
        );
    }
}
