//! How what a file holds becomes an observation.

use claviger_core::{
    model::{Attributes, ConsumerHow, CopyStage, CredentialKind, Labels, OwnerEvidence, Place},
    observation::{Bundle, Content, Observation, ObservedConsumer, ObservedCopy},
    reference::Ref,
    secret::SecretValue,
};
use serde_json::json;

/// What is known of everything in one object or file.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// Its ref.
    pub(crate) at: Ref,
    /// What kind of place it is.
    pub(crate) place: Place,
    /// Labels of the object.
    pub(crate) labels: Labels,
    /// Hints at its owner.
    pub(crate) owners: Vec<OwnerEvidence>,
    /// Facts.
    pub(crate) attributes: Attributes,
}

impl Home {
    /// A file.
    pub(crate) fn file(at: &Ref, place: Place, format: &str) -> Self {
        Self {
            at: at.clone(),
            place,
            labels: Labels::new(),
            owners: Vec::new(),
            attributes: Attributes::from([("format".to_owned(), json!(format))]),
        }
    }

    /// A value in it. `segments` go below the home's ref and may be empty.
    pub(crate) fn copy(
        &self,
        segments: &[&str],
        key: &str,
        content: Content,
        bundle: Bundle,
    ) -> ObservedCopy {
        ObservedCopy {
            at: below(&self.at, segments),
            key: key.to_owned(),
            // A file has no version of its own, and a digest of it would let anybody guess at what is in it.
            version: None,
            stage: CopyStage::Current,
            place: self.place,
            content,
            bundle,
            kind: None,
            issuer: None,
            created_at: None,
            updated_at: None,
            last_used_at: None,
            labels: self.labels.clone(),
            owners: self.owners.clone(),
            attributes: self.attributes.clone(),
        }
    }

    /// The file as one value.
    pub(crate) fn whole(&self, key: &str, value: SecretValue, kind: Option<CredentialKind>) -> Observation {
        let mut copy = self.copy(&[], key, Content::Value(value), Bundle::default());
        copy.kind = kind;
        Observation::Copy(copy)
    }
}

/// A reader.
pub(crate) fn consumer(
    at: &Ref,
    reads: Ref,
    how: ConsumerHow,
    container: Option<&str>,
    attributes: Attributes,
) -> Observation {
    Observation::Consumer(ObservedConsumer {
        at: at.clone(),
        reads,
        how,
        container: container.map(str::to_owned),
        attributes,
    })
}

/// The ref below another by escaped segments.
pub(crate) fn below(at: &Ref, segments: &[&str]) -> Ref {
    segments.iter().fold(at.clone(), |at, segment| at.within(&escape(segment)))
}

/// The ref of a file.
pub(crate) fn file_ref(backend: &str, relative: &str) -> Ref {
    Ref::new(backend, [relative.replace('#', "%23")])
}

fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// What stands for a value and is none: an expression of a template or of a CI system, a variable, an encrypted value.
pub(crate) fn is_reference(value: &str) -> bool {
    let value = value.trim();
    let wrapped = |open: &str, close: &str| value.starts_with(open) && value.ends_with(close);
    let variable = value.strip_prefix('$').is_some_and(|name| {
        !name.is_empty()
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    });
    value.is_empty()
        || variable
        || value.contains("{{")
        || wrapped("${", "}")
        || wrapped("$(", ")")
        || wrapped("ENC[", "]")
        || value.starts_with("$ANSIBLE_VAULT;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_are_escaped_so_that_they_can_be_taken_apart() {
        let file = file_ref("repo", "a#b/c.yaml");
        assert_eq!(file.as_str(), "repo/a%23b/c.yaml");
        assert_eq!(below(&file, &["Secret", "a/b~c"]).as_str(), "repo/a%23b/c.yaml#Secret/a~1b~0c");
    }

    #[test]
    fn references_are_no_values() {
        for text in [
            "",
            "$TOKEN",
            "${TOKEN}",
            "$(TOKEN)",
            "{{ .Values.password }}",
            "${{ secrets.X }}",
            "ENC[AES256_GCM,data:x]",
        ] {
            assert!(is_reference(text), "{text}");
        }
        for text in ["hunter2", "$2b$10$abc", "pa$$word", "$1abc", "$ money", "a${b"] {
            assert!(!is_reference(text), "{text}");
        }
    }
}
