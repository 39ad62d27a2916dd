//! Carrying one firing out.

use std::time::Duration;

use chrono::TimeDelta;
use claviger_core::{
    audit::AuditKind,
    id::{CredentialId, SagaId},
    saga::{Cause, SagaKind, SagaPlan},
};
use claviger_store::{Claimed, FiringEnd, Wanted};
use tracing::Instrument as _;

use super::{Held, Scheduler, settle};
use crate::{Error, Result, plan::RotateOptions, progress::Progress, saga::RunOptions};

/// How long after a plan that wants approvals it is looked at again.
const APPROVAL: TimeDelta = TimeDelta::minutes(15);
/// How long after the database could not be written it is looked at again. No try is counted.
const NO_DATABASE: TimeDelta = TimeDelta::seconds(10);

impl Scheduler {
    /// Takes firings that may start.
    ///
    /// # Errors
    /// The database.
    pub async fn claim(&self, lease: Duration, most: usize) -> Result<Vec<Claimed>> {
        let now = self.engine.clock.now();
        // What one worker was told holds for all of them.
        for member in self.engine.estate.members() {
            if let Some(wait) = member.backend.throttled() {
                let until = now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
                let name = &member.backend.info().name;
                let detail = serde_json::json!({ "until": until.format("%Y-%m-%dT%H:%M:%SZ").to_string() });
                let audit = self.engine.said(AuditKind::BudgetClosed, name, detail);
                self.firings.close_budget(now, name, until, audit).await?;
            }
        }
        Ok(self.firings.claim(now, &self.owner, lease, &self.estate_budgets(), most).await?)
    }

    /// Carries one out and settles it, keeping it meanwhile. `None`: it is somebody else's by now, or it could not be settled, and whoever takes it next
    /// finds out where it is.
    pub async fn fire(
        &self,
        claim: &Claimed,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Option<FiringEnd> {
        let span = tracing::info_span!(
            "firing", firing.id = %claim.id, firing.subject = %claim.subject, firing.due_at = %claim.due_at, firing.tries = claim.attempts,
        );
        // Side by side: a renewal that waited for the database's one writer while nobody drove the work that has it would wait for ever.
        let end = tokio::select! {
            end = self.carry(claim, options, progress).instrument(span) => end,
            () = self.keep(claim, options.lease) => return None,
        };
        let end = end.unwrap_or_else(|error| match error {
            // Nothing is wrong with the firing: it is as due as before, and goes on when there is a database.
            Error::Store(claviger_store::Error::Unavailable(why)) => {
                tracing::warn!(subject = %claim.subject, why, "a firing has lost its database");
                FiringEnd::Later { at: self.engine.clock.now() + NO_DATABASE, pause: None }
            }
            error => self.again(claim, "failed", Some(error.to_string())),
        });
        match self.firings.settle(self.engine.clock.now(), &[(claim.clone(), end.clone())]).await {
            Ok(ours) if ours.first() == Some(&true) => {}
            Ok(_) => return None,
            Err(error) => {
                tracing::warn!(subject = %claim.subject, %error, "a firing was not settled: it is taken again when its lease has ended");
                return None;
            }
        }
        // The next one of this credential: the pass over all of them would find it too, later.
        if matches!(end, FiringEnd::Done { .. } | FiringEnd::Superseded)
            && let Err(error) = self.plan_ahead_of(claim.credential).await
        {
            tracing::debug!(subject = %claim.subject, %error, "not planned ahead");
        }
        Some(end)
    }

    /// Renews a claim for as long as it is ours.
    async fn keep(&self, claim: &Claimed, lease: Duration) {
        loop {
            tokio::time::sleep(lease / 3).await;
            match self.firings.renew_firing(claim, lease).await {
                Ok(()) => {}
                Err(claviger_store::Error::Fenced) => return,
                // The rotation has a lease of its own, without which it does nothing.
                Err(error) => {
                    tracing::warn!(subject = %claim.subject, %error, "a firing's lease was not renewed");
                }
            }
        }
    }

    async fn carry(
        &self,
        claim: &Claimed,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<FiringEnd> {
        let id = match claim.saga {
            Some(id) => id,
            None => match self.begin(claim).await? {
                Begun::Saga(id) => id,
                Begun::End(end) => return Ok(end),
            },
        };
        let outcome = match self.engine.drive(id, options, progress).await {
            // Somebody who resumes everything has it: it is not ours to wait for.
            Err(Error::Busy(_)) => self.engine.outcome(id).await?,
            // It is recorded, and others bring it to its end: frozen for longer than its lease, this worker has lost it. The firing stays that rotation's.
            Err(error) => match self.engine.outcome(id).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    let (outcome, detail) = ("running".to_owned(), Some(error.to_string()));
                    return Ok(FiringEnd::Open { saga: id, outcome, detail });
                }
            },
            Ok(outcome) => outcome,
        };
        Ok(settle::end_of(id, &outcome.state, outcome.reason, claim.attempts, self.engine.clock.now()))
    }

    /// Judges again, plans, asks who has to be asked, and records the rotation.
    async fn begin(&self, claim: &Claimed) -> Result<Begun> {
        let engine = &self.engine;
        let pauses = self.held().await?;
        match self.wanted_of(claim.credential, &pauses).await? {
            Some(Wanted { due_at, starts_at, pause, .. }) if due_at == claim.due_at => {
                let paused = pause.is_some() || pauses.iter().any(Held::is_whole);
                if paused || (starts_at > engine.clock.now() && !claim.asked) {
                    return Ok(Begun::End(FiringEnd::Later { at: starts_at, pause }));
                }
            }
            // It is due at another instant now: somebody changed it by hand, or it was this firing's own rotation that did.
            _ => {
                let own = self.own(claim).await?;
                return Ok(own.map_or(Begun::End(FiringEnd::Superseded), Begun::Saga));
            }
        }
        let Some(plan) = engine.plan_rotation_of(claim.credential, &RotateOptions::default()).await? else {
            return Ok(Begun::End(FiringEnd::Superseded));
        };
        let subject = match (plan.subjects.first(), plan.refused.first()) {
            (Some(subject), _) => subject,
            (None, Some(refusal)) => {
                let why = format!("{}: {}", refusal.code, refusal.reason);
                return Ok(Begun::End(self.again(claim, "refused", Some(why))));
            }
            (None, None) => return Ok(Begun::End(FiringEnd::Superseded)),
        };
        let admission = engine.admission(&plan, None).await?;
        if !admission.is_approved() {
            engine.propose(&plan, "rotate", &admission.needs).await?;
            let why = format!("plan {}: {}", plan.hash, admission.needs.reasons.join("; "));
            let at = engine.clock.now() + APPROVAL;
            return Ok(Begun::End(FiringEnd::Again {
                at,
                outcome: "needs-approval".to_owned(),
                detail: Some(why),
            }));
        }
        self.record(claim, subject).await
    }

    async fn record(&self, claim: &Claimed, plan: &SagaPlan) -> Result<Begun> {
        let because = Some(reason(claim));
        match self.engine.begin_for(plan.clone(), Cause::Schedule, because, Some(claim)).await {
            Ok(id) => Ok(Begun::Saga(id)),
            Err(Error::Refused { code: "unfinished", reason, .. }) => {
                // One of ours whose firing came to nothing, as it seemed.
                let Some(id) = self.left_behind(claim.credential).await? else {
                    return Ok(Begun::End(self.again(claim, "refused", Some(reason))));
                };
                self.firings.begun(self.engine.clock.now(), claim, id).await?;
                Ok(Begun::Saga(id))
            }
            Err(error) => Err(error),
        }
    }

    /// The rotation of this firing that others bring to its end, or did.
    async fn own(&self, claim: &Claimed) -> Result<Option<SagaId>> {
        let journal = &self.engine.ports.journal;
        let of = journal.list(SagaKind::Rotation, Some(claim.credential)).await?;
        let nothing_came_of_it = ["unwound", "rolled-back", "closed"];
        let of = of.iter().filter(|saga| {
            saga.cause == Cause::Schedule && !nothing_came_of_it.contains(&saga.state.as_str())
        });
        for saga in of {
            let record = self.engine.load(saga.rotation_id).await?;
            if record.reason.as_deref() == Some(reason(claim).as_str()) {
                return Ok(Some(saga.rotation_id));
            }
        }
        Ok(None)
    }

    /// The unfinished rotation of a credential, if a schedule began it.
    async fn left_behind(&self, credential: CredentialId) -> Result<Option<SagaId>> {
        let journal = &self.engine.ports.journal;
        let open = journal.unfinished().await?;
        let of = journal.list(SagaKind::Rotation, Some(credential)).await?;
        let found = of.iter().find(|saga| saga.cause == Cause::Schedule && open.contains(&saga.rotation_id));
        Ok(found.map(|saga| saga.rotation_id))
    }

    fn again(&self, claim: &Claimed, outcome: &str, detail: Option<String>) -> FiringEnd {
        let at = self.engine.clock.now() + settle::put_off(claim.attempts);
        FiringEnd::Again { at, outcome: outcome.to_owned(), detail }
    }
}

/// Why a firing's rotation is done, in its journal.
fn reason(claim: &Claimed) -> String {
    format!("due since {}", claim.due_at.format("%Y-%m-%dT%H:%M:%SZ"))
}

enum Begun {
    /// It is recorded.
    Saga(SagaId),
    /// Nothing was begun.
    End(FiringEnd),
}
