//! The three ports.

mod audit;
mod inventory;
mod journal;

pub use self::{
    audit::AuditLog,
    inventory::{
        CopyLink, Inventory, LinkEvidence, MergeSummary, Merged, MergedConsumer, MergedCopy,
        MergedCredential, MergedGrant, MergedIdentity, MergedPage, RotationEnd, ScanStart, Selection,
    },
    journal::{Append, Appended, Claim, Journal, NewSaga, SagaRecord, SealedRow},
};
