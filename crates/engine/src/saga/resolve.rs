//! An operator's decision about work that nobody else can move.

use claviger_backend::{Presence, ValueOrigin, Verdict};
use claviger_core::{
    audit::AuditKind,
    id::SagaId,
    reference::Ref,
    saga::{Action, Decision, Event, SagaKind},
    seal::Slot,
};
use claviger_store::port::{Append, SagaRecord};

use super::{
    context::{Context, Trouble},
    executor::RunOptions,
    outcome::SagaOutcome,
    step,
};
use crate::{Engine, Error, Result, progress::Progress};

impl Engine {
    /// Carries a decision about a paused or stuck saga out. `Retry` drives it on.
    ///
    /// # Errors
    /// `Refused`: it needs no operator; or closing it would destroy the only copy of the value that the target accepts. The database; another
    /// worker owns it for longer than the patience.
    pub async fn resolve(
        &self,
        id: SagaId,
        decision: Decision,
        reason: String,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<SagaOutcome> {
        let mut owned = self.own_open(id, options).await?;
        let decided = async {
            let record = self.load_owned(&mut owned).await?;
            if !record.progress.state.needs_operator() {
                return Err(Error::Refused {
                    subject: record.plan.subject.clone(),
                    code: "no-operator",
                    reason: format!(
                        "it is `{}`: only what is paused or stuck waits for a decision",
                        record.progress.state.word()
                    ),
                });
            }
            if decision == Decision::Close {
                self.may_close(&record, options).await?;
            }
            let detail = serde_json::json!({ "decision": decision, "reason": reason });
            let audit = vec![self.draft(&record, AuditKind::Decision, None, detail)];
            let event = Event::Resolved { actor: self.actor.clone(), reason, decision };
            self.append(&mut owned, &record, event, Append { audit, ..Append::default() }).await
        }
        .await;
        self.ports.journal.release(&owned.claim).await?;
        decided?;
        match decision {
            Decision::Retry => self.drive(id, options, progress).await,
            Decision::Close => self.outcome(id).await,
        }
    }

    /// Closing destroys the sealed values. One of them may be the only place that still has the value which the target accepts, so a copy must
    /// be seen to hold an accepted one first. What cannot be asked is not assumed.
    async fn may_close(&self, record: &SagaRecord, options: &RunOptions) -> Result<()> {
        let plan = &record.plan;
        let refuse =
            |reason: String| Error::Refused { subject: plan.subject.clone(), code: "last-value", reason };
        if step::holds_last_record(record) {
            return Err(refuse(format!(
                "{} has ended and was not made again, and only this saga knows what it was like: go on with `claviger resume`",
                plan.subject
            )));
        }
        // What the issuer holds is not lost with ours.
        if plan.kind != SagaKind::Rotation || step::is_held(plan) {
            return Ok(());
        }
        let cx = Context { engine: self, record, deadline: options.lease, attempt: 1 };
        // Nothing was sealed yet: nothing can be lost.
        match cx.open(Slot::Old).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            // It is lost already: there is nothing left that closing could destroy.
            Err(Error::SealedLost { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        let has_issuer = plan.steps.iter().any(|step| {
            matches!(step.action, Action::SetAtIssuer | Action::RestoreAtIssuer | Action::Revoke(_))
        });
        // Where both values have a name of their own, a copy may hold either.
        let names = [plan.subject.clone(), step::new_at(&cx)];
        let mut seen = Vec::new();
        // What its issuer keeps under a name can be read there again.
        if let Some(issuer) = self.estate.member(plan.subject.backend())?.backend.issuer() {
            for name in &names {
                let by_name =
                    issuer.offer(name).is_some_and(|offer| offer.origin == ValueOrigin::MintedByName);
                if by_name && matches!(issuer.presence(name).await, Ok(Presence::Present(_))) {
                    return Ok(());
                }
            }
        }
        for copy in written(record) {
            let value = match step::read_whole(&cx, copy).await {
                Ok(value) => value,
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Step(failure) | Trouble::Throttled(failure, _)) => {
                    seen.push(format!("{copy} cannot be read ({})", failure.message));
                    continue;
                }
            };
            let Some(value) = value else {
                seen.push(format!("{copy} is gone"));
                continue;
            };
            if !has_issuer {
                return Ok(());
            }
            for name in &names {
                match cx.issuer()?.verify(name, &value).await {
                    Ok(probe) if probe.verdict == Verdict::Accepted => return Ok(()),
                    Ok(_) => seen.push(format!("what {copy} holds is not accepted as {name}")),
                    Err(error) => seen.push(error.message().to_owned()),
                }
            }
        }
        Err(refuse(format!(
            "no copy is seen to hold a value that is accepted ({}), so the sealed values may be the last ones: mend a copy first, or go on with `claviger resume` or `claviger rollback`",
            seen.join("; ")
        )))
    }
}

/// The copies that the saga writes.
fn written(record: &SagaRecord) -> Vec<&Ref> {
    let steps = record.plan.steps.iter();
    let copies = steps.flat_map(|step| match &step.action {
        Action::WriteCopy => vec![&step.target],
        Action::WritePairs(pairs) => pairs.iter().map(|pair| &pair.copy).collect(),
        Action::WriteCertificate(holder) => vec![&holder.key],
        _ => Vec::new(),
    });
    copies.collect()
}
