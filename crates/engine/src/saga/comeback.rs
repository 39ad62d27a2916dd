//! A rotation that returns by itself: a consumer that stood well before does not come up with the new value.
//!
//! Waiting for a person would leave the service down, or half of it on each value, for as long as that takes; and the former value is at hand.
//! So it is put back by the same rollback that a person would ask for. Not where the consumer did not stand well before (then the new value is
//! not what it suffers from), where the old value has ended for good, or where somebody has decided otherwise in between.

use claviger_backend::{Adoption, Operation};
use claviger_core::{
    id::{OperationKey, SagaId},
    saga::{Action, SagaKind, SagaState, StepState},
};

use super::{
    executor::RunOptions,
    outcome::SagaOutcome,
    step::adoption::{STOOD, restart_of},
};
use crate::{Engine, Error, Result, plan::ROLLBACK, progress::Progress};

impl Engine {
    /// Why the rotation has to be taken back, if it has to. The consumer is asked once more: what paused it may be over.
    ///
    /// # Errors
    /// The database. A consumer that cannot be asked is no reason to go back.
    pub(super) async fn fallen(&self, id: SagaId, options: &RunOptions) -> Result<Option<String>> {
        let record = self.load(id).await?;
        let (plan, progress) = (&record.plan, &record.progress);
        let paused = matches!(progress.state, SagaState::Paused { .. });
        if !paused || plan.kind != SagaKind::Rotation || plan.strategy == ROLLBACK {
            return Ok(None);
        }
        let waits = plan.steps.iter().zip(&progress.steps).find(|(step, state)| {
            step.action == Action::AwaitAdoption && matches!(state, StepState::Failed { .. })
        });
        let Some((waits, _)) = waits else { return Ok(None) };
        let Some(restart) = restart_of(plan, waits) else { return Ok(None) };
        let stood = progress
            .output(plan, |step| step.id == restart.id)
            .and_then(|output| output.facts.get(STOOD)?.as_bool())
            .unwrap_or(false);
        if !stood || self.rollback_of(&record).await.is_err() {
            return Ok(None);
        }
        let member = self.estate.member(waits.target.backend())?;
        let Some(runtime) = member.backend.runtime() else { return Ok(None) };
        let key = OperationKey::derive(record.id, &restart.id, restart.target.as_str(), 0);
        let operation = Operation { key, deadline: options.deadline() };
        let why = match runtime.adopted(&operation, &waits.target).await {
            Ok(Adoption::Failing(why) | Adoption::Pending(why)) => why,
            Ok(Adoption::Adopted(_)) | Err(_) => return Ok(None),
        };
        Ok(Some(format!("{} stood well before and does not come up with the new value: {why}", waits.target)))
    }

    /// Takes it back, and gives what became of that: of the rotation where everything is as it was, else of what stands in the way.
    pub(super) async fn come_back(
        &self,
        id: SagaId,
        why: String,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<SagaOutcome> {
        let planned = match self.plan_rollback(id, options, progress).await {
            Ok(planned) => planned,
            // Somebody else has moved it meanwhile: it is theirs.
            Err(Error::Refused { .. } | Error::Busy(_)) => return self.outcome(id).await,
            Err(error) => return Err(error),
        };
        tracing::warn!(rotation = %id, why, "the rotation is taken back");
        let back = self.roll_back(&planned, Some(why.clone()), options, progress).await?;
        if !matches!(back.state.as_str(), "done" | "unwound") {
            return Ok(back);
        }
        let mut outcome = self.outcome(id).await?;
        outcome.reason = Some(why);
        Ok(outcome)
    }
}
