//! Policies: selector and limits. The first whose selector matches wins, in the order of the configuration.

use std::num::NonZeroUsize;

use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{password::Rules, saga::Evidence, view::CredentialView};

use crate::{Estate, Result, exception, selector::Selector, timing::Timing};

/// One policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// What it holds for.
    pub selector: Selector,
    /// Due at the latest so long after the last change.
    pub max_age: Option<TimeDelta>,
    /// The strategy that it asks for.
    pub strategy: Option<String>,
    /// How many other people have to approve.
    pub approvals: u32,
    /// Never revoked, by nobody.
    pub retain: bool,
    /// What was revoked and is accepted again is revoked once more without anybody's asking.
    pub re_revoke: bool,
    /// What a new password looks like.
    pub password: Option<Rules>,
    /// How long an old value that may go on beside the new one is left, after the last consumer has moved.
    pub grace: Option<TimeDelta>,
    /// The least evidence that nobody uses an old value any more which may end it.
    pub evidence: Option<Evidence>,
    /// How many consumers restart at the same time where the old value goes on beside the new one.
    pub consumers_at_once: Option<NonZeroUsize>,
    /// At what times rotations may start.
    pub timing: Timing,
}

impl Policy {
    /// When this policy wants the credential rotated at the latest; `None` without a limit or without a known age.
    pub fn due(&self, credential: &CredentialView) -> Option<DateTime<Utc>> {
        let since = credential.last_rotated_at.or(credential.created_at)?;
        self.max_age.and_then(|age| since.checked_add_signed(age))
    }
}

/// The policy that holds for a credential.
///
/// # Errors
/// Whether one of them holds cannot be decided: then none that comes after it may be taken either.
pub fn policy_for<'a>(policies: &'a [Policy], credential: &CredentialView) -> Result<Option<&'a Policy>> {
    for policy in policies {
        if policy.selector.matches(credential)? {
            return Ok(Some(policy));
        }
    }
    Ok(None)
}

/// Fills `policy` and `next_due_at`, which is not before the end of an exception. Where it cannot be decided which policy holds, `policy` says so.
pub fn apply(estate: &Estate, credential: &mut CredentialView, now: DateTime<Utc>) {
    match policy_for(&estate.policies, credential) {
        Ok(Some(policy)) => {
            credential.policy = Some(policy.name.clone());
            credential.next_due_at = policy.due(credential);
            // One that cannot be decided waives nothing.
            if let Ok(Some(exception)) = exception::of_age(&estate.exceptions, credential, now) {
                credential.next_due_at = credential.next_due_at.map(|due| due.max(exception.expires));
            }
        }
        Ok(None) => {}
        Err(_) => credential.policy = Some(UNDECIDED.to_owned()),
    }
}

/// What stands for the policy's name where none can be told.
pub const UNDECIDED: &str = "undecided";
