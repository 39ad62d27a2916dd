//! What servers write in their own way, in ours: times, owners.

use chrono::{DateTime, Utc};
use claviger_core::model::{Labels, OwnerEvidence};

/// An RFC 3339 time. Empty and year 1 (Go's zero time, `0001-01-01T00:00:00Z`) mean "none".
pub(crate) fn time(text: &str) -> Option<DateTime<Utc>> {
    let parsed = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    let parsed = DateTime::from_timestamp_micros(parsed.timestamp_micros())?;
    (parsed.timestamp() > 0).then_some(parsed)
}

/// Labels by which other systems say that they own a secret.
const MANAGED_BY: [&str; 3] = ["managed_by", "managed-by", "app.kubernetes.io/managed-by"];

/// The system that says that it owns this.
pub(crate) fn managed_by(labels: &Labels) -> Option<&str> {
    MANAGED_BY.iter().find_map(|key| labels.get(*key)).map(String::as_str)
}

/// Owners named by labels: `owner` outweighs `team`.
pub(crate) fn owners(source: &str, labels: &Labels) -> Vec<OwnerEvidence> {
    [("owner", 80), ("team", 60)]
        .into_iter()
        .filter_map(|(name, weight)| {
            let (key, owner) =
                labels.iter().find(|(key, owner)| key.eq_ignore_ascii_case(name) && !owner.is_empty())?;
            Some(OwnerEvidence { owner: owner.clone(), source: format!("{source}:{key}"), weight })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zero_time_is_no_time() {
        assert_eq!(time("0001-01-01T00:00:00Z"), None);
        assert_eq!(time(""), None);
        let found = time("2026-11-22T05:26:52.927979566Z").expect("a time");
        assert_eq!(found.to_rfc3339(), "2026-11-22T05:26:52.927979+00:00", "cut to microseconds");
    }

    #[test]
    fn an_owner_outweighs_a_team() {
        let labels = Labels::from([
            ("Team".into(), "payments".into()),
            ("owner".into(), "dana".into()),
            ("env".into(), "prod".into()),
        ]);
        let found = owners("custom_metadata", &labels);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].owner.as_str(), found[0].source.as_str()), ("dana", "custom_metadata:owner"));
        assert!(found[0].weight > found[1].weight);
    }
}
