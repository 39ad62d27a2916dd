//! Helm's releases: each revision is a Secret that holds the rendered manifests, credentials and all.

use claviger_core::model::Attributes;
use serde_json::Value;

use crate::wire::Meta;

const TYPE: &str = "helm.sh/release.v1";

/// One revision of a release.
pub(super) struct Release {
    name: Option<String>,
    status: Option<String>,
    revision: Option<String>,
}

/// The release that a Secret of this type holds, by the labels that Helm's storage driver sets.
pub(super) fn release(kind: &str, meta: &Meta<'_>) -> Option<Release> {
    let label = |key: &str| meta.labels.get(key).map(|value| value.replace('\0', "\u{fffd}"));
    (kind == TYPE).then(|| Release {
        name: label("name"),
        status: label("status"),
        revision: label("version"),
    })
}

impl Release {
    /// Is this the revision that runs?
    pub(super) fn is_deployed(&self) -> bool {
        self.status.as_deref() == Some("deployed")
    }

    pub(super) fn describe(&self, attributes: &mut Attributes) {
        for (key, value) in
            [("helm_release", &self.name), ("helm_status", &self.status), ("helm_revision", &self.revision)]
        {
            if let Some(value) = value {
                attributes.insert(key.to_owned(), Value::from(value.as_str()));
            }
        }
    }
}
