//! Carrying a rollback out: the rotation hands its sealed values over to the saga that takes it back, in one transaction.

use claviger_core::{
    audit::AuditKind,
    id::SagaId,
    saga::{Cause, Event, Next},
    seal::{Frame, SagaSalt, Slot},
};
use claviger_store::port::{Append, NewSaga, SagaRecord, SealedRow};

use super::{
    context::Context,
    executor::{Owned, RunOptions},
    outcome::SagaOutcome,
};
use crate::{
    Engine, Error, Result,
    plan::{Rollback, TakeBack},
    progress::Progress,
};

impl Engine {
    /// Plans to take a rotation back. A step that was interrupted is observed first, which is all that this changes: what is to be taken back
    /// depends on whether it happened.
    ///
    /// # Errors
    /// `Refused`: it is over, its old value has ended, it is no rotation, or nobody can tell whether its last step happened. Another worker owns it
    /// for longer than the patience.
    pub async fn plan_rollback(
        &self,
        rotation: SagaId,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<Rollback> {
        // Of one at rest nothing is to be claimed.
        let record = self.load(rotation).await?;
        if record.progress.state.is_rest() {
            return self.rollback_of(&record).await;
        }
        let mut owned = self.own_open(rotation, options).await?;
        let planned = async {
            let record = self.settled(&mut owned, options, progress).await?;
            self.rollback_of(&record).await
        }
        .await;
        self.ports.journal.release(&owned.claim).await?;
        planned
    }

    /// Takes a rotation back as planned, and drives that until it rests or needs an operator.
    ///
    /// # Errors
    /// `Refused` with code `plan-changed` if the rotation has moved since it was planned; another worker owns it for longer than the patience; the database.
    pub async fn roll_back(
        &self,
        planned: &Rollback,
        reason: Option<String>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<SagaOutcome> {
        let id = planned.rotation;
        let mut owned = self.own_open(id, options).await?;
        let begun = self.begin_rollback(&mut owned, planned, reason, options, progress).await;
        self.ports.journal.release(&owned.claim).await?;
        self.drive(begun?, options, progress).await
    }

    /// Ends the rotation's way forward. Gives the saga that has to be driven.
    async fn begin_rollback(
        &self,
        owned: &mut Owned,
        planned: &Rollback,
        reason: Option<String>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<SagaId> {
        let record = self.settled(owned, options, progress).await?;
        let now = self.rollback_of(&record).await?;
        if now.hash() != planned.hash() {
            return Err(Error::Refused {
                subject: record.plan.subject.clone(),
                code: "plan-changed",
                reason: "the rotation has moved on since this was planned: look at it and plan again"
                    .to_owned(),
            });
        }
        match now.how {
            TakeBack::Unwind => self.abandon(owned, &record, reason).await,
            TakeBack::Saga => self.hand_over(owned, &record, now, reason).await,
        }
    }

    /// The saga, once of every step is known whether it happened, as far as that can be found out.
    async fn settled(
        &self,
        owned: &mut Owned,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<SagaRecord> {
        loop {
            let record = self.load_owned(owned).await?;
            match record.progress.next(&record.plan) {
                Next::Reconcile(index) => {
                    self.reconcile_step(owned, options, &record, index, progress).await?
                }
                _ => return Ok(record),
            }
        }
    }

    async fn abandon(
        &self,
        owned: &mut Owned,
        record: &SagaRecord,
        reason: Option<String>,
    ) -> Result<SagaId> {
        let reason = reason.unwrap_or_else(|| "taken back by hand".to_owned());
        let detail = serde_json::json!({ "decision": "take-back", "reason": reason });
        let audit = vec![self.draft(record, AuditKind::Decision, None, detail)];
        let event = Event::Abandoned { actor: self.actor.clone(), reason };
        self.append(owned, record, event, Append { audit, ..Append::default() }).await?;
        Ok(record.id)
    }

    async fn hand_over(
        &self,
        owned: &mut Owned,
        record: &SagaRecord,
        rollback: Rollback,
        reason: Option<String>,
    ) -> Result<SagaId> {
        let id = SagaId::generate(self.clock.as_ref(), self.random.as_ref());
        let salt = SagaSalt::generate(self.random.as_ref());
        let plan = rollback.plan;
        let seal = self.swapped(record, id, &salt).await?;
        let planned = serde_json::json!({
            "definition": plan.definition, "plan": plan.hash(), "cause": Cause::Manual, "reason": reason, "takes_back": record.id,
        });
        let mut first = self.draft(record, AuditKind::SagaPlanned, None, planned);
        first.saga = Some(id);
        let decision = serde_json::json!({ "decision": "roll-back", "by": id, "reason": reason });
        let event = Event::RolledBack { by: id };
        let mut last = Append {
            audit: vec![self.draft(record, AuditKind::Decision, None, decision)],
            ..Append::default()
        };
        self.close(record, record.progress.clone(), event, &mut last)?;
        let successor = NewSaga {
            id,
            plan,
            cause: Cause::Manual,
            actor: self.actor.clone(),
            reason,
            salt,
            seal,
            audit: vec![first],
            firing: None,
        };
        Ok(self.ports.journal.hand_over(&mut owned.claim, last, successor).await?)
    }

    /// The sealed values with their parts exchanged: what was old is what the rollback brings about, what was new is what it ends.
    async fn swapped(&self, record: &SagaRecord, id: SagaId, salt: &SagaSalt) -> Result<Vec<SealedRow>> {
        let cx = Context { engine: self, record, deadline: std::time::Duration::ZERO, attempt: 1 };
        let newest = Slot::New(cx.generation().await?);
        let mut rows = Vec::new();
        let parts = [
            (Slot::Old, Slot::New(0)),
            (newest, Slot::Old),
            (Slot::Restore, Slot::Restore),
            (Slot::Stale, Slot::Stale),
        ];
        for (from, to) in parts {
            // What the issuer showed of the former value belongs to that one alone: a rollback of a rollback has none to restore.
            if from == Slot::Restore && record.plan.strategy == crate::plan::ROLLBACK {
                continue;
            }
            let value = match from {
                Slot::Restore | Slot::Stale => cx.open(from).await?,
                _ => Some(cx.must_open(from).await?),
            };
            let Some(value) = value else { continue };
            let frame = Frame { saga: id, credential: record.plan.credential, slot: to, salt };
            let sealed = self
                .keys
                .sealing
                .seal(&frame, &value, self.random.as_ref())
                .map_err(|_| Error::Sealed { saga: id.to_string(), slot: to.word() })?;
            rows.push(SealedRow { slot: to.word(), sealed });
        }
        Ok(rows)
    }
}
