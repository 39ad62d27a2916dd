//! Findings: rules that hold of a subject. A rule is a pure function of a view.
//!
//! To add a finding: one file in `finding/` with a `pub(super) const RULE`, one `mod` and one line in [`RULES`]. The file's head says which
//! source the rule rests on; ids are printed as their publishers write them (`framework`), and CIS ids carry benchmark and version.
//!
//! What is unknown is unknown: a date that nobody gave proves no age and no disuse, and an absent attribute proves nothing. Evidence holds
//! facts (dates, counts, refs, words of the source); titles name dates and not distances from now, so that a second look at an unchanged
//! estate says the same. Nothing is said of what is revoked or gone.

mod age_never_rotated;
mod age_over_policy;
mod aws_key_unused;
mod aws_root_key;
mod aws_two_active_keys;
mod ci_third_party_unpinned;
mod ci_var_unprotected;
mod cloud_role_admin;
mod copy_cross_cluster;
mod copy_cross_env;
mod copy_drift;
mod copy_duplicate;
mod copy_reuse;
mod cov_adapter_blind;
mod db_md5_password;
mod db_shared_superuser;
mod exp_none;
mod exp_soon;
mod exp_still_served;
mod facts;
mod forge_classic_pat;
mod forge_deploy_key_write;
mod framework;
mod k8s_bootstrap_live;
mod k8s_cert_masters;
mod k8s_client_cert_user;
mod k8s_helm_release;
mod k8s_last_applied;
mod k8s_legacy_auto_in_use;
mod k8s_legacy_invalidated;
mod k8s_legacy_manual_never_cleaned;
mod k8s_legacy_token;
mod k8s_literal_in_podspec;
mod k8s_secret_as_env;
mod k8s_secret_in_configmap;
mod k8s_token_unneeded;
mod key_weak;
mod kubeconfig_embedded;
mod leak_git;
mod life_orphan_no_consumer;
mod life_partial_offboard;
mod life_unused;
mod own_missing;
mod priv_anonymous;
mod priv_authenticated;
mod priv_cluster_admin;
mod priv_wildcard;
mod registry_static_pull;
mod returned_credential;
mod rot_overdue;
mod sa_default_bound;
#[cfg(test)]
pub(crate) mod sample;
mod sec_default;
mod sec_low_entropy;
mod self_overpriv;
mod ssh_unencrypted_key;
mod tf_state_secret;
mod vault_no_ttl;
mod vault_root;
mod vault_secretid_unlimited;
mod verify_drift;
mod verify_refused;
mod wif_trust_organisation;
mod wif_trust_wildcard;

use chrono::{DateTime, Utc};

use crate::{
    agreement::Agreement,
    model::{Attributes, CredentialKind},
    reference::Ref,
    view::{
        BackendScanView, CredentialDetail, FindingView, FrameworkId, IdentityView, MountedView, ReturnedView,
        Severity,
    },
};

/// What rules may know besides their subject.
#[derive(Debug, Clone)]
pub struct Context {
    /// The time of the evaluation.
    pub now: DateTime<Utc>,
    /// Longest age in days, by kind's word, where no policy says otherwise.
    pub max_age_days: i64,
    /// Days without use after which something counts as unused.
    pub unused_days: i64,
    /// The label whose value names the environment (`env`).
    pub environment_label: String,
}

impl Context {
    /// The defaults: 90 days, 90 days, `env`.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { now, max_age_days: 90, unused_days: 90, environment_label: "env".to_owned() }
    }

    /// Longest age in days of a value of this kind. Private keys never leave their holder in use, so their class may be older: a year,
    /// the shortest period that NIST SP 800-57 part 1 suggests for private authentication keys.
    pub fn limit_days(&self, kind: CredentialKind) -> i64 {
        match kind {
            CredentialKind::PrivateKey | CredentialKind::SshKey | CredentialKind::Certificate => {
                self.max_age_days.max(365)
            }
            _ => self.max_age_days,
        }
    }
}

/// A verdict before it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The subject.
    pub subject: Ref,
    /// How bad, where it differs from the rule's.
    pub severity: Option<Severity>,
    /// One sentence.
    pub title: String,
    /// Facts that it rests on.
    pub evidence: Attributes,
}

impl Draft {
    /// A verdict of the rule's severity that rests on nothing yet. A title is one sentence without a full stop.
    fn of(subject: &Ref, title: impl Into<String>) -> Self {
        Self { subject: subject.clone(), severity: None, title: title.into(), evidence: Attributes::new() }
    }

    /// One fact more.
    fn with(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
        self.evidence.insert(key.to_owned(), value.into());
        self
    }
}

/// What a rule looks at.
#[derive(Clone, Copy)]
pub enum Check {
    /// Each credential with its copies, consumers and identity.
    Credential(fn(&CredentialDetail, &Context) -> Option<Draft>),
    /// Each identity with its grants.
    Identity(fn(&IdentityView, &Context) -> Option<Draft>),
    /// Each ServiceAccount whose token pods are given.
    Mounted(fn(&MountedView, &Context) -> Option<Draft>),
    /// Each backend's latest scan.
    Coverage(fn(&BackendScanView, &Context) -> Vec<Draft>),
    /// Each revoked credential that is there again.
    Returned(fn(&ReturnedView, &Context) -> Option<Draft>),
    /// Each credential whose copies a verification has looked at.
    Verified(fn(&Agreement, &Context) -> Option<Draft>),
}

/// A rule.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Stable name.
    pub slug: &'static str,
    /// How bad, as a rule.
    pub severity: Severity,
    /// What to do.
    pub suggested: &'static str,
    /// `(framework, version, id)`.
    pub frameworks: &'static [(&'static str, &'static str, &'static str)],
    /// The check.
    pub check: Check,
}

/// Every rule, in the order in which they are listed.
pub const RULES: &[Rule] = &[
    k8s_legacy_token::RULE,
    k8s_legacy_auto_in_use::RULE,
    k8s_legacy_manual_never_cleaned::RULE,
    k8s_legacy_invalidated::RULE,
    k8s_bootstrap_live::RULE,
    k8s_cert_masters::RULE,
    k8s_client_cert_user::RULE,
    k8s_secret_in_configmap::RULE,
    k8s_literal_in_podspec::RULE,
    k8s_secret_as_env::RULE,
    k8s_last_applied::RULE,
    k8s_helm_release::RULE,
    tf_state_secret::RULE,
    kubeconfig_embedded::RULE,
    registry_static_pull::RULE,
    ssh_unencrypted_key::RULE,
    copy_duplicate::RULE,
    copy_reuse::RULE,
    copy_cross_env::RULE,
    copy_cross_cluster::RULE,
    copy_drift::RULE,
    age_over_policy::RULE,
    age_never_rotated::RULE,
    rot_overdue::RULE,
    exp_none::RULE,
    exp_soon::RULE,
    exp_still_served::RULE,
    own_missing::RULE,
    leak_git::RULE,
    life_orphan_no_consumer::RULE,
    life_unused::RULE,
    life_partial_offboard::RULE,
    vault_root::RULE,
    vault_no_ttl::RULE,
    vault_secretid_unlimited::RULE,
    aws_root_key::RULE,
    aws_two_active_keys::RULE,
    aws_key_unused::RULE,
    ci_var_unprotected::RULE,
    ci_third_party_unpinned::RULE,
    forge_classic_pat::RULE,
    forge_deploy_key_write::RULE,
    db_shared_superuser::RULE,
    db_md5_password::RULE,
    sec_default::RULE,
    sec_low_entropy::RULE,
    key_weak::RULE,
    priv_cluster_admin::RULE,
    priv_wildcard::RULE,
    priv_anonymous::RULE,
    priv_authenticated::RULE,
    sa_default_bound::RULE,
    k8s_token_unneeded::RULE,
    cloud_role_admin::RULE,
    wif_trust_wildcard::RULE,
    wif_trust_organisation::RULE,
    self_overpriv::RULE,
    cov_adapter_blind::RULE,
    returned_credential::RULE,
    verify_refused::RULE,
    verify_drift::RULE,
];

impl Rule {
    /// The stored form of a draft.
    pub fn finding(&self, draft: Draft, first_seen: DateTime<Utc>, last_seen: DateTime<Utc>) -> FindingView {
        FindingView {
            slug: self.slug.to_owned(),
            severity: draft.severity.unwrap_or(self.severity),
            subject: draft.subject,
            title: draft.title,
            evidence: draft.evidence,
            frameworks: self.framework_ids(),
            first_seen,
            last_seen,
            suggested: self.suggested.to_owned(),
            waived: None,
        }
    }

    /// The requirements that it touches.
    pub fn framework_ids(&self) -> Vec<FrameworkId> {
        let ids = self.frameworks.iter().map(|(name, version, id)| FrameworkId {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            id: (*id).to_owned(),
        });
        ids.collect()
    }
}

/// The rule with this slug.
pub fn rule(slug: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.slug == slug)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn slugs_are_unique_words() {
        let slugs: BTreeSet<&str> = RULES.iter().map(|rule| rule.slug).collect();
        assert_eq!(slugs.len(), RULES.len());
        for slug in slugs {
            assert!(slug.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{slug}");
            assert!(slug.contains('-') && !slug.starts_with('-') && !slug.ends_with('-'), "{slug}");
        }
    }

    #[test]
    fn framework_ids_are_written_as_their_publishers_write_them() {
        for rule in RULES {
            assert!(!rule.frameworks.is_empty(), "{} touches no requirement", rule.slug);
            for (name, version, id) in rule.frameworks {
                assert!(is_known(name, version, id), "{}: {name} {version} {id}", rule.slug);
            }
            let mut ids = rule.frameworks.to_vec();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), rule.frameworks.len(), "{} names a requirement twice", rule.slug);
        }
    }

    #[test]
    fn ids_that_circulate_and_are_wrong_are_not_known() {
        for (name, version, id) in [
            ("OWASP NHI Top 10", "2025", "NHI-03"),
            ("OWASP NHI Top 10", "2025", "NHI3"),
            ("OWASP NHI Top 10", "2025", "NHI11:2025"),
            ("NIST CSF", "2.0", "GV.OC-1"),
            ("NIST CSF", "2.0", "PR.AA-1"),
            ("NIST CSF", "2.0", "PR.AA-06"),
            ("NIST CSF", "1.1", "PR.AA-01"),
            ("CIS Kubernetes", "", "5.1.1"),
        ] {
            assert!(!is_known(name, version, id), "{name} {version} {id}");
        }
    }

    /// Exactly the requirements that the rules may cite: a new one is added here after it was looked up.
    fn is_known(name: &str, version: &str, id: &str) -> bool {
        let ids: &[&str] = match (name, version) {
            ("OWASP NHI Top 10", "2025") => {
                let number = id.strip_prefix("NHI").and_then(|id| id.strip_suffix(":2025"));
                return number.and_then(|n| n.parse::<u8>().ok()).is_some_and(|n| (1..=10).contains(&n));
            }
            ("NIST CSF", "2.0") => {
                &["GV.RR-02", "GV.SC-02", "ID.AM-02", "ID.AM-08", "PR.AA-01", "PR.AA-05", "RS.MI-01"]
            }
            ("NIST SP 800-53", "r5") => &[
                "AC-2b", "AC-2(3)b", "AC-2(3)d", "AC-6", "AC-6(5)", "CA-7", "IA-5c", "IA-5e", "IA-5f",
                "IA-5i", "PS-4b", "SC-12",
            ],
            ("CIS Kubernetes", "1.10") => {
                &["3.1.1", "3.1.3", "5.1.1", "5.1.3", "5.1.5", "5.1.6", "5.1.7", "5.4.1"]
            }
            ("CIS GKE", "1.6.0") => &["4.1.8", "4.1.9", "4.1.10"],
            ("PCI DSS", "4.0.1") => &["2.2.2", "8.6.2", "8.6.3"],
            ("ISO/IEC 27001", "2022") => &["A.5.9", "A.5.16", "A.5.17", "A.8.31"],
            _ => &[],
        };
        ids.contains(&id)
    }

    #[test]
    fn advice_is_a_sentence() {
        for rule in RULES {
            assert!(rule.suggested.ends_with('.'), "{}", rule.slug);
        }
    }
}
