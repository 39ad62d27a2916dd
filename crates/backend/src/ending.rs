//! The end of a credential: how its issuer ends it, and what outlives it.

use async_trait::async_trait;
use claviger_core::reference::Ref;

use crate::{Operation, Result};

/// Can a credential be suspended before it is ended, and what does a login with it show then?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Suspension {
    /// It cannot.
    #[default]
    None,
    /// A login with it is refused as one with a wrong value would be, so that it can be shown.
    Refused,
    /// Nobody gets in with it, and the answer is no refusal of the value (`NOLOGIN` of PostgreSQL).
    Shut,
}

/// How one credential is ended at its issuer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ending {
    /// Why it cannot be ended here: a stable code, and what to do instead. `None`: as the backend's capability says.
    pub refused: Option<(&'static str, String)>,
    /// What suspending it comes to.
    pub suspension: Suspension,
    /// What was obtained with it and goes on working without it, in a word or two. `None`: nothing does, or it ends with the credential.
    pub outlived_by: Option<&'static str>,
    /// Whoever holds the value ends more with it than whoever knows its name: [`Issuer::revoke_held`](crate::Issuer::revoke_held).
    pub by_value: bool,
    /// What the reader of a plan should know.
    pub notes: Vec<String>,
}

impl Ending {
    /// It is none that this issuer could end.
    pub fn refuse(code: &'static str, reason: impl Into<String>) -> Self {
        Self { refused: Some((code, reason.into())), ..Self::default() }
    }
}

/// Something that was obtained with a credential: a session, a token that a login gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// Its ref where it has one, else its credential's.
    pub at: Ref,
    /// What it is, without a secret.
    pub what: String,
    /// Obtained with this credential; false where it may as well have come from another one of the same identity.
    pub certain: bool,
}

/// What was obtained with a credential, as far as its issuer tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Descent {
    /// By what it is known when the credential is gone. Opaque, kept in the journal, no secret.
    pub mark: String,
    /// What there is now.
    pub derived: Vec<Derived>,
    /// What the reader of a plan should know, such as what cannot be found.
    pub notes: Vec<String>,
}

/// What was done about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    /// What was ended by this call.
    pub ended: Vec<Derived>,
    /// On what it rests: seen to be gone, or the issuer's word.
    pub evidence: String,
}

/// Where what was obtained with a credential outlives it.
#[async_trait]
pub trait Offspring: Send + Sync {
    /// What ends with this ref, in a word or two, where it is no credential and many end with it at once: leases below a prefix, an entity's tokens.
    /// Then [`Offspring::derived`] lists them, and [`Offspring::end_derived`] ends those that are there, and what gives more of them where that
    /// can be ended. Constant for one ref, and nobody is asked. `None`: it is none such.
    fn whole(&self, _subject: &Ref) -> Option<&'static str> {
        None
    }

    /// What was obtained with the credential and would go on working without it. Changes nothing. Absent subject: `NotFound`.
    async fn derived(&self, subject: &Ref) -> Result<Descent>;

    /// Ends everything that `mark` of [`Offspring::derived`] knows, also what came since, and looks until there is none left. Called when the
    /// credential itself gives nothing new any more; it may be gone. Repeat: succeeds, and nothing is left to be ended. Cancellation: effect
    /// unknown; a repeat tells. Somebody else's is ended only where it cannot be told apart, which [`Derived::certain`] says beforehand.
    async fn end_derived(&self, op: &Operation, subject: &Ref, mark: &str) -> Result<Ended>;
}
