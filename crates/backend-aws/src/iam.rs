//! The inventory of IAM: users with their keys, roles, and what each may do.

mod grants;
mod policy;
mod role;
mod user;

use claviger_backend::{Error, ErrorKind, Result, ScanSink};
use claviger_core::model::{Scope, ScopeStatus};

use crate::clients::{Account, Caller, Clients};

pub(crate) use self::{
    grants::{Grants, pages},
    policy::decode,
    user::{is_active, keys_of},
};

/// How many users, roles or secrets are looked at at once.
pub(crate) const PARALLEL: usize = 8;

/// What every part of the scan needs.
#[derive(Clone, Copy)]
pub(crate) struct Scan<'a> {
    pub(crate) backend: &'a str,
    pub(crate) account: &'a Account,
    pub(crate) clients: &'a Clients,
}

/// What a scope could not show; the first reason is told.
#[derive(Default)]
pub(crate) struct Gap(Option<(ScopeStatus, String)>);

impl Gap {
    /// Remembers an error.
    pub(crate) fn note(&mut self, error: &Error) {
        let status =
            if error.kind() == ErrorKind::Denied { ScopeStatus::Denied } else { ScopeStatus::Failed };
        self.note_as(status, error.message());
    }

    /// Remembers a reason.
    pub(crate) fn note_as(&mut self, status: ScopeStatus, reason: &str) {
        self.0.get_or_insert_with(|| (status, reason.to_owned()));
    }

    /// The answer, or its default and a note.
    pub(crate) fn or_default<T: Default>(&mut self, answer: Result<T>) -> T {
        answer.unwrap_or_else(|error| {
            self.note(&error);
            T::default()
        })
    }

    /// Takes over another's note.
    pub(crate) fn merge(&mut self, other: Self) {
        if self.0.is_none() {
            self.0 = other.0;
        }
    }

    /// Ends the scope: complete without a note.
    pub(crate) async fn end(self, scope: &Scope, sink: &mut ScanSink) -> Result<()> {
        match self.0 {
            None => sink.complete(scope).await,
            Some((status, reason)) => sink.end(scope, status, Some(reason)).await,
        }
    }
}

/// Reads IAM into the sink.
///
/// # Errors
/// The reader is gone.
pub(crate) async fn read(scan: Scan<'_>, caller: &Caller, sink: &mut ScanSink) -> Result<()> {
    let grants = Grants::new(scan);
    user::read(scan, caller, &grants, sink).await?;
    user::read_root(scan, caller, sink).await?;
    role::read(scan, &grants, sink).await
}
