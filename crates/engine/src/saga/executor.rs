mod orphan;

use std::time::Duration;

use chrono::TimeDelta;
use claviger_core::{
    audit::{AuditDraft, AuditKind},
    id::SagaId,
    saga::{Cause, Event, Failure, FailureEffect, Next, Progress as Fold, SagaPlan, SagaState},
    seal::SagaSalt,
};
use claviger_store::port::{Append, Claim, NewSaga, SagaRecord};
use tokio::time::Instant;

use super::{
    context::{Context, Ran, Trouble},
    outcome::{self, SagaOutcome},
    step,
};
use crate::{Engine, Error, Result, progress::Progress};

/// Passing faults of one step before the saga gives up or pauses.
const ATTEMPTS: u32 = 5;

/// How sagas are run.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// How long a claim holds without renewal. A crash is noticed after this long.
    pub lease: Duration,
    /// How long a saga that another worker owns is waited for.
    pub patience: Duration,
    /// Longest wait of a saga that is sat out. One that waits longer is left to be resumed when its time has come.
    pub linger: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            patience: Duration::from_secs(40),
            linger: Duration::from_secs(120),
        }
    }
}

impl RunOptions {
    /// Longest external call: what is left of the lease after it is the margin in which nothing may be begun.
    fn deadline(&self) -> Duration {
        self.lease * 2 / 3
    }
}

/// Ownership with the local end of the lease.
struct Owned {
    claim: Claim,
    until: Instant,
}

impl Engine {
    /// Records a plan as a saga. Nothing is changed at any target yet.
    ///
    /// # Errors
    /// Another saga of the same credential is unfinished, or the database fails.
    pub async fn begin(&self, plan: SagaPlan, cause: Cause, reason: Option<String>) -> Result<SagaId> {
        let id = SagaId::generate(self.clock.as_ref(), self.random.as_ref());
        let audit = AuditDraft {
            kind: AuditKind::SagaPlanned,
            actor: self.actor.clone(),
            subject: plan.subject.to_string(),
            saga: Some(id),
            step: None,
            detail: serde_json::json!({
                "definition": plan.definition, "plan": plan.hash(), "cause": cause, "reason": reason, "breaks": plan.breaks,
            }),
        };
        let subject = plan.subject.clone();
        let saga = NewSaga {
            id,
            plan,
            cause,
            actor: self.actor.clone(),
            reason,
            salt: SagaSalt::generate(self.random.as_ref()),
            audit: vec![audit],
        };
        match self.ports.journal.create(saga).await? {
            Some(id) => Ok(id),
            None => Err(Error::Refused {
                subject,
                code: "unfinished",
                reason: "a saga of this credential is unfinished: `claviger resume` takes it up".to_owned(),
            }),
        }
    }

    /// Drives a saga until it rests, pauses, is stuck, or waits for longer than the options let it.
    ///
    /// # Errors
    /// The database fails, or another worker owns the saga for longer than the patience.
    pub async fn drive(
        &self,
        id: SagaId,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<SagaOutcome> {
        let mut owned = self.own(id, options).await?;
        let result = self.run(&mut owned, options, progress).await;
        // Given up in any case: the next owner need not wait for the lease.
        if !matches!(result, Err(Error::Store(claviger_store::Error::Fenced))) {
            self.ports.journal.release(&owned.claim).await?;
        }
        result?;
        self.outcome(id).await
    }

    /// Reads what a saga did.
    ///
    /// # Errors
    /// There is none with this id, or the database fails.
    pub async fn outcome(&self, id: SagaId) -> Result<SagaOutcome> {
        let record = self.load(id).await?;
        let receipts = self.ports.journal.receipts(Some(id)).await?;
        Ok(SagaOutcome::of(&record, receipts))
    }

    /// Takes up every unfinished saga that waits for no operator; or the one that is named, a paused one too.
    ///
    /// # Errors
    /// The database fails, or the named saga is at rest or owned by somebody.
    pub async fn resume(
        &self,
        only: Option<SagaId>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<Vec<SagaOutcome>> {
        let mut outcomes = Vec::new();
        let ids = match only {
            Some(id) => vec![id],
            None => self.ports.journal.unfinished().await?,
        };
        for id in ids {
            let record = self.load(id).await?;
            match &record.progress.state {
                state if state.is_rest() || matches!(state, SagaState::Stuck { .. }) => {}
                SagaState::Paused { .. } if only.is_none() => {}
                SagaState::Paused { .. } => {
                    let mut owned = self.own(id, options).await?;
                    let event =
                        Event::Continued { actor: self.actor.clone(), reason: "resumed by hand".to_owned() };
                    let audit = self.draft(
                        &record,
                        AuditKind::Decision,
                        None,
                        serde_json::json!({ "decision": "continue" }),
                    );
                    self.ports
                        .journal
                        .append(
                            &mut owned.claim,
                            Append { event: Some(event), audit: vec![audit], ..Append::default() },
                        )
                        .await?;
                    self.ports.journal.release(&owned.claim).await?;
                    outcomes.push(self.drive(id, options, progress).await?);
                    continue;
                }
                _ => {
                    outcomes.push(self.drive(id, options, progress).await?);
                    continue;
                }
            }
            outcomes.push(self.outcome(id).await?);
        }
        Ok(outcomes)
    }

    async fn load(&self, id: SagaId) -> Result<SagaRecord> {
        self.ports.journal.load(id).await?.ok_or_else(|| Error::NoSaga(id.to_string()))
    }

    async fn own(&self, id: SagaId, options: &RunOptions) -> Result<Owned> {
        let begun = Instant::now();
        loop {
            let asked = Instant::now();
            if let Some(claim) = self.ports.journal.claim(id, &self.actor, options.lease).await? {
                // Counted from before the question, so that our view of the lease ends before the database's.
                let until = asked + claim.lease;
                return Ok(Owned { claim, until });
            }
            if self.load(id).await?.progress.state.is_rest() {
                return Err(Error::NoSaga(format!("{id} to be done: it is at rest")));
            }
            if begun.elapsed() > options.patience {
                return Err(Error::Busy(id.to_string()));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn run(&self, owned: &mut Owned, options: &RunOptions, progress: &dyn Progress) -> Result<()> {
        loop {
            let record = self.load(owned.claim.saga).await?;
            let plan = &record.plan;
            match record.progress.next(plan) {
                Next::Nothing => return Ok(()),
                Next::Run(index, attempt) => {
                    if attempt > 1
                        && matches!(
                            record.progress.steps[index],
                            claviger_core::saga::StepState::Failed { .. }
                        )
                    {
                        tokio::time::sleep(backoff(attempt)).await;
                    }
                    self.run_step(owned, options, &record, index, attempt, progress).await?;
                }
                Next::Reconcile(index) => {
                    self.reconcile_step(owned, options, &record, index, progress).await?
                }
                Next::Wait(_, until) if until - self.clock.now() > linger(options) => return Ok(()),
                Next::Wait(index, until) => {
                    self.wait(owned, options, until).await?;
                    let attempt = match &record.progress.steps[index] {
                        claviger_core::saga::StepState::Waiting { attempt, .. } => attempt + 1,
                        _ => 1,
                    };
                    self.run_step(owned, options, &record, index, attempt, progress).await?;
                }
                Next::Undo(index) => self.undo_step(owned, options, &record, index, progress).await?,
            }
        }
    }

    async fn run_step(
        &self,
        owned: &mut Owned,
        options: &RunOptions,
        record: &SagaRecord,
        index: usize,
        attempt: u32,
        progress: &dyn Progress,
    ) -> Result<()> {
        let step = &record.plan.steps[index];
        self.hold(owned, options).await?;
        let mut append =
            Append { event: Some(Event::Started { step: step.id.clone(), attempt }), ..Append::default() };
        if step.action.has_effect() {
            append.audit.push(self.draft(
                record,
                AuditKind::Intent,
                Some(step),
                serde_json::json!({ "attempt": attempt, "detail": step.detail }),
            ));
        }
        if attempt == 1 {
            progress.step_started(record.plan.subject.as_str(), &step.id);
        }
        self.ports.journal.append(&mut owned.claim, append).await?;
        let context = Context { engine: self, record, deadline: options.deadline(), attempt };
        let result = tokio::time::timeout(options.deadline(), step::run(&context, step)).await;
        let event = match result {
            Ok(Ok(Ran::Done(done))) => {
                progress.step_finished(record.plan.subject.as_str(), &step.id, &done.output.detail);
                return self
                    .succeed(
                        owned,
                        record,
                        index,
                        Event::Succeeded { step: step.id.clone(), output: done.output.clone() },
                        done,
                    )
                    .await;
            }
            Ok(Ok(Ran::Wait(until))) => Event::TimerSet { step: step.id.clone(), until },
            Ok(Err(Trouble::Fatal(error))) => return Err(error),
            Ok(Err(Trouble::Step(failure))) => {
                Event::Failed { step: step.id.clone(), failure: last_attempt(failure, attempt) }
            }
            Err(_) => {
                let effect =
                    if step.action.has_effect() { FailureEffect::Unknown } else { FailureEffect::NotApplied };
                let message = format!("no answer within {} s", options.deadline().as_secs());
                Event::Failed {
                    step: step.id.clone(),
                    failure: last_attempt(Failure { message, effect, temporary: true }, attempt),
                }
            }
        };
        self.settle(owned, record, index, event, progress).await
    }

    /// Appends a step's success with all that belongs to it.
    async fn succeed(
        &self,
        owned: &mut Owned,
        record: &SagaRecord,
        index: usize,
        event: Event,
        done: super::context::Done,
    ) -> Result<()> {
        let step = &record.plan.steps[index];
        let mut append = Append { seal: done.seal, ..Append::default() };
        if step.action.has_effect() {
            append.audit.push(self.draft(record, AuditKind::Outcome, Some(step), serde_json::json!({ "outcome": "succeeded", "detail": done.output.detail, "facts": done.output.facts })));
        }
        if let Some(receipt) = done.receipt {
            append.audit.push(self.draft(
                record,
                AuditKind::Receipt,
                Some(step),
                serde_json::to_value(&receipt).unwrap_or_default(),
            ));
            append.receipt = Some(receipt);
        }
        self.append(owned, record, event, append).await
    }

    async fn settle(
        &self,
        owned: &mut Owned,
        record: &SagaRecord,
        index: usize,
        event: Event,
        progress: &dyn Progress,
    ) -> Result<()> {
        let step = &record.plan.steps[index];
        let mut append = Append::default();
        if let Event::Failed { failure, .. } = &event {
            progress.step_finished(record.plan.subject.as_str(), &step.id, &failure.message);
            if step.action.has_effect() {
                append.audit.push(self.draft(record, AuditKind::Outcome, Some(step), serde_json::json!({ "outcome": "failed", "detail": failure.message, "effect": failure.effect })));
            }
        }
        self.append(owned, record, event, append).await
    }

    async fn reconcile_step(
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
        let mut tries = 0;
        let (happened, detail) = loop {
            tries += 1;
            match tokio::time::timeout(options.deadline(), step::reconcile(&context, step)).await {
                Ok(Ok(step::Seen::Later(until))) => self.wait(owned, options, until).await?,
                Ok(Ok(step::Seen::Orphan(at))) => {
                    match self.end_orphan(owned, options, record, step, &at).await? {
                        None => {
                            break (None, format!("{at} had been made and its value was lost: taken away"));
                        }
                        Some(why) if tries >= ATTEMPTS => {
                            let reason = format!("{at} is an orphan and cannot be taken away: {why}");
                            let paused = Event::Paused { reason };
                            return self.append(owned, record, paused, Append::default()).await;
                        }
                        Some(_) => tokio::time::sleep(backoff(tries)).await,
                    }
                }
                Ok(Ok(step::Seen::Happened(done))) => break (Some(done), "it had happened".to_owned()),
                Ok(Ok(step::Seen::NotHappened(detail))) => break (None, detail),
                Ok(Err(Trouble::Fatal(error))) => return Err(error),
                Ok(Err(Trouble::Step(failure))) if tries >= ATTEMPTS || !failure.temporary => {
                    // Nobody knows whether it happened, and nothing may be done before somebody does.
                    let reason =
                        format!("whether `{}` happened cannot be observed: {}", step.id, failure.message);
                    return self.append(owned, record, Event::Paused { reason }, Append::default()).await;
                }
                Err(_) if tries >= ATTEMPTS => {
                    let reason = format!("whether `{}` happened cannot be observed: no answer", step.id);
                    return self.append(owned, record, Event::Paused { reason }, Append::default()).await;
                }
                Ok(Err(Trouble::Step(_))) | Err(_) => {
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

    async fn undo_step(
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
        }
        let context = Context { engine: self, record, deadline: options.deadline(), attempt: 1 };
        let mut tries = 0;
        let failed = loop {
            tries += 1;
            match tokio::time::timeout(options.deadline(), step::undo(&context, step)).await {
                Ok(Ok(())) => break None,
                Ok(Err(Trouble::Fatal(error))) => return Err(error),
                Ok(Err(Trouble::Step(failure))) if tries >= ATTEMPTS || !failure.temporary => {
                    break Some(failure.message);
                }
                Err(_) if tries >= ATTEMPTS => break Some("no answer".to_owned()),
                Ok(Err(Trouble::Step(_))) | Err(_) => {
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

    /// The one place where events are written: rest destroys the sealed values in the same transaction, and a saga past its pivot that
    /// gave up is paused, not lost.
    async fn append(
        &self,
        owned: &mut Owned,
        record: &SagaRecord,
        event: Event,
        mut append: Append,
    ) -> Result<()> {
        let fresh = self.load(record.id).await?;
        let after: Fold =
            fresh.progress.clone().apply(&record.plan, &event).map_err(claviger_store::Error::from)?;
        if after.state.is_rest() {
            append.shred = true;
            let detail =
                serde_json::json!({ "state": after.state.word(), "reason": outcome::reason(&after.state) });
            append.audit.push(self.draft(record, AuditKind::Shredded, None, serde_json::json!({})));
            append.audit.push(self.draft(record, AuditKind::SagaFinished, None, detail));
        }
        append.event = Some(event);
        self.ports.journal.append(&mut owned.claim, append).await?;
        Ok(())
    }

    /// Makes sure that the lease outlasts one external call.
    async fn hold(&self, owned: &mut Owned, options: &RunOptions) -> Result<()> {
        if owned.until.saturating_duration_since(Instant::now()) <= options.deadline() {
            let asked = Instant::now();
            self.ports.journal.renew(&mut owned.claim, options.lease).await?;
            owned.until = asked + owned.claim.lease;
        }
        Ok(())
    }

    async fn wait(
        &self,
        owned: &mut Owned,
        options: &RunOptions,
        until: chrono::DateTime<chrono::Utc>,
    ) -> Result<()> {
        loop {
            let left = until - self.clock.now();
            if left <= TimeDelta::zero() {
                return Ok(());
            }
            let nap = left.to_std().unwrap_or_default().min(options.lease / 4);
            tokio::time::sleep(nap).await;
            self.hold(owned, options).await?;
        }
    }

    fn draft(
        &self,
        record: &SagaRecord,
        kind: AuditKind,
        step: Option<&claviger_core::saga::Step>,
        detail: serde_json::Value,
    ) -> AuditDraft {
        AuditDraft {
            kind,
            actor: self.actor.clone(),
            subject: step.map_or_else(|| record.plan.subject.to_string(), |step| step.target.to_string()),
            saga: Some(record.id),
            step: step.map(|step| step.id.clone()),
            detail,
        }
    }
}

/// A passing fault that came too often is no longer one. An unknown effect stays unknown: it is reconciled, not counted.
fn last_attempt(mut failure: Failure, attempt: u32) -> Failure {
    if attempt >= ATTEMPTS && failure.effect != FailureEffect::Unknown {
        failure.temporary = false;
    }
    failure
}

fn linger(options: &RunOptions) -> TimeDelta {
    TimeDelta::from_std(options.linger).unwrap_or(TimeDelta::MAX)
}

/// 0.2 s, doubled each time, at most 5 s.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(200 << attempt.min(5)).min(Duration::from_secs(5))
}
