use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{approval::Approval, audit::AuditDraft, id::Seq, saga::PlanHash};

use crate::Result;

/// A plan that waits for other people's approval.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// What an approval is bound to.
    pub plan: PlanHash,
    /// The command that would carry it out: `rotate`, `revoke`.
    pub verb: String,
    /// The plan whole, as JSON: its hash can be computed from it.
    pub document: serde_json::Value,
    /// How many approvals it wants.
    pub needed: u32,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
    /// Who planned it first.
    pub actor: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Its audit entry; `None` until it is kept.
    pub audit_seq: Option<Seq>,
}

/// Proposals and approvals. Nothing in it can be changed or deleted.
#[async_trait]
pub trait Approvals: Send + Sync {
    /// Keeps a plan under its hash, with its audit entry. One that is known stays as it is, and gets no entry: `false`.
    async fn propose(&self, proposal: &Proposal, audit: AuditDraft) -> Result<bool>;

    /// The plans whose hash begins with this text, newest first. Absence is an answer.
    async fn proposals(&self, beginning: &str) -> Result<Vec<Proposal>>;

    /// Keeps an approval of a proposal, with its audit entry. Whether it counts is not judged here.
    ///
    /// # Errors
    /// The plan is no proposal, or the database fails.
    async fn approve(&self, approval: &Approval, audit: AuditDraft) -> Result<Seq>;

    /// The approvals of a plan, oldest first.
    async fn approvals(&self, plan: &PlanHash) -> Result<Vec<Approval>>;
}
