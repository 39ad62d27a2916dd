//! Exceptions: what a policy or a finding asks for is waived for a while, by somebody, for a reason.
//!
//! An exception only takes a demand away. It never lets anything be done that would be refused without it, and it ends by itself.

use chrono::{DateTime, Utc};
use claviger_core::view::{CredentialView, FindingView, Waiver};

use crate::{
    Result,
    selector::{Selector, glob},
};

/// What is waived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waived {
    /// The policy's `max_age`: it is not due, and what findings say of its age is waived too.
    MaxAge,
    /// Findings whose slug fits these globs.
    Finding(String),
}

/// Findings that say what `max_age` demands.
const OF_AGE: [&str; 3] = ["age-never-rotated", "age-over-policy", "rot-overdue"];

/// One exception.
#[derive(Debug, Clone)]
pub struct Exception {
    /// Its name.
    pub name: String,
    /// What it holds for.
    pub selector: Selector,
    /// What it waives.
    pub waives: Vec<Waived>,
    /// Who allowed it.
    pub approver: String,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub expires: DateTime<Utc>,
}

impl Exception {
    /// Does it still hold?
    pub fn in_force(&self, now: DateTime<Utc>) -> bool {
        now < self.expires
    }

    fn waives_finding(&self, slug: &str) -> bool {
        self.waives.iter().any(|waived| match waived {
            Waived::MaxAge => OF_AGE.contains(&slug),
            Waived::Finding(pattern) => glob(pattern, slug),
        })
    }

    fn waiver(&self) -> Waiver {
        Waiver {
            exception: self.name.clone(),
            approver: self.approver.clone(),
            reason: self.reason.clone(),
            until: self.expires,
        }
    }
}

/// The exception by which the credential need not be changed yet.
///
/// # Errors
/// Whether one of them holds for it cannot be decided.
pub fn of_age<'e>(
    exceptions: &'e [Exception],
    credential: &CredentialView,
    now: DateTime<Utc>,
) -> Result<Option<&'e Exception>> {
    for exception in exceptions.iter().filter(|one| one.in_force(now) && one.waives.contains(&Waived::MaxAge))
    {
        if exception.selector.matches(credential)? {
            return Ok(Some(exception));
        }
    }
    Ok(None)
}

/// Says of each finding of a credential whether an exception waives it. What cannot be decided is not waived.
pub fn waive(
    exceptions: &[Exception],
    findings: &mut [FindingView],
    credentials: &[CredentialView],
    now: DateTime<Utc>,
) {
    for exception in exceptions.iter().filter(|exception| exception.in_force(now)) {
        let matched: std::collections::BTreeSet<_> = credentials
            .iter()
            .filter(|credential| exception.selector.matches(credential).unwrap_or(false))
            .map(|credential| &credential.at)
            .collect();
        for finding in findings.iter_mut() {
            if finding.waived.is_none()
                && matched.contains(&finding.subject)
                && exception.waives_finding(&finding.slug)
            {
                finding.waived = Some(exception.waiver());
            }
        }
    }
}
