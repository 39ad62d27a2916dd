use std::fmt;

use serde::{Deserialize, Serialize};

/// What somebody is, within a [scope](super::Scope). Roles do not contain each other: who needs two has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Looks, and reads and verifies the audit log.
    Auditor,
    /// Rotates, swaps, takes back, scans, pauses and resumes what is scheduled.
    Operator,
    /// Looks, and approves what others plan.
    Approver,
    /// Revokes, traces, and works on incidents.
    Responder,
    /// Everything but approving: who may do everything does not let it through too.
    Admin,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Look at the inventory, findings, rotations, revocations, swaps, schedules, policies, incidents.
    Read,
    /// Read and verify the audit log.
    Audit,
    /// Plan a rotation or a swap, without carrying it out.
    PlanRotation,
    /// Plan a revocation, without carrying it out.
    PlanRevocation,
    /// Look at a plan that waits for approval.
    ReadPlan,
    /// Rotate or swap; take up or resolve a rotation or a swap.
    Rotate,
    /// Take a rotation or a swap back.
    RollBack,
    /// Revoke.
    Revoke,
    /// Approve a plan.
    Approve,
    /// Open, work on and close incidents.
    Incident,
    /// Pause and resume what is scheduled.
    Schedule,
    /// Take the inventory.
    Scan,
    /// Hold a drill.
    Drill,
    /// Ask whose a leaked value is.
    Trace,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Viewer, Self::Auditor, Self::Operator, Self::Approver, Self::Responder, Self::Admin];

    /// May this role do that at all, wherever?
    pub const fn may(self, verb: Verb) -> bool {
        use Verb::{
            Approve, Audit, Drill, Incident, PlanRevocation, PlanRotation, Read, ReadPlan, Revoke, RollBack,
            Rotate, Scan, Schedule, Trace,
        };
        match self {
            Self::Viewer => matches!(verb, Read),
            Self::Auditor => matches!(verb, Read | Audit | ReadPlan),
            Self::Operator => {
                matches!(verb, Read | PlanRotation | ReadPlan | Rotate | RollBack | Schedule | Scan)
            }
            Self::Approver => matches!(verb, Read | ReadPlan | Approve),
            Self::Responder => {
                matches!(
                    verb,
                    Read | PlanRevocation | ReadPlan | Revoke | Incident | Schedule | Scan | Drill | Trace
                )
            }
            Self::Admin => !matches!(verb, Approve),
        }
    }

    /// The word that is written and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Responder => "responder",
            Self::Admin => "admin",
        }
    }

    /// The role of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Read,
        Self::Audit,
        Self::PlanRotation,
        Self::PlanRevocation,
        Self::ReadPlan,
        Self::Rotate,
        Self::RollBack,
        Self::Revoke,
        Self::Approve,
        Self::Incident,
        Self::Schedule,
        Self::Scan,
        Self::Drill,
        Self::Trace,
    ];

    /// The word that errors print.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Audit => "audit",
            Self::PlanRotation => "plan-rotation",
            Self::PlanRevocation => "plan-revocation",
            Self::ReadPlan => "read-plan",
            Self::Rotate => "rotate",
            Self::RollBack => "roll-back",
            Self::Revoke => "revoke",
            Self::Approve => "approve",
            Self::Incident => "incident",
            Self::Schedule => "schedule",
            Self::Scan => "scan",
            Self::Drill => "drill",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
