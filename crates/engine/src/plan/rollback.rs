//! Taking a rotation back before its old value is retired: definition `rollback/1`.
//!
//! Before the pivot there is nothing to plan: the rotation unwinds by its own undo. After it a saga of its own puts the former value, which the
//! rotation sealed, back: at the issuer where that holds one value, in every copy, before every consumer; and then ends the value that was
//! to follow it and shows that it is refused. It takes the rotation's place in one transaction and never unwinds: it goes forward, or waits for
//! an operator. Where the issuer holds one value a rollback can be taken back like any rotation, which is how one changes one's mind.

use claviger_backend::{ErrorKind, Presence, Reads};
use claviger_core::{
    id::SagaId,
    model::ConsumerHow,
    reference::Ref,
    saga::{Action, Halves, PlanHash, Redirect, SagaKind, SagaPlan, SagaState, Step, StepPhase, StepState},
};
use claviger_store::port::SagaRecord;

use super::strategy::{ALL, adopt, adopted, refused};
use crate::{
    Engine, Error, Result,
    saga::{PUBLIC_HALF, added},
};

/// The strategy's name.
pub(crate) const ROLLBACK: &str = "rollback";

/// How a rotation is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeBack {
    /// By its own undo: its pivot was not reached.
    Unwind,
    /// By a saga of its own.
    Saga,
}

/// What would be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollback {
    /// The rotation that is taken back.
    pub rotation: SagaId,
    /// How.
    pub how: TakeBack,
    /// The steps. Of an unwinding: what is undone, last first.
    pub plan: SagaPlan,
}

impl Rollback {
    /// What an approval is bound to.
    pub fn hash(&self) -> PlanHash {
        self.plan.hash()
    }
}

impl Engine {
    pub(crate) async fn rollback_of(&self, record: &SagaRecord) -> Result<Rollback> {
        let (plan, progress) = (&record.plan, &record.progress);
        let refuse = |code, reason: String| Error::Refused { subject: plan.subject.clone(), code, reason };
        if plan.kind == SagaKind::Revocation {
            return Err(refuse("no-rollback", "a revocation cannot be taken back".to_owned()));
        }
        if plan.strategy == ROLLBACK && !plan.steps.iter().any(|step| is_set_in_place(&step.action)) {
            let reason = "it is a rollback itself, of a value with a name of its own: let it go on with `claviger resume`, then rotate again";
            return Err(refuse("no-rollback", reason.to_owned()));
        }
        if progress.state.is_rest() {
            let (word, instead) = (progress.state.word(), instead(plan));
            let reason = format!("{} is over (`{word}`) and its values are destroyed{instead}", record.id);
            return Err(refuse("at-rest", reason));
        }
        if let SagaState::Stuck { reason } | SagaState::Unwinding { reason } = &progress.state {
            let reason =
                format!("it is being undone already ({reason}): `claviger resolve` decides what to do");
            return Err(refuse("unwinding", reason));
        }
        if retired(record) {
            let reason = format!("its old value has ended: it can only go forward{}", instead(plan));
            return Err(refuse("retired", reason));
        }
        if let Some((code, reason)) = self.stands_on_it(plan).await {
            return Err(refuse(code, reason));
        }
        if progress.may_abandon(plan) {
            return Ok(Rollback { rotation: record.id, how: TakeBack::Unwind, plan: unwinding(record) });
        }
        if plan.steps.iter().any(|step| step.action == Action::AskIssuer) {
            let reason = "its issuer has made the new value and takes none, so the former one cannot be put back: let it go on with `claviger resume`, then rotate again";
            return Err(refuse("no-rollback", reason.to_owned()));
        }
        if plan.steps.iter().any(|step| matches!(step.action, Action::RotateRoot(_))) {
            let reason = "only its engine knows the new value, and takes none, so the former one cannot be put back: let it go on with `claviger resume`";
            return Err(refuse("no-rollback", reason.to_owned()));
        }
        if progress.may_roll_back(plan) {
            let plan = self.putting_back(record).await?;
            return Ok(Rollback { rotation: record.id, how: TakeBack::Saga, plan });
        }
        let reason = "whether its last step happened could not be found out: see why it is paused".to_owned();
        Err(refuse("unsettled", reason))
    }

    /// Has the owner of a workload that we cannot change moved it already? What was made for it is then not taken away from under it.
    async fn stands_on_it(&self, plan: &SagaPlan) -> Option<(&'static str, String)> {
        if !plan.steps.iter().any(|step| matches!(step.action, Action::CompareRights(_))) {
            return None;
        }
        for step in &plan.steps {
            let Action::AwaitUnread(object) = &step.action else { continue };
            let at = &step.target;
            let member = self.estate.member(at.backend()).ok();
            let holder = match member.and_then(|member| member.backend.workloads()) {
                Some(workloads) => workloads
                    .holder(at, object)
                    .await
                    .map_err(|error| (error.kind(), error.message().to_owned())),
                None => Err((ErrorKind::Config, "its backend is not there".to_owned())),
            };
            match holder {
                Ok(holder) if holder.reads == Reads::Nothing => {
                    return Some((
                        "owner-moved",
                        format!(
                            "{at} names {object} no more: without what was made for it its runs would be let in nowhere; take the patch back first, then ask again"
                        ),
                    ));
                }
                Ok(_) | Err((ErrorKind::NotFound, _)) => {}
                Err((_, why)) => {
                    return Some((
                        "owner-unknown",
                        format!(
                            "whether {at} still names {object} cannot be told ({why}), and what was made for it may be all that it has by now"
                        ),
                    ));
                }
            }
        }
        None
    }

    async fn putting_back(&self, record: &SagaRecord) -> Result<SagaPlan> {
        use StepPhase::AfterPivot;
        let (from, subject) = (&record.plan, &record.plan.subject);
        let of = |pick: &dyn Fn(&Action) -> bool| {
            from.steps.iter().filter(|step| pick(&step.action)).collect::<Vec<_>>()
        };
        let one_value = from.steps.iter().any(|step| is_set_in_place(&step.action));
        let has_issuer = one_value || from.steps.iter().any(|step| matches!(step.action, Action::Revoke(_)));

        let step = |action, target: &Ref, detail: &str| Step::new(action, target.clone(), AfterPivot, detail);
        let mut steps = vec![step(
            Action::TakeOver(halves(record)),
            subject,
            "take the sealed former value over; see which of the two is accepted now",
        )];
        for check in of(&|action| *action == Action::CheckCopy) {
            steps.push(step(Action::CheckCopy, &check.target, "ask whether this copy may be written"));
        }
        if one_value {
            let detail = "put the former value back; the one that followed it ends";
            steps.push(step(Action::RestoreAtIssuer, subject, detail));
        }
        if suspended(record) {
            steps.push(step(Action::Enable, subject, "let the suspended former value work again"));
        }
        if has_issuer {
            steps.push(step(Action::VerifyNew, subject, "log in with the former value"));
        }
        let writes = |action: &Action| {
            matches!(action, Action::WriteCopy | Action::WritePairs(_) | Action::WriteCertificate(_))
        };
        let blind = of(&|action| *action == Action::PostCopy);
        for copy in of(&writes) {
            let detail = "write the former value by compare-and-set, unless it still holds it";
            steps.push(step(copy.action.clone(), &copy.target, detail));
        }
        for copy in blind {
            let detail = "put the former value where nobody can read it back";
            steps.push(step(Action::PostCopy, &copy.target, detail));
        }
        let pointed = of(&|action| matches!(action, Action::Repoint(_)));
        if let Some(made) = added(record) {
            let redirect = Redirect { from: made, to: Some(subject.clone()) };
            let detail = format!("name {subject} again wherever it names the one that was to follow it");
            steps.extend(
                pointed.iter().map(|turn| step(Action::Repoint(redirect.clone()), &turn.target, &detail)),
            );
        }
        steps.extend(adopt(&restarted(from), ALL));
        steps.extend(pointed.iter().map(|turn| adopted(&turn.target)));
        match (one_value, self.following(record).await?) {
            (false, Some((at, presence))) => {
                let detail = "end the value that was to follow the former one";
                steps.push(step(Action::Revoke(Some(presence)), &at, detail));
                let seconds = self.estate.member(at.backend())?.backend.capability().revoke_cache_seconds;
                if seconds > 0 {
                    let detail = format!("wait {seconds} s, until no cache may still accept it");
                    steps.push(step(Action::AwaitCache(seconds), &at, &detail));
                }
                steps.push(refused(&at));
            }
            (true, _) => steps.push(refused(subject)),
            (false, None) => {
                let detail = "read every copy again: each must hold the former value";
                steps.push(step(Action::Conclude, subject, detail));
            }
        }
        let detail = "log in with the value that was taken back: it must be refused";
        if let Some(last) = steps.last_mut().filter(|last| last.action == Action::ProveRefused) {
            detail.clone_into(&mut last.detail);
        }
        let mut notes = vec![format!("takes back {} ({})", record.id, from.strategy)];
        if one_value {
            notes.push(format!(
                "{subject} holds one value at a time: until its consumers have restarted, new logins with the value that is taken back fail"
            ));
        }
        Ok(SagaPlan {
            kind: SagaKind::Rotation,
            definition: format!("{ROLLBACK}/1"),
            credential: from.credential,
            subject: subject.clone(),
            strategy: ROLLBACK.to_owned(),
            steps,
            breaks: from.breaks.clone(),
            reversible_until: Action::ProveRefused.name().to_owned(),
            notes,
        })
    }

    /// The value that the rotation added beside the old one, with its presence token. `None` where it added none, or somebody has ended it.
    async fn following(&self, record: &SagaRecord) -> Result<Option<(Ref, String)>> {
        let Some(at) = added(record) else { return Ok(None) };
        let member = self.estate.member(at.backend())?;
        let Some(issuer) = member.backend.issuer() else { return Ok(None) };
        match issuer.presence(&at).await {
            Ok(Presence::Present(token)) => Ok(Some((at, token))),
            Ok(Presence::Absent) => Ok(None),
            Err(source) => Err(Error::Backend { backend: at.backend().to_owned(), source: Box::new(source) }),
        }
    }
}

/// What to do instead of taking it back, where there is something.
fn instead(plan: &SagaPlan) -> &'static str {
    match plan.kind {
        SagaKind::Rotation => "; rotate again instead",
        SagaKind::Revocation | SagaKind::Swap => "",
    }
}

fn is_set_in_place(action: &Action) -> bool {
    matches!(action, Action::SetAtIssuer | Action::RestoreAtIssuer)
}

/// True once the old value was ended at an issuer that would have gone on accepting it.
fn retired(record: &SagaRecord) -> bool {
    record.plan.steps.iter().zip(&record.progress.steps).any(|(step, state)| {
        matches!(step.action, Action::Revoke(_)) && matches!(state, StepState::Succeeded { .. })
    })
}

/// True if the old value may have been suspended.
fn suspended(record: &SagaRecord) -> bool {
    let begun = |state: &StepState| !matches!(state, StepState::Pending);
    record.plan.steps.iter().zip(&record.progress.steps).any(|(step, state)| {
        (step.action == Action::Disable && begun(state)) || step.action == Action::Enable
    })
}

/// The ids of the two keys, where copies hold them beside their secrets.
fn halves(record: &SagaRecord) -> Option<Halves> {
    let fact = |is: fn(&Action) -> bool| {
        let output = record.progress.output(&record.plan, |step| is(&step.action))?;
        output.facts.get(PUBLIC_HALF)?.as_str().map(str::to_owned)
    };
    let taken_over = record.plan.steps.iter().find_map(|step| match &step.action {
        Action::TakeOver(halves) => halves.clone(),
        _ => None,
    });
    // Of a rollback that is taken back the two change places again.
    let swapped = taken_over.map(|halves| Halves { former: halves.later, later: halves.former });
    swapped.or_else(|| {
        Some(Halves {
            former: fact(|action| matches!(action, Action::SealPair | Action::SealUser))?,
            later: fact(|action| matches!(action, Action::MintAtIssuer | Action::WakeUser(_)))?,
        })
    })
}

fn restarted(plan: &SagaPlan) -> Vec<(Ref, ConsumerHow)> {
    let restarts = plan.steps.iter().filter_map(|step| match step.action {
        Action::Refresh(how) => Some((step.target.clone(), how)),
        _ => None,
    });
    restarts.collect()
}

/// What the rotation's own undo would do, for people: the steps with an effect that were begun, last first.
fn unwinding(record: &SagaRecord) -> SagaPlan {
    let begun = record.plan.steps.iter().zip(&record.progress.steps).rev();
    let begun = begun.filter(|(step, state)| {
        step.action.has_effect() && matches!(state, StepState::Succeeded { .. } | StepState::Failed { .. })
    });
    let steps: Vec<_> =
        begun.map(|(step, _)| Step { detail: format!("undo: {}", step.detail), ..step.clone() }).collect();
    let note = match steps.len() {
        0 => "it has changed nothing yet: it only ends",
        _ => "it has not reached its pivot: what it did is undone step by step",
    };
    SagaPlan {
        definition: format!("{}+unwind", record.plan.definition),
        strategy: "unwind".to_owned(),
        steps,
        breaks: Vec::new(),
        reversible_until: String::new(),
        notes: vec![format!("{}: {note}", record.id)],
        ..record.plan.clone()
    }
}
