use std::{collections::BTreeMap, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use claviger_core::{
    chain::Chain,
    model::{CopyStage, ScopeStatus},
    view::{BackendScanView, CredentialDetail, FindingView, HistoryView, IdentityView, ScopeView, Severity},
};

/// What the inventory and findings reports are made of.
#[derive(Debug, Clone)]
pub struct InventoryReport {
    /// The time that the report speaks of.
    pub generated_at: DateTime<Utc>,
    /// Heading, e.g. the installation's name.
    pub title: String,
    /// The newest scan of each backend.
    pub coverage: Vec<BackendScanView>,
    /// Credentials, in the order in which they are to be listed.
    pub credentials: Vec<CredentialDetail>,
    /// Identities.
    pub identities: Vec<IdentityView>,
    /// Chains from build to run.
    pub chains: Chains,
    /// Open findings.
    pub findings: Vec<FindingView>,
    /// What changed lately, newest first.
    pub history: Vec<HistoryView>,
    /// Sequence number and hash of the audit log's newest entry, so that a report can be tied to the log.
    pub audit_head: Option<(i64, String)>,
}

/// Chains that a report draws.
#[derive(Debug, Clone, Default)]
pub struct Chains {
    /// These, in the order in which they are to be drawn.
    pub drawn: Vec<Chain>,
    /// How many others there are.
    pub more: usize,
}

/// What `--format` takes for these reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// One file that opens anywhere.
    Html,
    /// For spreadsheets.
    Csv,
    /// For programs.
    Json,
}

impl ReportFormat {
    /// The word after `--format`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for ReportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ReportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::Html, Self::Csv, Self::Json].into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is none of html, csv, json"))
    }
}

impl InventoryReport {
    /// Areas that were not read completely, with their backend.
    pub(crate) fn unread(&self) -> impl Iterator<Item = (&BackendScanView, &ScopeView)> {
        self.coverage.iter().flat_map(|backend| {
            backend
                .scopes
                .iter()
                .filter(|scope| scope.status != ScopeStatus::Complete)
                .map(move |scope| (backend, scope))
        })
    }

    /// Backends that failed before they named an area.
    pub(crate) fn dead(&self) -> impl Iterator<Item = &BackendScanView> {
        self.coverage.iter().filter(|backend| {
            backend.status == "failed"
                && backend.scopes.iter().all(|scope| scope.status == ScopeStatus::Complete)
        })
    }

    /// Findings by severity, worst first, then by rule in alphabetical order.
    pub(crate) fn by_rule(&self) -> BTreeMap<(Severity, &str), Vec<&FindingView>> {
        let mut groups: BTreeMap<(Severity, &str), Vec<&FindingView>> = BTreeMap::new();
        // A rule may be milder in single cases: it stands where its worst case does.
        let mut worst: BTreeMap<&str, Severity> = BTreeMap::new();
        for finding in &self.findings {
            let severity = worst.entry(&finding.slug).or_insert(finding.severity);
            *severity = (*severity).min(finding.severity);
        }
        for finding in &self.findings {
            groups.entry((worst[finding.slug.as_str()], &finding.slug)).or_default().push(finding);
        }
        for findings in groups.values_mut() {
            findings.sort_by(|a, b| (a.severity, &a.subject).cmp(&(b.severity, &b.subject)));
        }
        groups
    }

    /// How many findings there are of each severity, worst first.
    pub(crate) fn severities(&self) -> [(Severity, usize); 5] {
        [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info].map(
            |severity| {
                (severity, self.findings.iter().filter(|finding| finding.severity == severity).count())
            },
        )
    }

    /// What is not known of the credentials.
    pub(crate) fn unknowns(&self) -> Unknowns {
        let count = |is_unknown: fn(&CredentialDetail) -> bool| {
            self.credentials.iter().filter(|detail| is_unknown(detail)).count()
        };
        Unknowns {
            age: count(|detail| detail.credential.age_days.is_none()),
            last_use: count(|detail| detail.credential.last_used_at.is_none()),
            owner: count(|detail| detail.credential.owner.is_none()),
            identity: count(|detail| detail.credential.identity.is_none()),
            unproven_link: count(|detail| matches!(detail.credential.link.as_str(), "claimed" | "not-tried")),
            unread_value: count(|detail| {
                detail
                    .copies
                    .iter()
                    .any(|copy| copy.stage == CopyStage::Current && copy.fingerprint.is_none())
            }),
        }
    }
}

/// Numbers of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unknowns {
    pub(crate) age: usize,
    pub(crate) last_use: usize,
    pub(crate) owner: usize,
    pub(crate) identity: usize,
    pub(crate) unproven_link: usize,
    pub(crate) unread_value: usize,
}

/// The word for a severity.
pub(crate) const fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "high",
        Severity::Medium => "medium",
        Severity::Low => "low",
        Severity::Info => "info",
    }
}

/// How a copy is known to belong to its credential, in words that stand after it.
pub(crate) fn evidence_words(evidence: &str) -> &str {
    match evidence {
        "issuer" => "the issuer's own",
        "lookup" => "recognised by the issuer",
        "verifier" => "fits the issuer's verifier",
        "handle" => "same public name",
        "login" => "a login proved it",
        "fingerprint" => "same value",
        "declared" => "declared, not proven",
        "claimed" => "claimed, not proven",
        "alone" => "no other copy seen",
        other => other,
    }
}
