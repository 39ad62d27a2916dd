//! Many sagas side by side: what one of them fails at does not stop the others.

use std::time::Duration;

use claviger_core::{
    id::SagaId,
    saga::{Cause, SagaPlan},
};
use futures::{StreamExt as _, stream};

use super::{executor::RunOptions, outcome::SagaOutcome};
use crate::{Engine, Error, Result, progress::Progress};

/// Sagas that one process drives at the same time. How many calls a backend gets at once its own layer limits.
const AT_ONCE: usize = 16;

impl Engine {
    /// Records and drives one saga per plan. The answers are in the order of the plans.
    pub async fn carry_out(
        &self,
        plans: &[SagaPlan],
        cause: Cause,
        reason: Option<&str>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Vec<Result<SagaOutcome>> {
        stream::iter(plans)
            .map(|plan| async move {
                let id = self.begin(plan.clone(), cause, reason.map(str::to_owned)).await?;
                self.drive(id, options, progress).await
            })
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    /// Drives sagas that are recorded already. Those that another worker owns are left until everything else is done, and then waited for: so
    /// workers on one list share it. The answers are in the order of the ids.
    pub async fn drive_all(
        &self,
        ids: &[SagaId],
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Vec<Result<SagaOutcome>> {
        let pass = |ids: Vec<SagaId>, patience| async move {
            stream::iter(ids)
                .map(|id| self.drive_within(id, options, patience, progress))
                .buffered(AT_ONCE)
                .collect::<Vec<_>>()
                .await
        };
        let mut answers = pass(ids.to_vec(), Duration::ZERO).await;
        let busy: Vec<usize> = answers
            .iter()
            .enumerate()
            .filter(|(_, answer)| matches!(answer, Err(Error::Busy(_))))
            .map(|(index, _)| index)
            .collect();
        let late = pass(busy.iter().map(|index| ids[*index]).collect(), options.patience).await;
        for (index, answer) in busy.into_iter().zip(late) {
            answers[index] = answer;
        }
        answers
    }
}
