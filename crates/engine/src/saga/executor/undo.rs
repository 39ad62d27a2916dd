//! Taking a step back before the pivot.

use claviger_core::{audit::AuditKind, saga::Event};
use claviger_store::port::{Append, SagaRecord};

use super::{
    super::{
        context::{Context, Trouble},
        step,
    },
    ATTEMPTS, Owned, RunOptions, backoff,
    throttled::Patience,
};
use crate::{Engine, Result, progress::Progress};

impl Engine {
    pub(super) async fn undo_step(
        &self,
        owned: &mut Owned,
        options: &RunOptions,
        record: &SagaRecord,
        index: usize,
        progress: &dyn Progress,
    ) -> Result<()> {
        let step = &record.plan.steps[index];
        self.hold(owned, options).await?;
        // An undo that was begun and interrupted is simply done again: each is idempotent.
        if !matches!(record.progress.steps[index], claviger_core::saga::StepState::Undoing) {
            let mut append = Append::default();
            if step.action.has_effect() {
                let detail = serde_json::json!({ "undo": true });
                let mut draft = self.draft(record, AuditKind::Intent, Some(step), detail);
                draft.subject = step::undo_target(record, step).to_string();
                append.audit.push(draft);
            }
            self.append(owned, record, Event::UndoStarted { step: step.id.clone() }, append).await?;
            // As before a step: the append may have waited.
            self.hold(owned, options).await?;
        }
        let context = Context { engine: self, record, deadline: options.deadline(), attempt: 1 };
        let (mut tries, mut patience) = (0, Patience::default());
        let failed = loop {
            tries += 1;
            match tokio::time::timeout(options.deadline(), step::undo(&context, step)).await {
                Ok(Ok(())) => break None,
                Ok(Err(Trouble::Fatal(error))) => return Err(error),
                Ok(Err(Trouble::Throttled(_, rest))) if patience.bears(rest) => {
                    tries -= 1;
                    let until = self.clock.now() + rest;
                    if !self.wait_unless(owned, options, until, progress).await? {
                        return Ok(());
                    }
                }
                Ok(Err(Trouble::Step(failure) | Trouble::Throttled(failure, _)))
                    if tries >= ATTEMPTS || !failure.temporary =>
                {
                    break Some(failure.message);
                }
                Err(_) if tries >= ATTEMPTS => break Some("no answer".to_owned()),
                Ok(Err(Trouble::Step(_) | Trouble::Throttled(..))) | Err(_) => {
                    tokio::time::sleep(backoff(tries)).await;
                    self.hold(owned, options).await?;
                }
            }
        };
        progress.step_finished(record.plan.subject.as_str(), &step.id, failed.as_deref().unwrap_or("undone"));
        let outcome = serde_json::json!({ "undo": true, "outcome": if failed.is_some() { "failed" } else { "succeeded" } });
        let event = match failed {
            None => Event::UndoFinished { step: step.id.clone() },
            Some(reason) => Event::UndoFailed { step: step.id.clone(), reason },
        };
        let mut append = Append::default();
        if step.action.has_effect() {
            let mut draft = self.draft(record, AuditKind::Outcome, Some(step), outcome);
            draft.subject = step::undo_target(record, step).to_string();
            append.audit.push(draft);
        }
        self.append(owned, record, event, append).await
    }
}
