//! What is back is revoked again, where a policy says so.

use claviger_core::{reference::Ref, saga::Cause};

use super::Reprobed;
use crate::{
    Engine, Result,
    guard::Needs,
    plan::{Refusal, RevokeOptions},
    progress::Progress,
    saga::{RunOptions, SagaOutcome},
};

/// Why, for the audit log.
pub const REASON: &str = "it was revoked, and is back";

/// What came of it.
pub enum Again {
    /// No policy says that any of it is revoked again.
    Nothing,
    /// The plan wants approvals that it does not have. It is kept for whoever approves it, and nothing was begun.
    Waits {
        /// The plan's hash.
        plan: String,
        /// What it wants.
        needs: Needs,
    },
    /// It was carried out.
    Ended {
        /// Each that was planned, with what came of it.
        answers: Vec<(Ref, Result<SagaOutcome>)>,
        /// Each that cannot be revoked, and why.
        refused: Vec<Refusal>,
    },
}

impl Engine {
    /// Revokes again what a trial found to be back and a policy says so of, past failures, as `revoke` would: guards, canaries and approvals hold as for
    /// anybody. Repeat: what is dead meanwhile is refused as gone.
    ///
    /// # Errors
    /// The database.
    pub async fn re_revoke(
        &self,
        tried: &[Reprobed],
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<Again> {
        let back = tried.iter().filter(|one| one.answer.is_back() && one.re_revoke.is_some());
        let subjects: Vec<_> = back.map(|one| one.credential).collect();
        if subjects.is_empty() {
            return Ok(Again::Nothing);
        }
        let planned = self.plan_revocation_of(subjects, Vec::new(), &RevokeOptions::default()).await?;
        if planned.subjects.is_empty() {
            return Ok(Again::Ended { answers: Vec::new(), refused: planned.refused });
        }
        let admission = self.admission(&planned, None).await?;
        if !admission.is_approved() {
            self.propose(&planned, "revoke", &admission.needs).await?;
            return Ok(Again::Waits { plan: planned.hash.to_string(), needs: admission.needs });
        }
        let answers =
            self.revoke_guarded(&planned.subjects, Cause::Policy, Some(REASON), options, progress).await;
        let subjects = planned.subjects.into_iter().map(|plan| plan.subject);
        Ok(Again::Ended { answers: subjects.zip(answers).collect(), refused: planned.refused })
    }
}
