//! The ports.

mod access;
mod approval;
mod audit;
mod delivery;
mod firing;
mod hint;
mod incident;
mod inventory;
mod journal;
mod notification;
mod own_key;

pub use self::{
    access::{Answer, ApiToken, Known, Requests, Tokens},
    approval::{Approvals, Proposal},
    audit::AuditLog,
    delivery::{Deliveries, Taken},
    firing::{Claimed, FiringEnd, Firings, NewPause, PlannedFiring, Replan, Wanted},
    hint::{Hint, Hints},
    incident::{Incidents, NewIncident},
    inventory::{
        CopyLink, Inventory, LinkEvidence, MergeSummary, Merged, MergedConsumer, MergedCopy,
        MergedCredential, MergedGrant, MergedIdentity, MergedPage, RotationEnd, ScanStart, Selection,
    },
    journal::{Append, Appended, Claim, Journal, NewSaga, SagaRecord, SealedRow},
    notification::{Notification, NotificationEnd, Notifications, Queued},
    own_key::{FormerlySealed, KeyTurn, Resealed},
};
