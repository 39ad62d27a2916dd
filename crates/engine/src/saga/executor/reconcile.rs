//! A step that was begun and whose outcome nobody knows: the world is asked whether it happened.

use claviger_core::{audit::AuditKind, reference::Ref, saga::Event};
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
    pub(in crate::saga) async fn reconcile_step(
        &self,
        owned: &mut Owned,
        options: &RunOptions,
        record: &SagaRecord,
        index: usize,
        progress: &dyn Progress,
    ) -> Result<()> {
        let step = &record.plan.steps[index];
        self.hold(owned, options).await?;
        let context = Context { engine: self, record, deadline: options.deadline(), attempt: 1 };
        let (mut tries, mut patience) = (0, Patience::default());
        let (happened, detail) = loop {
            tries += 1;
            match tokio::time::timeout(options.deadline(), step::reconcile(&context, step)).await {
                Ok(Ok(step::Seen::Later(until))) => self.wait(owned, options, until).await?,
                Ok(Ok(step::Seen::Orphans(found))) => {
                    match self.end_orphans(owned, options, record, step, &found).await? {
                        None => {
                            let names: Vec<_> = found.iter().map(Ref::as_str).collect();
                            let names = names.join(" and ");
                            break (
                                None,
                                format!("{names} had been made and the value was lost: taken away"),
                            );
                        }
                        Some(why) if tries >= ATTEMPTS => {
                            let reason = format!("an orphan cannot be taken away: {why}");
                            let paused = Event::Paused { reason };
                            return self.append(owned, record, paused, Append::default()).await;
                        }
                        Some(_) => tokio::time::sleep(backoff(tries)).await,
                    }
                }
                Ok(Ok(step::Seen::Happened(done))) => break (Some(done), "it had happened".to_owned()),
                Ok(Ok(step::Seen::NotHappened(detail))) => break (None, detail),
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
                    // Nobody knows whether it happened, and nothing may be done before somebody does.
                    let reason =
                        format!("whether `{}` happened cannot be observed: {}", step.id, failure.message);
                    return self.append(owned, record, Event::Paused { reason }, Append::default()).await;
                }
                Err(_) if tries >= ATTEMPTS => {
                    let reason = format!("whether `{}` happened cannot be observed: no answer", step.id);
                    return self.append(owned, record, Event::Paused { reason }, Append::default()).await;
                }
                Ok(Err(Trouble::Step(_) | Trouble::Throttled(..))) | Err(_) => {
                    tokio::time::sleep(backoff(tries)).await;
                    self.hold(owned, options).await?;
                }
            }
        };
        progress.step_finished(record.plan.subject.as_str(), &step.id, &format!("reconciled: {detail}"));
        let output = happened.as_ref().map(|done| done.output.clone());
        let event = Event::Reconciled { step: step.id.clone(), happened: output, detail: detail.clone() };
        match happened {
            Some(done) => self.succeed(owned, record, index, event, done).await,
            None => {
                let mut append = Append::default();
                if step.action.has_effect() {
                    append.audit.push(self.draft(
                        record,
                        AuditKind::Outcome,
                        Some(step),
                        serde_json::json!({ "outcome": "not-applied", "detail": detail }),
                    ));
                }
                self.append(owned, record, event, append).await
            }
        }
    }
}
