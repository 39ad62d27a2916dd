//! One file per table. Nothing here is public outside the crate: rows become domain types in `store/`.

pub(crate) mod audit_entry;
pub(crate) mod audit_head;
pub(crate) mod receipt;
pub(crate) mod saga;
pub(crate) mod saga_event;
pub(crate) mod sealed_value;
