//! What `check` says of one right.

use claviger_backend::{ErrorKind, Permission, PermissionStatus, Result};

/// A right that a flow needs.
pub(crate) fn permission(flow: &'static str, name: &str, status: PermissionStatus) -> Permission {
    Permission { flow, name: name.to_owned(), status }
}

/// What an answer says about a right. `missing` is what to do about a refusal.
pub(crate) fn status<T>(answer: Result<T>, missing: &str) -> Result<PermissionStatus> {
    match answer {
        Ok(_) => Ok(PermissionStatus::Present),
        Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::NotFound) => {
            Ok(PermissionStatus::Missing(missing.to_owned()))
        }
        Err(error) => Err(error),
    }
}
