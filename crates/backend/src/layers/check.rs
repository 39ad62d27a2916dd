use claviger_core::reference::Ref;

use crate::{BackendInfo, Error, ErrorKind, Result};

/// Refuses what the capability does not claim.
pub(super) fn supported(claimed: bool, info: &BackendInfo, operation: &'static str) -> Result<()> {
    if claimed {
        return Ok(());
    }
    let message = format!("`{}` ({}) cannot do this", info.name, info.kind);
    Err(Error::new(ErrorKind::Unsupported, operation, message))
}

/// Refuses a ref that names another backend.
pub(super) fn ours(at: &Ref, info: &BackendInfo, operation: &'static str) -> Result<()> {
    if at.backend() == info.name {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, operation, format!("{at} does not belong to `{}`", info.name)))
}
