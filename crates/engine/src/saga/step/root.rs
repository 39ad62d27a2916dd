//! A value that an issuer makes, holds and shows nobody: the root credential of a database engine. It is asked to change it; afterwards it alone
//! can log in with it.
//!
//! As nobody else is given the new value, a request that is made twice comes to the same end. Whether one whose answer was lost took place is
//! looked at where the old value can be tried, or where the account tells that it has another one; else it is made again.

use claviger_backend::{ErrorKind, Presence, Verdict};
use claviger_core::{
    saga::{Action, FailureEffect, Login, Step},
    seal::Slot,
};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent, temporary},
    Seen, mint, probe, seal,
};

/// The fact of `note-root` that says which value the account had.
const VERSION: &str = "version";

/// `note-root`.
pub(super) async fn note(cx: &Context<'_>, login: Option<&Login>) -> Result<Ran, Trouble> {
    let subject = &cx.record.plan.subject;
    if cx.issuer()?.presence(subject).await? == Presence::Absent {
        return Err(permanent(format!("{subject} is gone: scan again")));
    }
    let Some(login) = login else {
        return Ok(Ran::Done(Done::new("nothing is known of its value; its engine alone holds it")));
    };
    let issuer = cx.issuer_of(&login.at)?;
    let Presence::Present(version) = issuer.presence(&login.at).await? else {
        return Err(permanent(format!("{} is gone: scan again", login.at)));
    };
    let Some(copy) = &login.copy else {
        let done = Done::new(format!("noted which value {} has; no copy of it can be read", login.at));
        return Ok(Ran::Done(done.fact(VERSION, version)));
    };
    let old = seal::read_leaf(cx, copy).await?;
    let old =
        old.ok_or_else(|| permanent(format!("{copy} is gone or holds no credential any more: scan again")))?;
    let probe = issuer.verify(&login.at, &old).await?;
    match probe.verdict {
        Verdict::Accepted => {}
        Verdict::Refused(evidence) => {
            return Err(permanent(format!(
                "what {copy} holds is not accepted as {} ({evidence}): nothing was changed; scan again",
                login.at
            )));
        }
        Verdict::Inconclusive(why) => {
            return Err(temporary(format!("whether the present value is accepted cannot be told: {why}")));
        }
    }
    let mut done = Done::new(format!("read from {copy} and accepted as {}; it is sealed", login.at))
        .fact("old", seal::handle(cx, &old))
        .fact("control", probe.path)
        .fact(VERSION, version);
    done.seal.push(cx.seal(Slot::Old, &old)?);
    Ok(Ran::Done(done))
}

/// `rotate-root`.
pub(super) async fn rotate(cx: &Context<'_>, step: &Step, login: Option<&Login>) -> Result<Ran, Trouble> {
    match cx.issuer()?.issue(&cx.operation(step), &step.target, None).await {
        Ok(_) => Ok(Ran::Done(changed())),
        Err(error) => match Trouble::from(error) {
            // Of an earlier request nobody knows what became of it, so a refusal of this one does not say that nothing was changed.
            Trouble::Step(mut failure) | Trouble::Throttled(mut failure, _)
                if cx.attempt > 1 && !is_seen(login) && failure.effect == FailureEffect::NotApplied =>
            {
                failure.effect = FailureEffect::Applied;
                failure.message =
                    format!("{}; an earlier request had no answer, and may have changed it", failure.message);
                Err(Trouble::Step(failure))
            }
            trouble => Err(trouble),
        },
    }
}

/// Can it be seen from outside whether the value was changed?
fn is_seen(login: Option<&Login>) -> bool {
    login.is_some_and(|login| login.copy.is_some() || login.told)
}

/// Did an interrupted request change it?
pub(super) async fn observe(cx: &Context<'_>, step: &Step, login: Option<&Login>) -> Result<Seen, Trouble> {
    // A request that is still under way could be carried out after we looked.
    let (_, ended) = mint::called(cx, step);
    if cx.engine.clock.now() < ended {
        return Ok(Seen::Later(ended));
    }
    let Some(login) = login.filter(|login| is_seen(Some(*login))) else {
        let why = "nobody can see whether it was changed, and a second request comes to the same end: only its engine knows what it made";
        return Ok(Seen::NotHappened(why.to_owned()));
    };
    let issuer = cx.issuer_of(&login.at)?;
    if let Some(old) = cx.open(Slot::Old).await? {
        return match issuer.verify(&login.at, &old).await?.verdict {
            Verdict::Refused(_) => Ok(Seen::Happened(changed())),
            Verdict::Accepted => Ok(Seen::NotHappened(format!("{} has the value that it had", login.at))),
            Verdict::Inconclusive(why) => {
                Err(temporary(format!("whether the old value is still accepted cannot be told: {why}")))
            }
        };
    }
    let now = issuer.presence(&login.at).await?;
    Ok(match (now, noted(cx)) {
        (Presence::Present(now), Some(before)) if now == before => {
            Seen::NotHappened(format!("{} has the value that it had", login.at))
        }
        _ => Seen::Happened(changed()),
    })
}

fn changed() -> Done {
    Done::new("its engine has changed it; the old one has ended, and nobody but the engine knows the new one")
}

/// Which value the account had.
fn noted(cx: &Context<'_>) -> Option<String> {
    let output =
        cx.record.progress.output(&cx.record.plan, |step| matches!(step.action, Action::NoteRoot(_)))?;
    output.facts.get(VERSION)?.as_str().map(str::to_owned)
}

/// `verify-root`.
pub(super) async fn verify(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let probe = match cx.issuer()?.connects(&cx.operation(step), &step.target).await {
        Ok(probe) => probe,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(permanent(format!("{} is gone", step.target)));
        }
        Err(error) => return Err(error.into()),
    };
    match probe.verdict {
        Verdict::Accepted => {
            Ok(Ran::Done(Done::new("its engine logs in with the new value").fact("path", probe.path)))
        }
        Verdict::Refused(evidence) => Err(temporary(format!("its engine is not let in: {evidence}"))),
        Verdict::Inconclusive(why) => {
            Err(temporary(format!("whether its engine is let in cannot be told: {why}")))
        }
    }
}

/// `attest-root`: nobody held the old value, so nobody can be logged in with it.
pub(super) async fn attest(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let seen = noted(cx).is_some();
    let detail = if seen {
        "its engine says that it has set another value, and is let in with it; no copy of the old one could be read, so it was not tried"
    } else {
        "its engine says that it has set another value, and is let in with it; nowhere in the estate could be logged in with the old one"
    };
    probe::finish(cx, "attested", None, None, detail.to_owned()).await
}
