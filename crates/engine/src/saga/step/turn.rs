//! Two users that take turns: the one that rests is let in with a new password, and it is seen that it may do what the other may.

use claviger_backend::{Likeness, Probe, Turns, Verdict};
use claviger_core::{reference::Ref, saga::Step, seal::Slot};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent, temporary},
    Seen, issue,
    mint::{AT, PUBLIC_HALF},
    seal,
};

/// `wake-user`.
pub(super) async fn wake(cx: &Context<'_>, step: &Step, name: &str) -> Result<Ran, Trouble> {
    let (new, generation) = (cx.new_value().await?, cx.generation().await?);
    let operation = cx.operation_with(step, generation);
    match turns(cx)?.wake(&operation, &cx.record.plan.subject, &step.target, &new).await {
        Ok(()) => Ok(Ran::Done(woken(&step.target, name).fact(issue::NEW, seal::handle(cx, &new)))),
        Err(error) => issue::refused_value(cx, generation, error).await,
    }
}

/// Is the user let in with the new password? We made it, so whoever set it did it for us.
pub(super) async fn observe(cx: &Context<'_>, step: &Step, name: &str) -> Result<Seen, Trouble> {
    let new = cx.new_value().await?;
    let siblings = cx.issuer()?.siblings(&cx.record.plan.subject).await?;
    if !siblings.iter().any(|user| user.at == step.target && user.active) {
        return Ok(Seen::NotHappened(format!("{} rests, or is not there", step.target)));
    }
    match cx.issuer()?.verify(&step.target, &new).await? {
        Probe { verdict: Verdict::Accepted, .. } => {
            Ok(Seen::Happened(woken(&step.target, name).fact(issue::NEW, seal::handle(cx, &new))))
        }
        Probe { verdict: Verdict::Refused(evidence), .. } => {
            Ok(Seen::NotHappened(format!("the new password is not accepted ({evidence})")))
        }
        Probe { verdict: Verdict::Inconclusive(why), .. } => {
            Err(temporary(format!("a login with the new password is inconclusive: {why}")))
        }
    }
}

/// The user rests again; one that this saga made is taken away.
pub(super) async fn unwake(cx: &Context<'_>, step: &Step) -> Result<(), Trouble> {
    // Without a sealed value nobody was let in.
    let generation = cx.generation().await?;
    let Some(new) = cx.open(Slot::New(generation)).await? else { return Ok(()) };
    let made_by = cx.operation_with(step, generation).key;
    let operation = cx.operation_of(&format!("undo:{}", step.id), &step.target);
    let done = turns(cx)?.unwake(&operation, &step.target, &new, made_by).await?;
    tracing::info!(saga.id = %cx.record.id, outcome = done, "a user that was to take over does not");
    Ok(())
}

/// `compare-users`.
pub(super) async fn compare(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let new = cx.new_value().await?;
    let subject = &cx.record.plan.subject;
    match turns(cx)?.compare(subject, &issue::new_at(cx), &new).await? {
        Likeness::Same(evidence) => Ok(Ran::Done(Done::new(evidence))),
        Likeness::Differs(why) => Err(permanent(format!("the users differ: {why}"))),
        Likeness::Unknown(why) => Err(temporary(format!("whether the users differ cannot be seen: {why}"))),
    }
}

pub(super) fn turns<'a>(cx: &Context<'a>) -> Result<&'a dyn Turns, Trouble> {
    let member = cx.engine.estate.member(cx.record.plan.subject.backend())?;
    let lost = || permanent("its backend no longer has users that take turns");
    member.backend.turns().ok_or_else(lost)
}

fn woken(standby: &Ref, name: &str) -> Done {
    Done::new(format!("{standby} may log in with the new password; the old user goes on working"))
        .fact(AT, standby.as_str())
        .fact(PUBLIC_HALF, name)
}
