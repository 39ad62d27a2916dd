//! Out of which copies a dead value can be taken: of each it is asked whether it may be written, and whose it is.

use std::collections::BTreeSet;

use claviger_backend::{Descent, StoreState};
use claviger_core::{
    model::CopyStage,
    reference::Ref,
    saga::{Action, SagaKind, SagaPlan, Step, StepPhase},
    view::CredentialDetail,
};

use super::{
    Refusal, post, readers, refuse,
    revocation::{current, is_own},
    rotation::can_write,
};
use crate::Engine;

/// The places of a credential's value.
#[derive(Default)]
pub(super) struct Places {
    /// May be written.
    open: Vec<Ref>,
    /// Hold, or held, the value in versions that can be destroyed.
    former: BTreeSet<Ref>,
    /// Belong to another system, or may not be written: where, and why.
    closed: Vec<(Ref, String)>,
    /// Were not asked.
    unasked: Vec<Ref>,
}

impl Places {
    /// Places that will go on holding the value.
    pub(super) fn holding(&self) -> impl Iterator<Item = &Ref> {
        self.unasked.iter()
    }

    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        self.closed.iter().map(|(at, why)| format!("{at} keeps the dead value: {why}"))
    }
}

/// Asks each copy, where `ask` says so.
pub(super) async fn places(engine: &Engine, detail: &CredentialDetail, ask: bool) -> Result<Places, Refusal> {
    let mut places = Places::default();
    for copy in current(detail).filter(|copy| !is_own(engine, detail, &copy.at)) {
        if !ask {
            places.unasked.push(copy.at.clone());
            continue;
        }
        let store = engine.estate.member(copy.at.backend()).ok().and_then(|member| member.backend.store());
        let Some(store) = store.filter(|_| can_write(engine, copy)) else {
            places
                .closed
                .push((copy.at.clone(), "claviger cannot write there: take it out by hand".to_owned()));
            continue;
        };
        match store.writable(&copy.at).await {
            Ok(StoreState::Writable) => {
                places.open.push(copy.at.clone());
                if keeps_former(engine, &copy.at) {
                    places.former.insert(copy.at.clone());
                }
            }
            Ok(StoreState::ManagedElsewhere(owner)) => {
                let why = format!("it is managed by {owner}: change it at its source");
                places.closed.push((copy.at.clone(), why));
            }
            Ok(StoreState::Refused(why)) => places.closed.push((copy.at.clone(), why)),
            Err(error) => {
                let why = format!("whether it may be written could not be asked: {}", error.message());
                places.closed.push((copy.at.clone(), why));
            }
        }
    }
    for copy in detail.copies.iter().filter(|copy| ask && copy.stage == CopyStage::Former) {
        let closed = places.closed.iter().any(|(at, _)| *at == copy.at);
        if is_own(engine, detail, &copy.at) || closed || places.former.contains(&copy.at) {
            continue;
        }
        if keeps_former(engine, &copy.at) && !copy.attributes.contains_key("helm_release") {
            places.former.insert(copy.at.clone());
        } else {
            let why = "a former version, which claviger cannot take out: end it where it is kept";
            places.closed.push((copy.at.clone(), why.to_owned()));
        }
    }
    places.closed.dedup();
    Ok(places)
}

fn keeps_former(engine: &Engine, at: &Ref) -> bool {
    engine.estate.member(at.backend()).is_ok_and(|member| member.backend.eraser().is_some())
}

/// The steps that take it out; the first of them in this phase.
pub(super) fn steps(places: &Places, first: StepPhase) -> Vec<Step> {
    let text = "take the dead value out by compare-and-set";
    let open = places.open.iter().map(|at| (Action::ScrubCopy, at, text));
    let text = "destroy the former versions that hold it; where a version holds several fields, the others' former values too";
    let former = places.former.iter().map(|at| (Action::ScrubFormer, at, text));
    let all = open.chain(former).enumerate();
    all.map(|(index, (action, at, text))| {
        let phase = if index == 0 { first } else { StepPhase::AfterPivot };
        Step::new(action, at.clone(), phase, text)
    })
    .collect()
}

/// Can the value be read somewhere?
pub(super) fn readable(engine: &Engine, detail: &CredentialDetail) -> bool {
    current(detail).any(|copy| {
        // What our ledger says that a blind place holds, nobody can read there.
        copy.fingerprint.is_some()
            && !post::is_blind(engine, &copy.at)
            && engine
                .estate
                .member(copy.at.backend())
                .is_ok_and(|member| member.backend.capability().read && member.backend.store().is_some())
    })
}

/// Of a value without an issuer.
pub(super) async fn alone(
    engine: &Engine,
    detail: &CredentialDetail,
) -> Result<(SagaPlan, Descent), Refusal> {
    let at = &detail.credential.at;
    let places = found(engine, detail).await?;
    let mut steps = vec![seal(at)];
    steps.extend(self::steps(&places, StepPhase::Pivot));
    let text = "read every copy again; nobody is known who could refuse the value";
    steps.push(Step::new(Action::ConcludeScrub, at.clone(), StepPhase::AfterPivot, text));
    let mut notes = vec![
        "no issuer is known that could refuse it: whoever has the value goes on having it, and nothing will be proven (`unprovable`)"
            .to_owned(),
    ];
    notes.extend(places.notes());
    Ok((assembled(detail, "scrub", steps, notes), Descent::default()))
}

/// Of a value that was revoked before, whose copies were left.
pub(super) async fn again(
    engine: &Engine,
    detail: &CredentialDetail,
    verifies: bool,
) -> Result<(SagaPlan, Descent), Refusal> {
    let at = &detail.credential.at;
    let places = found(engine, detail).await?;
    let mut steps = vec![seal(at)];
    if verifies {
        let text = "log in with it: what is accepted is not taken out";
        steps.push(Step::new(Action::ProveDisabled, at.clone(), StepPhase::BeforePivot, text));
    }
    steps.extend(self::steps(&places, StepPhase::Pivot));
    let mut notes = vec![format!("it is `{}` already: only its copies are cleaned", detail.credential.state)];
    notes.extend(places.notes());
    Ok((assembled(detail, "scrub", steps, notes), Descent::default()))
}

fn seal(at: &Ref) -> Step {
    let text = "read the value from a copy and seal it, so that nothing else is taken out";
    Step::new(Action::SealOld, at.clone(), StepPhase::BeforePivot, text)
}

async fn found(engine: &Engine, detail: &CredentialDetail) -> Result<Places, Refusal> {
    let at = &detail.credential.at;
    if !readable(engine, detail) {
        let text = "no copy of its value can be read, so nobody can tell where it still lies";
        return Err(refuse(at, "no-copy", text));
    }
    let places = places(engine, detail, true).await?;
    if places.open.is_empty() && places.former.is_empty() {
        let why: Vec<_> = places.notes().collect();
        return Err(refuse(at, "copy-read-only", format!("nothing can be taken out: {}", why.join("; "))));
    }
    Ok(places)
}

fn assembled(detail: &CredentialDetail, strategy: &str, steps: Vec<Step>, notes: Vec<String>) -> SagaPlan {
    let first = steps.iter().find(|step| step.phase == StepPhase::Pivot).map(|step| step.id.clone());
    SagaPlan {
        kind: SagaKind::Revocation,
        definition: "scrub/1".to_owned(),
        credential: detail.credential.id,
        subject: detail.credential.at.clone(),
        strategy: strategy.to_owned(),
        breaks: readers(detail).into_iter().map(|(consumer, _)| consumer).collect(),
        reversible_until: first.unwrap_or_default(),
        steps,
        notes,
    }
}
