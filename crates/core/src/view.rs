//! What people and programs read: the shapes of `-o json` (cli.md is the contract) and the input of findings and reports.
//!
//! All of it can be printed: no view holds a secret.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    id::{CredentialId, IdentityId, SagaId, ScanId, Seq},
    model::{
        Attributes, ConsumerHow, CopyStage, CredentialKind, CredentialState, IdentityKind, Labels,
        OwnerEvidence, Place, PrivilegeLevel, ScopeStatus,
    },
    reference::Ref,
};

/// A row of `list credentials`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CredentialView {
    /// Never changes.
    pub id: CredentialId,
    /// Its issuer's ref where known, else its lexicographically first copy's.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// What it is.
    pub kind: CredentialKind,
    /// Name of the backend of `ref`.
    pub backend: String,
    /// Ref of the identity.
    pub identity: Option<Ref>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Its state.
    pub state: CredentialState,
    /// True if it does not end by itself soon: no expiry, or one more than 24 hours after its making.
    pub long_lived: bool,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When its value last changed.
    pub last_rotated_at: Option<DateTime<Utc>>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, if known.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Whole days since its value last changed, else since it was made.
    pub age_days: Option<i64>,
    /// When the policy wants it rotated.
    pub next_due_at: Option<DateTime<Utc>>,
    /// The policy that holds for it.
    pub policy: Option<String>,
    /// Number of copies, former versions not counted.
    pub copies: u32,
    /// Number of consumers.
    pub consumers: u32,
    /// Slugs of the findings that hold of it.
    pub findings: Vec<String>,
    /// How sure the link between issuer and copies is: `proven`, `claimed`, `not-tried`, or `none` where there is nothing to link.
    pub link: String,
    /// Labels, of the issuer's object and of the copies.
    pub labels: Labels,
    /// Facts.
    pub attributes: Attributes,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen: DateTime<Utc>,
}

/// A row of `list copies`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CopyView {
    /// The credential.
    pub credential: CredentialId,
    /// Where it is, with field.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// Name of the backend.
    pub store: String,
    /// The path without backend and field.
    pub path: String,
    /// The field.
    pub field: Option<String>,
    /// The store's version token.
    pub version: Option<String>,
    /// Keyed fingerprint, hex; absent where the value could not be read.
    pub fingerprint: Option<String>,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen: DateTime<Utc>,
    /// `current`, `pending`, `former`.
    pub stage: CopyStage,
    /// What kind of place.
    pub place: Place,
    /// How the link to the credential is known: `issuer`, `fingerprint`, `handle`, `verifier`, `lookup`, `login`, `declared`, `claimed`, `alone`,
    /// and `place` for a former version that belongs to what its place belongs to.
    pub evidence: String,
    /// Labels of the place (incl. those that the configuration gives the backend).
    pub labels: Labels,
    /// Facts.
    pub attributes: Attributes,
}

/// A row of `list consumers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsumerView {
    /// The credential, if what is read is one.
    pub credential: Option<CredentialId>,
    /// What is read: the copy's field where it is a credential's, else the object or identity.
    pub copy: Ref,
    /// The workload.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// How.
    pub how: ConsumerHow,
    /// Container.
    pub container: Option<String>,
    /// Facts.
    pub attributes: Attributes,
}

/// A privilege of an identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrantView {
    /// Who.
    pub identity: Ref,
    /// What gives it.
    pub source: Ref,
    /// What it is.
    pub privilege: String,
    /// Where it holds.
    pub reach: String,
    /// How much.
    pub level: PrivilegeLevel,
    /// Facts: `rules`, `risks`, `default_binding`, `dangling`, …
    #[serde(default)]
    pub attributes: Attributes,
}

/// A row of `list identities`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdentityView {
    /// Never changes.
    pub id: IdentityId,
    /// Its ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// What it is.
    pub kind: IdentityKind,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The highest level of its grants.
    pub privilege: PrivilegeLevel,
    /// Number of credentials.
    pub credentials: u32,
    /// Its grants, highest first.
    pub grants: Vec<GrantView>,
    /// Labels.
    pub labels: Labels,
    /// Facts.
    pub attributes: Attributes,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was last active, if known.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A ServiceAccount whose token its pods are given, and what the inventory has of what that token opens.
#[derive(Debug, Clone, PartialEq)]
pub struct MountedView {
    /// The account, with the grants of its own.
    pub account: IdentityView,
    /// Workloads whose pods are given its token, in order.
    pub workloads: Vec<Ref>,
    /// Groups and users by whose grants it may do something.
    pub through: Vec<Ref>,
    /// Roles of other systems that let it in.
    pub let_in_by: Vec<Ref>,
    /// Its cluster was read completely, and so was every system that may let it in: what is not known here is not there.
    pub whole: bool,
}

/// One credential whole: what `show` prints and what findings look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CredentialDetail {
    /// The credential.
    pub credential: CredentialView,
    /// Its identity.
    pub identity: Option<IdentityView>,
    /// Hints at its owner, strongest first.
    pub owners: Vec<OwnerEvidence>,
    /// All copies, former ones included.
    pub copies: Vec<CopyView>,
    /// All consumers of its copies.
    pub consumers: Vec<ConsumerView>,
    /// What happened to it, newest first.
    pub history: Vec<HistoryView>,
}

/// What changed, and when it was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryView {
    /// When it was seen.
    pub at: DateTime<Utc>,
    /// `credential`, `copy`, `identity`, `consumer`, `grant`.
    pub entity: String,
    /// Its ref.
    #[serde(rename = "ref")]
    pub subject: Ref,
    /// `appeared`, `changed`, `vanished`, `returned`, `rotated`, `revoked`.
    pub change: String,
    /// What changed: field names, versions.
    pub detail: String,
}

/// How a framework names a requirement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FrameworkId {
    /// `OWASP NHI Top 10`, `NIST CSF`, `NIST SP 800-53`, `CIS Kubernetes`, `PCI DSS`, `ISO/IEC 27001`.
    pub name: String,
    /// Its edition: `2025`, `2.0`, `r5`, `1.10`, `4.0.1`, `2022`.
    pub version: String,
    /// `NHI7:2025`, `PR.AA-01`, `IA-5`, `5.1.6`, …
    pub id: String,
}

/// How bad a finding is. Ordered from worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Act now.
    Critical,
    /// Act soon.
    High,
    /// Plan it.
    Medium,
    /// Good to know.
    Low,
    /// A remark.
    Info,
}

/// A row of `list findings`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FindingView {
    /// The rule.
    pub slug: String,
    /// How bad.
    pub severity: Severity,
    /// Ref of the subject.
    pub subject: Ref,
    /// One sentence.
    pub title: String,
    /// Facts that the verdict rests on; no secret.
    pub evidence: Attributes,
    /// Which requirements it touches.
    pub frameworks: Vec<FrameworkId>,
    /// Since when.
    pub first_seen: DateTime<Utc>,
    /// When it was last seen to hold.
    pub last_seen: DateTime<Utc>,
    /// What to do.
    pub suggested: String,
    /// The exception that waives it, as long as that is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<Waiver>,
}

/// An exception as it is told beside what it waives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// Its name.
    pub exception: String,
    /// Who allowed it.
    pub approver: String,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub until: DateTime<Utc>,
}

/// A revoked credential that is there again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnedView {
    /// The credential.
    pub credential: Ref,
    /// What its revocation came to.
    pub state: CredentialState,
    /// When it was revoked.
    pub revoked_at: DateTime<Utc>,
    /// The place that holds its value and did not then; `None`: its issuer lists it again.
    pub copy: Option<Ref>,
    /// What trying it again has shown since, where somebody has.
    pub probe: Option<ReprobeView>,
}

/// What trying a revoked credential again comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reprobe {
    /// Its issuer accepts its value.
    AcceptedAgain,
    /// Its issuer lists it again; its value could not be tried, or is refused.
    ListedAgain,
    /// Neither could be found out.
    Unknown,
    /// Its value lies somewhere, and is refused.
    StillRefused,
    /// Its issuer does not have it, and its value was found nowhere.
    StillGone,
}

impl Reprobe {
    /// Is it back?
    pub fn is_back(self) -> bool {
        matches!(self, Self::AcceptedAgain | Self::ListedAgain)
    }

    /// The word that programs read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AcceptedAgain => "accepted-again",
            Self::ListedAgain => "listed-again",
            Self::Unknown => "unknown",
            Self::StillRefused => "still-refused",
            Self::StillGone => "still-gone",
        }
    }
}

/// The newest trial of a revoked credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReprobeView {
    /// When.
    pub at: DateTime<Utc>,
    /// What it came to.
    pub answer: Reprobe,
    /// On what that rests; no secret.
    pub evidence: String,
}

/// A drill: a decoy that was planted, leaked in play, and revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillView {
    /// Its id.
    pub drill_id: Uuid,
    /// The issuer's backend.
    pub backend: String,
    /// The decoy.
    #[serde(rename = "ref")]
    pub at: Option<Ref>,
    /// Who held it.
    pub actor: String,
    /// Did all of it go as it should?
    pub passed: bool,
    /// What did not, or what is left at the target.
    pub reason: Option<String>,
    /// When it was begun.
    pub begun_at: DateTime<Utc>,
    /// When the decoy was there and its value accepted.
    pub planted_at: Option<DateTime<Utc>>,
    /// When the inventory knew whose value it is: from here on the time counts.
    pub known_at: Option<DateTime<Utc>>,
    /// When its revocation had come to its receipt.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When its value was seen to be refused, after it was seen to be accepted at the same place.
    pub refused_at: Option<DateTime<Utc>>,
    /// When nothing of it was left at the target.
    pub cleared_at: Option<DateTime<Utc>>,
    /// From known to revoked, in milliseconds.
    pub time_to_revoke_ms: Option<i64>,
    /// From known to refused, in milliseconds.
    pub time_to_proof_ms: Option<i64>,
    /// The verdict of the revocation's receipt.
    pub verdict: Option<String>,
    /// Decoys of earlier drills that were taken away first.
    pub leftovers: u32,
}

/// How an area of a backend was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeView {
    /// The area.
    pub scope: String,
    /// The worst status of its parts.
    pub status: ScopeStatus,
    /// Why not completely, with the part's name.
    pub reason: Option<String>,
}

/// What one scan counted in one backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Identities.
    pub identities: u64,
    /// Credentials.
    pub credentials: u64,
    /// Copies, former versions not counted.
    pub copies: u64,
    /// Consumers.
    pub consumers: u64,
    /// Grants.
    pub grants: u64,
}

/// How a backend was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendScanView {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// `complete`, `partial`, `failed`.
    pub status: String,
    /// Why it failed as a whole.
    pub error: Option<String>,
    /// How its areas were read.
    pub scopes: Vec<ScopeView>,
    /// What was counted.
    pub counts: Counts,
    /// How long it took.
    pub duration_ms: u64,
}

/// Output of `scan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanView {
    /// The scan.
    pub scan_id: ScanId,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// True if every scope of every backend was read.
    pub complete: bool,
    /// Per backend.
    pub backends: Vec<BackendScanView>,
}

/// A row of `list rotations` and `list revocations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SagaView {
    /// The saga.
    pub rotation_id: SagaId,
    /// The credential.
    pub credential: CredentialId,
    /// Its ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// The state's word.
    pub state: String,
    /// Why it was begun.
    pub cause: crate::saga::Cause,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it came to rest.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it is where it is.
    pub detail: Option<String>,
}

/// Evidence that a credential is refused, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceiptView {
    /// The credential.
    pub credential: CredentialId,
    /// Its ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// `proven`, `attested`, `unprovable`, `failed`.
    pub verdict: String,
    /// The positive control.
    pub control: Option<String>,
    /// The refused probe.
    pub probe: Option<String>,
    /// When it was observed.
    pub observed_at: DateTime<Utc>,
    /// One sentence.
    pub detail: String,
    /// Where it stands in the audit log.
    pub audit_seq: Option<i64>,
    /// The saga that made it.
    pub saga: Uuid,
}

/// A row of `list notifications`: something that others are to be told, and were not yet, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationView {
    /// The name under which it is sent, each time: the same for all receivers.
    pub id: String,
    /// Whose it is, by its name in the configuration.
    pub receiver: String,
    /// What happened.
    pub event: String,
    /// `pending` or `dead`.
    pub state: String,
    /// When it was queued.
    pub queued_at: DateTime<Utc>,
    /// When it is tried next; `None` where it is given up.
    pub next_at: Option<DateTime<Utc>>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the newest attempt came to nothing.
    pub last_error: Option<String>,
    /// The entry of the audit log that it tells of.
    pub audit_seq: Seq,
}
