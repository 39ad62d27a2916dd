//! The ports.

mod access;
mod approval;
mod audit;
mod firing;
mod hint;
mod incident;
mod inventory;
mod journal;
mod own_key;

pub use self::{
    access::{Answer, ApiToken, Known, Requests, Tokens},
    approval::{Approvals, Proposal},
    audit::AuditLog,
    firing::{Claimed, FiringEnd, Firings, NewPause, PlannedFiring, Replan, Wanted},
    hint::{Hint, Hints},
    incident::{Incidents, NewIncident},
    inventory::{
        CopyLink, Inventory, LinkEvidence, MergeSummary, Merged, MergedConsumer, MergedCopy,
        MergedCredential, MergedGrant, MergedIdentity, MergedPage, RotationEnd, ScanStart, Selection,
    },
    journal::{Append, Appended, Claim, Journal, NewSaga, SagaRecord, SealedRow},
    own_key::{FormerlySealed, KeyTurn, Resealed},
};
