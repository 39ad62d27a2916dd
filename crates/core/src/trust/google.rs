//! What a provider of a Google Cloud workload identity pool asks.
//!
//! Source: Google Cloud, "Configure Workload Identity Federation with deployment pipelines": without an attribute condition a provider takes every
//! token of its issuer, and GitHub and GitLab have one issuer for all their customers. The audience is the provider's own name by default, so a missing
//! one is no gap.

use std::collections::BTreeSet;

use super::Gap;

/// Claims that say which one it is, and not only whose.
const NARROW: [&str; 8] = [
    "assertion.sub",
    "google.subject",
    "assertion.repository=",
    "assertion.repository_id",
    "assertion.project_path",
    "assertion.project_id",
    "attribute.repository=",
    "assertion.workload_identity",
];
/// Claims that name an organisation or a group.
const WIDE: [&str; 7] = [
    "repository_owner",
    "namespace_path",
    "namespace_id",
    "terraform_organization_id",
    "organization",
    "enterprise",
    "tenant",
];

/// What a provider with this attribute condition (CEL; empty: none) does not ask. A condition whose claims are not known here is taken for one that asks.
pub fn google_gaps(condition: &str) -> BTreeSet<Gap> {
    let condition: String = condition.chars().filter(|c| !c.is_whitespace()).collect();
    if condition.is_empty() || condition == "true" {
        return BTreeSet::from([Gap::SubjectMissing]);
    }
    let names = |words: &[&str]| words.iter().any(|word| condition.contains(word));
    if names(&WIDE) && !names(&NARROW) { BTreeSet::from([Gap::Organisation]) } else { BTreeSet::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_without_a_condition_takes_everybody() {
        for (condition, gap) in [
            ("", Some(Gap::SubjectMissing)),
            (" true ", Some(Gap::SubjectMissing)),
            ("assertion.repository_owner == 'acme'", Some(Gap::Organisation)),
            ("assertion.repository_owner == 'acme' && assertion.repository == 'acme/web'", None),
            ("assertion.sub == 'repo:acme/web:ref:refs/heads/main'", None),
            ("assertion.something_else == 'x'", None),
        ] {
            assert_eq!(google_gaps(condition).into_iter().next(), gap, "{condition}");
        }
    }
}
