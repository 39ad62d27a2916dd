//! Two users that take turns: where a target holds one value per user, an identity that must never be without one has two users.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{id::OperationKey, reference::Ref, secret::SecretValue};

use crate::{Operation, Result};

/// Who takes over from a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// This one does.
    To(Pairing),
    /// Nobody can: a stable code, and why, with what to do.
    Refused(&'static str, String),
}

/// Two users that take turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairing {
    /// The user that takes over: it rests, or is not there yet.
    pub standby: Ref,
    /// Its name, as copies show it.
    pub name: String,
    /// Is it there?
    pub exists: bool,
    /// What the reader of a plan should know: in what the two differ, and what is left as it is.
    pub notes: Vec<String>,
}

/// Do two users have the same rights?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Likeness {
    /// Whoever logs in as one can do what he could do as the other. The text is the evidence.
    Same(String),
    /// The text says in what they differ.
    Differs(String),
    /// It could not be seen; the text says why.
    Unknown(String),
}

/// Sessions of one user at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sessions {
    /// How many.
    pub live: u64,
    /// When the newest was begun, by the target's clock. `None`: there is none, or it may not be seen.
    pub newest: Option<DateTime<Utc>>,
    /// Where they come from, as far as it may be seen.
    pub from: Vec<String>,
}

/// Where two users can take turns.
#[async_trait]
pub trait Turns: Send + Sync {
    /// The user that takes over from `active`. Changes nothing. Absent `active`: `Refused`. A subject that has no users: `Unsupported`.
    async fn pair(&self, active: &Ref) -> Result<Turn>;

    /// Lets `standby` log in with `value`: made if it is not there, with the rights, attributes and settings of the pair. `active` goes on
    /// unchanged. All of it happens in one change, or none. The target keeps by which operation the user was made.
    ///
    /// Repeat with the same value: succeeds, same end state. A user who has another value already, or one of this name whom we did not make:
    /// `Conflict`. A value against the target's rules: `Invalid` with `Effect::NotApplied`. Cancellation: effect unknown; a login tells.
    async fn wake(&self, op: &Operation, active: &Ref, standby: &Ref, value: &SecretValue) -> Result<()>;

    /// Undoes [`Turns::wake`] before anybody knows the value: the user is taken away if the operation `made_by` made it and nothing is its own,
    /// else it rests. One who has another value than `value` is left alone. Says what was done. Repeat, and absence: succeeds.
    async fn unwake(
        &self,
        op: &Operation,
        standby: &Ref,
        value: &SecretValue,
        made_by: OperationKey,
    ) -> Result<String>;

    /// Logs in as `standby` with `value` and looks whether it is to the target what `active` is. Changes nothing.
    async fn compare(&self, active: &Ref, standby: &Ref, value: &SecretValue) -> Result<Likeness>;

    /// Its live sessions, now. `None`: they may not be seen. Absent: none.
    async fn sessions(&self, user: &Ref) -> Result<Option<Sessions>>;
}
