//! Set the new value at the issuer, which is the pivot where the target holds one value; or add it beside the old one.
//!
//! A value that the target refuses by its own rules is replaced by another one, sealed before it is tried, at most twice: the same value
//! tried for ever is how others have locked themselves up.

use claviger_backend::{Effect, Error, ErrorKind, Issued, Probe, Restore, Verdict};
use claviger_core::{
    reference::Ref,
    saga::{Action, Failure, FailureEffect, Step},
    seal::Slot,
};
use claviger_store::port::SagaRecord;

use super::{
    super::context::{Context, Done, MOST_REFUSED, Ran, Trouble, permanent, temporary},
    Seen, seal,
};

/// The fact that names the value that came into force: the one that was sealed first may have been refused.
pub(super) const NEW: &str = "new";

/// `set-at-issuer`.
pub(super) async fn set(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let (new, generation) = (cx.new_value().await?, cx.generation().await?);
    match cx.issuer()?.issue(&cx.operation_with(step, generation), &step.target, Some(&new)).await {
        Ok(_) => {
            let done = Done::new("the new value is set; the old one has ended");
            Ok(Ran::Done(done.fact(NEW, seal::handle(cx, &new))))
        }
        Err(error) => refused_value(cx, generation, error).await,
    }
}

/// What follows from an error of the issuer: where it refused this value, another one.
pub(super) async fn refused_value(cx: &Context<'_>, generation: u32, error: Error) -> Result<Ran, Trouble> {
    if error.kind() != ErrorKind::Invalid || error.effect() != Effect::NotApplied {
        return Err(error.into());
    }
    if generation >= MOST_REFUSED {
        return Err(permanent(format!(
            "the target refused {} different values: {}{}",
            generation + 1,
            error.message(),
            seal::advice(cx)?
        )));
    }
    let next = seal::make(cx).await?;
    let row = cx.seal(Slot::New(generation + 1), &next)?;
    let failure = Failure {
        message: format!("the target refused the value, another one takes its place: {}", error.message()),
        effect: FailureEffect::NotApplied,
        temporary: true,
        until: None,
    };
    Ok(Ran::Replaced(failure, row))
}

/// Which of the two values does the issuer accept?
pub(super) async fn observe(cx: &Context<'_>) -> Result<Seen, Trouble> {
    let new = cx.new_value().await?;
    let probe = cx.issuer()?.verify(&cx.record.plan.subject, &new).await?;
    match probe {
        Probe { verdict: Verdict::Accepted, .. } => {
            Ok(Seen::Happened(Done::new("the new value is accepted").fact(NEW, seal::handle(cx, &new))))
        }
        Probe { verdict: Verdict::Refused(evidence), .. } => {
            Ok(Seen::NotHappened(format!("the new value is not accepted ({evidence})")))
        }
        Probe { verdict: Verdict::Inconclusive(why), .. } => {
            Err(temporary(format!("a login with the new value is inconclusive: {why}")))
        }
    }
}

/// Before the pivot succeeded: if the new value is accepted all the same, the former one is put back, without its plaintext where the
/// issuer can.
pub(super) async fn take_back(cx: &Context<'_>, step: &Step) -> Result<(), Trouble> {
    if matches!(observe(cx).await?, Seen::NotHappened(_)) {
        return Ok(());
    }
    let operation = cx.operation_of(&format!("undo:{}", step.id), &step.target);
    put_back(cx, &operation, &step.target, Slot::Old).await
}

/// `restore-at-issuer`: the former value is in this saga's new slot.
pub(super) async fn restore(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    put_back(cx, &cx.operation(step), &step.target, Slot::New(0)).await?;
    Ok(Ran::Done(Done::new("the former value is set again; the other one has ended")))
}

/// By what the issuer showed of the former value, where it did: then it is the same to the letter, salt and all. Else by its plaintext.
async fn put_back(
    cx: &Context<'_>,
    operation: &claviger_backend::Operation,
    target: &Ref,
    former: Slot,
) -> Result<(), Trouble> {
    let issuer = cx.issuer()?;
    if let Some(saved) = cx.open(Slot::Restore).await? {
        match issuer.restore(operation, target, &Restore(saved)).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            other => return Ok(other?),
        }
    }
    let former = cx.must_open(former).await?;
    issuer.issue(operation, target, Some(&former)).await?;
    Ok(())
}

/// Where the new value's own ref is kept among the facts of `add-at-issuer`.
const AT: &str = "at";

/// `add-at-issuer`.
pub(super) async fn add(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let (new, generation) = (cx.new_value().await?, cx.generation().await?);
    match cx.issuer()?.issue(&cx.operation_with(step, generation), &step.target, Some(&new)).await {
        Ok(Issued { at, .. }) => Ok(Ran::Done(added_as(&at).fact(NEW, seal::handle(cx, &new)))),
        Err(error) => refused_value(cx, generation, error).await,
    }
}

/// Does the issuer know the new value? We made it, so whoever has it has it from us.
pub(super) async fn observe_added(cx: &Context<'_>) -> Result<Seen, Trouble> {
    let new = cx.new_value().await?;
    Ok(match cx.issuer()?.added(&cx.record.plan.subject, &new).await? {
        Some(found) => Seen::Happened(added_as(&found.at).fact(NEW, seal::handle(cx, &new))),
        None => Seen::NotHappened("the issuer does not know the new value".to_owned()),
    })
}

/// Takes the added value away again. It is found by itself, never by a name that something else may have.
pub(super) async fn take_away(cx: &Context<'_>, step: &Step) -> Result<(), Trouble> {
    // Without a sealed value nothing was ever added.
    let Some(new) = cx.open(Slot::New(cx.generation().await?)).await? else { return Ok(()) };
    let issuer = cx.issuer()?;
    if let Some(found) = issuer.added(&step.target, &new).await? {
        let operation = cx.operation_of(&format!("undo:{}", step.id), &found.at);
        issuer.revoke(&operation, &found.at, None).await?;
    }
    Ok(())
}

fn added_as(at: &Ref) -> Done {
    Done::new(format!("added as {at}; the old one goes on working")).fact(AT, at.as_str())
}

/// The ref of the added value; the subject's own where it was set in place.
pub(in crate::saga) fn new_at(cx: &Context<'_>) -> Ref {
    added(cx.record).unwrap_or_else(|| cx.record.plan.subject.clone())
}

/// The ref of the value that a saga added beside the old one, once it did.
pub(crate) fn added(record: &SagaRecord) -> Option<Ref> {
    let adds = |step: &Step| {
        matches!(
            step.action,
            Action::AddAtIssuer
                | Action::MintAtIssuer
                | Action::MintByName
                | Action::MintMarked
                | Action::WakeUser(_)
        )
    };
    record.progress.output(&record.plan, adds)?.facts.get(AT)?.as_str().map(Ref::from_text)
}
