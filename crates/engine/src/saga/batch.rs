//! Many revocations as one work that can be taken up again: all are recorded before the first is begun, and whoever asks for the same once more
//! takes up what is unfinished.

use claviger_core::{
    id::SagaId,
    saga::{Action, Cause, SagaKind, SagaPlan},
};
use futures::{StreamExt as _, stream};

use super::{executor::RunOptions, outcome::SagaOutcome};
use crate::{Engine, Error, Result, progress::Progress};

/// Recorded at the same time: appends that wait for the writer share a transaction.
const RECORDED_AT_ONCE: usize = 16;
/// Driven at the same time. Most of them wait for a cache; how many calls a backend gets at once its own layer limits.
const AT_ONCE: usize = 128;

impl Engine {
    /// Records and drives one revocation per plan, past failures. One of the same credential that is unfinished is taken up instead, a paused one
    /// too. Objects that tokens are bound to come when the rest is over: with them ends what the rest has to show to be dead by itself. The answers
    /// are in the order of the plans.
    pub async fn revoke_all(
        &self,
        plans: &[SagaPlan],
        cause: Cause,
        reason: Option<&str>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Vec<Result<SagaOutcome>> {
        let recorded = self.record_revocations(plans, cause, reason).await;
        self.drive_revocations(plans, recorded, options, progress).await
    }

    /// Records one revocation per plan, or finds the unfinished one of the same credential. Nothing is changed at any target yet. The answers are in
    /// the order of the plans.
    pub async fn record_revocations(
        &self,
        plans: &[SagaPlan],
        cause: Cause,
        reason: Option<&str>,
    ) -> Vec<Result<SagaId>> {
        // By their places: a closure that takes a reference would keep whoever calls this from running it as a task of its own.
        stream::iter(0..plans.len())
            .map(|index| async move {
                let plan = &plans[index];
                match self.begin(plan.clone(), cause, reason.map(str::to_owned)).await {
                    Err(error @ Error::Refused { code: "unfinished", .. }) => {
                        self.unfinished_of(plan).await?.ok_or(error)
                    }
                    other => other,
                }
            })
            .buffered(RECORDED_AT_ONCE)
            .collect()
            .await
    }

    /// Drives what [`Engine::record_revocations`] gave for these plans.
    pub async fn drive_revocations(
        &self,
        plans: &[SagaPlan],
        recorded: Vec<Result<SagaId>>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Vec<Result<SagaOutcome>> {
        let (last, first): (Vec<_>, Vec<_>) =
            recorded.into_iter().enumerate().partition(|(index, _)| ends_object(&plans[*index]));
        let mut answers = Vec::with_capacity(plans.len());
        for wave in [first, last] {
            let wave = stream::iter(wave).map(|(index, recorded)| async move {
                (index, self.take_up(recorded, options, progress).await)
            });
            answers.extend(wave.buffered(AT_ONCE).collect::<Vec<_>>().await);
        }
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn take_up(
        &self,
        recorded: Result<SagaId>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<SagaOutcome> {
        let answers = self.resume(Some(recorded?), options, progress).await?;
        let first = answers.into_iter().next();
        first.unwrap_or_else(|| Err(Error::NoSaga("that was recorded".to_owned())))
    }

    /// The unfinished saga of a plan's credential, if it is of the plan's kind.
    async fn unfinished_of(&self, plan: &SagaPlan) -> Result<Option<SagaId>> {
        let open = self.ports.journal.unfinished().await?;
        let of_kind = self.ports.journal.list(plan.kind, Some(plan.credential)).await?;
        let found = of_kind.iter().find(|saga| open.contains(&saga.rotation_id));
        Ok(found.map(|saga| saga.rotation_id).filter(|_| plan.kind == SagaKind::Revocation))
    }
}

fn ends_object(plan: &SagaPlan) -> bool {
    plan.steps.iter().any(|step| matches!(step.action, Action::EndAnchor(_)))
}
