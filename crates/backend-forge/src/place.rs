//! A place that holds a value.

use claviger_core::{
    model::{Attributes, CopyStage, Labels, Place},
    observation::{Bundle, Content, ObservedCopy},
    reference::Ref,
};

/// A place with nothing known of it but its content.
pub(crate) fn copy(at: Ref, key: &str, place: Place, content: Content) -> ObservedCopy {
    ObservedCopy {
        at,
        key: key.to_owned(),
        version: None,
        stage: CopyStage::Current,
        place,
        content,
        bundle: Bundle::default(),
        kind: None,
        issuer: None,
        created_at: None,
        updated_at: None,
        last_used_at: None,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::new(),
    }
}
