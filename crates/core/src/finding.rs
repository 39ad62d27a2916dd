//! Findings: rules that hold of a subject. A rule is a pure function of a view.
//!
//! To add a finding: one file in `finding/` with a `pub(super) const RULE`, one line in [`RULES`]. Its slug and framework ids come from the
//! catalogue of the field's sources; ids are printed as their publishers write them, and CIS ids carry benchmark and version.

use chrono::{DateTime, Utc};

use crate::{
    model::Attributes,
    reference::Ref,
    view::{BackendScanView, CredentialDetail, FindingView, FrameworkId, IdentityView, Severity},
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

/// What a rule looks at.
#[derive(Clone, Copy)]
pub enum Check {
    /// Each credential with its copies, consumers and identity.
    Credential(fn(&CredentialDetail, &Context) -> Option<Draft>),
    /// Each identity with its grants.
    Identity(fn(&IdentityView, &Context) -> Option<Draft>),
    /// Each backend's latest scan.
    Coverage(fn(&BackendScanView, &Context) -> Vec<Draft>),
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
pub const RULES: &[Rule] = &[];

impl Rule {
    /// The stored form of a draft.
    pub fn finding(&self, draft: Draft, first_seen: DateTime<Utc>, last_seen: DateTime<Utc>) -> FindingView {
        FindingView {
            slug: self.slug.to_owned(),
            severity: draft.severity.unwrap_or(self.severity),
            subject: draft.subject,
            title: draft.title,
            evidence: draft.evidence,
            frameworks: self
                .frameworks
                .iter()
                .map(|(name, version, id)| FrameworkId {
                    name: (*name).to_owned(),
                    version: (*version).to_owned(),
                    id: (*id).to_owned(),
                })
                .collect(),
            first_seen,
            last_seen,
            suggested: self.suggested.to_owned(),
        }
    }
}
