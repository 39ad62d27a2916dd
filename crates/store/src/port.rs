//! The ports.

mod approval;
mod audit;
mod incident;
mod inventory;
mod journal;

pub use self::{
    approval::{Approvals, Proposal},
    audit::AuditLog,
    incident::{Incidents, NewIncident},
    inventory::{
        CopyLink, Inventory, LinkEvidence, MergeSummary, Merged, MergedConsumer, MergedCopy,
        MergedCredential, MergedGrant, MergedIdentity, MergedPage, RotationEnd, ScanStart, Selection,
    },
    journal::{Append, Appended, Claim, Journal, NewSaga, SagaRecord, SealedRow},
};
