//! One file per table. Nothing here is public outside the crate: rows become domain types in `store/`.

pub(crate) mod approval;
pub(crate) mod audit_entry;
pub(crate) mod audit_head;
pub(crate) mod consumer;
pub(crate) mod copy;
pub(crate) mod credential;
pub(crate) mod credential_fingerprint;
pub(crate) mod finding;
pub(crate) mod history;
pub(crate) mod identity;
pub(crate) mod incident;
pub(crate) mod incident_note;
pub(crate) mod issued;
pub(crate) mod link_cache;
pub(crate) mod plan_proposal;
pub(crate) mod privilege;
pub(crate) mod receipt;
pub(crate) mod saga;
pub(crate) mod saga_event;
pub(crate) mod scan;
pub(crate) mod scan_backend;
pub(crate) mod sealed_value;
