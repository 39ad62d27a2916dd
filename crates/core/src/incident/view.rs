//! An incident as people and programs read it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Incident;
use crate::{
    id::{CredentialId, SagaId},
    model::{CredentialKind, CredentialState},
    reference::Ref,
};

/// A credential of an incident, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The credential.
    pub credential: CredentialId,
    /// Its ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// What it is; `None` where the inventory no longer knows it.
    pub kind: Option<CredentialKind>,
    /// Its state in the inventory.
    pub state: Option<CredentialState>,
    /// True until the leaked value is known not to work any more.
    pub open: bool,
    /// Why it is open, or what ended it.
    pub reason: String,
    /// The saga that ended it, or that is on its way.
    pub saga: Option<SagaId>,
    /// The receipt's verdict.
    pub verdict: Option<String>,
    /// When its issuer was told.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When its refusal was seen.
    pub proven_at: Option<DateTime<Utc>>,
    /// The receipt's entry in the audit log.
    pub receipt: Option<i64>,
    /// Places that the inventory still has a copy in.
    pub copies: Vec<Ref>,
}

/// Something that happened, in the order of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at: DateTime<Utc>,
    /// `exposed`, `known`, `concerned`, `decided`, `break-glass`, `revoked`, `proven`, `closed`.
    pub what: String,
    /// Who, where that is known.
    pub actor: Option<String>,
    /// One sentence.
    pub detail: String,
    /// Its entry in the audit log.
    pub audit_seq: Option<i64>,
}

/// How long it took, in seconds. `None` as long as it is not over, or where the beginning is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// When the last of the credentials was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When the last of them was proven refused.
    pub proven_at: Option<DateTime<Utc>>,
    /// From known to the last revocation.
    pub time_to_revoke: Option<i64>,
    /// From known to the last proof.
    pub time_to_proof: Option<i64>,
    /// From exposed to the last revocation.
    pub exposure: Option<i64>,
}

/// What to ask somebody else, whose part of the platform it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Whom.
    pub whom: String,
    /// What.
    pub what: String,
    /// With which evidence.
    pub evidence: Vec<String>,
}

/// What to do ourselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What.
    pub what: String,
    /// How.
    pub commands: Vec<String>,
    /// Is it done?
    pub done: bool,
}

/// What is to be done, by whom. The two lists are never mixed: what the platform has to do nobody here can, and nothing that we can do waits for
/// the platform.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runbook {
    /// For whoever runs the platform.
    pub platform_escalation: Vec<Ask>,
    /// For us.
    pub tenant_remediation: Vec<Task>,
}

/// All that is known of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentView {
    /// As stored.
    #[serde(flatten)]
    pub incident: Incident,
    /// `open` or `closed`.
    pub state: String,
    /// Until when it lets plans through without the approvals that they want.
    pub break_glass_until: Option<DateTime<Utc>>,
    /// True if it has.
    pub break_glass_used: bool,
    /// Its credentials.
    pub items: Vec<Item>,
    /// How many of them are open.
    pub open_items: usize,
    /// What happened.
    pub timeline: Vec<Moment>,
    /// How long it took.
    pub durations: Durations,
    /// What is to be done.
    pub runbook: Runbook,
}
