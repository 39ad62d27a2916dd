mod lease;
mod orphan;
mod reconcile;
mod span;
mod throttled;
mod undo;

use std::time::Duration;

use chrono::TimeDelta;
use claviger_core::{
    audit::{AuditDraft, AuditKind},
    id::SagaId,
    saga::{
        Action, Cause, Decision, Event, Failure, FailureEffect, Next, Progress as Fold, SagaPlan, SagaState,
        Step, StepState,
    },
    seal::SagaSalt,
};
use claviger_store::{
    Claimed,
    port::{Append, NewSaga, SagaRecord, SealedRow},
};

use tracing::Instrument as _;

use super::{
    context::{Context, Ran, Trouble},
    outcome::{self, SagaOutcome},
    step,
};
use crate::{Engine, Error, Result, progress::Progress};

pub(super) use self::lease::Owned;

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
    pub(super) fn deadline(&self) -> Duration {
        self.lease * 2 / 3
    }
}

impl Engine {
    /// Records a plan as a saga. Nothing is changed at any target yet.
    ///
    /// # Errors
    /// Another saga of the same credential is unfinished, or the database fails.
    pub async fn begin(&self, plan: SagaPlan, cause: Cause, reason: Option<String>) -> Result<SagaId> {
        self.begin_for(plan, cause, reason, None).await
    }

    /// The same for a firing: its row and the saga name each other from one moment on, and a worker that lost the firing begins nothing.
    pub(crate) async fn begin_for(
        &self,
        plan: SagaPlan,
        cause: Cause,
        reason: Option<String>,
        firing: Option<&Claimed>,
    ) -> Result<SagaId> {
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
            seal: Vec::new(),
            audit: vec![audit],
            firing: firing.cloned(),
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
        self.drive_within(id, options, options.patience, progress).await
    }

    /// Drives it, waiting for another owner no longer than this.
    pub(super) async fn drive_within(
        &self,
        id: SagaId,
        options: &RunOptions,
        patience: Duration,
        progress: &dyn Progress,
    ) -> Result<SagaOutcome> {
        let Some(mut owned) = self.own(id, options, patience).await? else { return self.outcome(id).await };
        let span = span::of_saga(id);
        let result = self.run(&mut owned, options, progress).instrument(span.clone()).await;
        // Given up in any case: the next owner need not wait for the lease.
        if !matches!(result, Err(Error::Store(claviger_store::Error::Fenced))) {
            self.ports.journal.release(&owned.claim).await?;
        }
        result?;
        let outcome = self.outcome(id).await?;
        span.record("saga.state", outcome.state.as_str());
        drop(span);
        if outcome.state == "paused"
            && let Some(why) = self.fallen(id, options).await?
        {
            return Box::pin(self.come_back(id, why, options, progress)).await;
        }
        Ok(outcome)
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

    /// Takes up every unfinished saga that waits for no operator, side by side, each with its own answer; or the one that is named, a paused one
    /// too.
    ///
    /// # Errors
    /// The database fails, or the named saga is at rest or owned by somebody.
    pub async fn resume(
        &self,
        only: Option<SagaId>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<Vec<Result<SagaOutcome>>> {
        if let Some(id) = only {
            return Ok(vec![Ok(self.resume_one(id, options, progress).await?)]);
        }
        let (mut answers, mut open) = (Vec::new(), Vec::new());
        for id in self.ports.journal.unfinished().await? {
            let waits = self.load(id).await?.progress.state.needs_operator();
            if waits && let Some(why) = self.fallen(id, options).await? {
                answers.push(self.come_back(id, why, options, progress).await);
            } else if waits {
                answers.push(self.outcome(id).await);
            } else {
                open.push(id);
            }
        }
        answers.extend(self.drive_all(&open, options, progress).await);
        Ok(answers)
    }

    /// One that is named goes on even if it is paused.
    pub(super) async fn resume_one(
        &self,
        id: SagaId,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<SagaOutcome> {
        match self.load(id).await?.progress.state {
            SagaState::Paused { .. } => {
                self.resolve(id, Decision::Retry, "resumed by hand".to_owned(), options, progress).await
            }
            SagaState::Stuck { .. } => self.outcome(id).await,
            state if state.is_rest() => self.outcome(id).await,
            _ => self.drive(id, options, progress).await,
        }
    }

    pub(crate) async fn load(&self, id: SagaId) -> Result<SagaRecord> {
        self.ports.journal.load(id).await?.ok_or_else(|| Error::NoSaga(id.to_string()))
    }

    async fn run(&self, owned: &mut Owned, options: &RunOptions, progress: &dyn Progress) -> Result<()> {
        // Read once: each append is fenced, so that nobody else can have written since.
        let mut record = self.load_owned(owned).await?;
        span::tell(&record);
        let mut looked = false;
        loop {
            owned.catch_up(&mut record)?;
            if progress.should_stop() {
                return Ok(());
            }
            match record.progress.next(&record.plan) {
                // It may be another owner who left nothing to be done.
                Next::Nothing => return self.load_owned(owned).await.map(drop),
                Next::Run(index, attempt) => {
                    if attempt > 1
                        && matches!(
                            record.progress.steps[index],
                            claviger_core::saga::StepState::Failed { .. }
                        )
                    {
                        tokio::time::sleep(backoff(attempt)).await;
                    }
                    let span = span::of_step(&record, index, "run", attempt);
                    let run = self.run_step(owned, options, &record, index, attempt, progress);
                    run.instrument(span).await?;
                }
                Next::Reconcile(index) => {
                    let span = span::of_step(&record, index, "reconcile", 1);
                    self.reconcile_step(owned, options, &record, index, progress).instrument(span).await?;
                }
                // What somebody else has to do may be done: whoever takes the saga up looks, whatever the time.
                Next::Wait(index, _) if !looked && is_somebody_else_s(&record.plan.steps[index]) => {
                    looked = true;
                    let attempt = waited(&record.progress.steps[index]);
                    let span = span::of_step(&record, index, "run", attempt);
                    let run = self.run_step(owned, options, &record, index, attempt, progress);
                    run.instrument(span).await?;
                }
                Next::Wait(_, until) if until - self.clock.now() > linger(options) => return Ok(()),
                Next::Wait(index, until) => {
                    if !self.wait_unless(owned, options, until, progress).await? {
                        return Ok(());
                    }
                    let attempt = waited(&record.progress.steps[index]);
                    let span = span::of_step(&record, index, "run", attempt);
                    let run = self.run_step(owned, options, &record, index, attempt, progress);
                    run.instrument(span).await?;
                }
                Next::Undo(index) => {
                    let span = span::of_step(&record, index, "undo", 1);
                    self.undo_step(owned, options, &record, index, progress).instrument(span).await?;
                }
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
        self.append_owned(owned, append).await?;
        // The append may have waited for the database for longer than the lease had to spare.
        self.hold(owned, options).await?;
        let context = Context { engine: self, record, deadline: options.deadline(), attempt };
        let result = tokio::time::timeout(options.deadline(), step::run(&context, step)).await;
        let event = match result {
            Ok(Ok(Ran::Done(done))) => {
                span::ended("succeeded", true);
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
            Ok(Ok(Ran::Wait(until))) => Event::TimerSet { step: step.id.clone(), until, seen: None },
            Ok(Ok(Ran::Sampled(until, seen))) => {
                Event::TimerSet { step: step.id.clone(), until, seen: Some(seen.to_owned()) }
            }
            Ok(Ok(Ran::Replaced(failure, row))) => {
                // The next value is durable together with the failure of the one before it.
                let event = Event::Failed { step: step.id.clone(), failure };
                return self.settle(owned, record, index, event, vec![row], progress).await;
            }
            Ok(Err(Trouble::Fatal(error))) => return Err(error),
            Ok(Err(Trouble::Step(failure))) => {
                Event::Failed { step: step.id.clone(), failure: last_attempt(failure, attempt) }
            }
            Ok(Err(Trouble::Throttled(failure, rest))) => {
                let failure = self.put_off(record, index, failure, rest).await;
                Event::Failed { step: step.id.clone(), failure }
            }
            Err(_) => {
                let effect =
                    if step.action.has_effect() { FailureEffect::Unknown } else { FailureEffect::NotApplied };
                let message = format!("no answer within {} s", options.deadline().as_secs());
                Event::Failed {
                    step: step.id.clone(),
                    failure: last_attempt(Failure { message, effect, temporary: true, until: None }, attempt),
                }
            }
        };
        match &event {
            Event::Failed { failure, .. } if failure.until.is_none() => span::ended("failed", false),
            _ => span::ended("waits", true),
        }
        self.settle(owned, record, index, event, Vec::new(), progress).await
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
        seal: Vec<SealedRow>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let step = &record.plan.steps[index];
        let mut append = Append { seal, ..Append::default() };
        if let Event::Failed { failure, .. } = &event {
            progress.step_finished(record.plan.subject.as_str(), &step.id, &failure.message);
            if step.action.has_effect() {
                append.audit.push(self.draft(record, AuditKind::Outcome, Some(step), serde_json::json!({ "outcome": if failure.until.is_some() { "put-off" } else { "failed" }, "detail": failure.message, "effect": failure.effect })));
            }
        }
        self.append(owned, record, event, append).await
    }

    /// The one place where events are written: rest destroys the sealed values in the same transaction, and a saga past its pivot that
    /// gave up is paused, not lost.
    pub(super) async fn append(
        &self,
        owned: &mut Owned,
        record: &SagaRecord,
        event: Event,
        mut append: Append,
    ) -> Result<()> {
        let before = owned.present(record)?;
        self.close(record, before, event, &mut append)?;
        self.append_owned(owned, append).await
    }

    /// Puts an event into an append, and where it brings the saga to rest all that has to be said and destroyed then.
    pub(super) fn close(
        &self,
        record: &SagaRecord,
        before: Fold,
        event: Event,
        append: &mut Append,
    ) -> Result<()> {
        let stood = before.state.needs_operator();
        let after = before.apply(&record.plan, &event).map_err(claviger_store::Error::from)?;
        let mut detail = serde_json::json!({
            "kind": record.plan.kind, "state": after.state.word(), "reason": after.state.reason(),
        });
        if after.state.needs_operator() && !stood {
            append.audit.push(self.draft(record, AuditKind::SagaStopped, None, detail));
        } else if after.state.is_rest() {
            append.shred = true;
            detail["verdict"] = serde_json::json!(outcome::verdict(&record.plan, &after));
            append.audit.push(self.draft(record, AuditKind::Shredded, None, serde_json::json!({})));
            append.audit.push(self.draft(record, AuditKind::SagaFinished, None, detail));
        }
        append.event = Some(event);
        Ok(())
    }

    pub(super) fn draft(
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

/// Which attempt follows a wait.
fn waited(state: &StepState) -> u32 {
    match state {
        StepState::Waiting { attempt, .. } | StepState::Failed { attempt, .. } => attempt + 1,
        _ => 1,
    }
}

fn is_somebody_else_s(step: &Step) -> bool {
    matches!(step.action, Action::AwaitUnread(_) | Action::AwaitEntry(_))
}

fn linger(options: &RunOptions) -> TimeDelta {
    TimeDelta::from_std(options.linger).unwrap_or(TimeDelta::MAX)
}

/// 0.2 s, doubled each time, at most 5 s.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(200 << attempt.min(5)).min(Duration::from_secs(5))
}
