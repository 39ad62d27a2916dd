//! Tags as labels and as hints at an owner; times as ours.

use chrono::{DateTime, SecondsFormat, Utc};
use claviger_core::model::{Labels, OwnerEvidence};
use serde_json::Value;

/// Tag keys that name who answers, with their weight; compared without case.
const OWNERS: [(&str, u8); 5] =
    [("owner", 80), ("owned-by", 80), ("contact", 60), ("team", 50), ("squad", 50)];

/// Labels and owners from tags.
pub(crate) fn from_tags(tags: impl IntoIterator<Item = (String, String)>) -> (Labels, Vec<OwnerEvidence>) {
    let labels: Labels = tags.into_iter().collect();
    let owners = labels
        .iter()
        .filter_map(|(key, value)| {
            let weight = OWNERS.iter().find(|(name, _)| key.eq_ignore_ascii_case(name))?.1;
            let owner = value.trim();
            (!owner.is_empty()).then(|| OwnerEvidence {
                owner: owner.to_owned(),
                source: format!("tag:{key}"),
                weight,
            })
        })
        .collect();
    (labels, owners)
}

/// The SDK's time, cut to microseconds.
pub(crate) fn instant(time: &aws_sdk_iam::primitives::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos() / 1000 * 1000)
}

/// The same as text for an attribute.
pub(crate) fn instant_text(time: Option<&aws_sdk_iam::primitives::DateTime>) -> Option<Value> {
    Some(Value::from(instant(time?)?.to_rfc3339_opts(SecondsFormat::AutoSi, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_read_from_tags_whatever_their_case() {
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let (labels, owners) =
            from_tags([tag("Owner", "dana"), tag("team", " core "), tag("env", "prod"), tag("contact", "")]);
        assert_eq!(labels.len(), 4);
        let owners: Vec<_> = owners.iter().map(|it| (it.owner.as_str(), it.source.as_str())).collect();
        assert_eq!(owners, [("dana", "tag:Owner"), ("core", "tag:team")]);
    }
}
