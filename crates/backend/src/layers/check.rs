use claviger_core::reference::Ref;

use crate::{BackendInfo, Error, ErrorKind, Field, Result};

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

/// Refuses fields of several objects, and one field twice: nobody could write them as one.
pub(super) fn one_object(fields: &[Field<'_>], operation: &'static str) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    let object = fields.first().map(|field| field.at.object());
    for field in fields {
        if Some(field.at.object()) != object || !seen.insert(field.at) {
            let message = format!("{} is not another field of the same object", field.at);
            return Err(Error::new(ErrorKind::Invalid, operation, message));
        }
    }
    Ok(())
}
