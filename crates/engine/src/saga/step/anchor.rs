//! Objects that tokens are bound to: they end with it, and a token of our own that was bound to it shows that they have.
//!
//! Nobody lists such tokens, and the leaked one need not be held by anybody here. But all of them name the object's uid, and the issuer refuses
//! them because that is gone: what is shown of one holds of all of that uid. The token of our own ends by itself too; refused after that it shows
//! nothing.

use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend::{Anchor, Anchors, Effect, ErrorKind, Standing, Verdict};
use claviger_core::{
    saga::{Action, Step, StepState},
    seal::Slot,
};
use claviger_store::port::SagaRecord;

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent},
    Seen, probe,
};

/// How long the token of our own lasts: longer than an operator may need to let a paused saga go on.
const SAMPLE_SECONDS: u32 = 3600;
/// So long before its end its refusal shows nothing any more: clocks differ.
const MARGIN: TimeDelta = TimeDelta::minutes(2);
/// Looks at an object that is being ended, before an operator is asked: about five minutes.
const LOOKS: u32 = 40;

fn anchors<'a>(cx: &Context<'a>, step: &Step) -> Result<&'a dyn Anchors, Trouble> {
    let engine: &'a crate::Engine = cx.engine;
    let member = engine.estate.member(step.target.backend())?;
    member.backend.anchors().ok_or_else(|| permanent("its backend no longer binds tokens to objects"))
}

/// `note-anchor`.
pub(super) async fn note(cx: &Context<'_>, step: &Step, expect: &str) -> Result<Ran, Trouble> {
    let anchors = anchors(cx, step)?;
    match anchors.standing(&step.target).await? {
        Standing::There(token) if token == expect => {}
        Standing::Absent => return Err(permanent(format!("{} is gone already: plan again", step.target))),
        Standing::There(_) | Standing::Ending(_) => return Err(another(step)),
    }
    let mut done = match anchors.sample(&step.target, expect, SAMPLE_SECONDS).await {
        Ok(sample) => Done {
            seal: vec![cx.seal(Slot::Old, &sample.value)?],
            ..Done::new("a token of our own was bound to it and sealed")
                .fact("old", cx.fingerprint(&sample.value).to_string())
                .fact(ENDS_AT, sample.ends_at.to_rfc3339())
        },
        Err(error) if error.kind() == ErrorKind::Conflict => return Err(another(step)),
        Err(error) if cx.forced() => {
            Done::new(format!("no token of our own could be bound to it, and forced: {}", error.message()))
        }
        Err(error) => return Err(error.into()),
    };
    if anchors.anchor(&step.target) == Some(Anchor::Remade) {
        let record = anchors.record(&step.target, expect).await?;
        done.seal.push(cx.seal(Slot::Restore, &record)?);
    }
    Ok(Ran::Done(done))
}

/// The fact that says when our own token ends by itself.
const ENDS_AT: &str = "ends_at";

/// `end-anchor`.
pub(super) async fn end(cx: &Context<'_>, step: &Step, expect: &str) -> Result<Ran, Trouble> {
    match anchors(cx, step)?.end(&cx.operation(step), &step.target, expect).await {
        Ok(()) => Ok(Ran::Done(Done::new("it has ended, and every token that is bound to it ends with it"))),
        Err(error) if error.kind() == ErrorKind::Conflict && error.effect() == Effect::NotApplied => {
            Err(another(step))
        }
        Err(error) => Err(error.into()),
    }
}

fn another(step: &Step) -> Trouble {
    permanent(format!(
        "{} is not the one that was planned: it was made again meanwhile; plan again",
        step.target
    ))
}

/// Did an interrupted end happen?
pub(super) async fn observe(cx: &Context<'_>, step: &Step, expect: &str) -> Result<Seen, Trouble> {
    Ok(match anchors(cx, step)?.standing(&step.target).await? {
        Standing::There(token) if token == expect => Seen::NotHappened("it is still there".to_owned()),
        Standing::Ending(token) if token == expect => Seen::Happened(Done::new("it is being ended")),
        Standing::There(_) | Standing::Ending(_) => {
            Seen::Happened(Done::new("it is gone, and another one has its name"))
        }
        Standing::Absent => Seen::Happened(Done::new("it is gone")),
    })
}

/// `remake-anchor`. What is there already is made the same: a repeat, and a system that itself makes such an object, end alike.
pub(super) async fn remake(cx: &Context<'_>, step: &Step, former: &str) -> Result<Ran, Trouble> {
    let record = cx.must_open(Slot::Restore).await?;
    let made = anchors(cx, step)?.remake(&cx.operation(step), &step.target, &record, former).await;
    match made {
        Ok(token) => Ok(Ran::Done(Done::new("it was made again as it was").fact("presence", token))),
        // The former one goes away in its own time.
        Err(error) if error.kind() == ErrorKind::Conflict && cx.attempt < LOOKS => Ok(later(cx)),
        Err(error) => Err(error.into()),
    }
}

/// Has an object ended, or may it have, that was not made again?
pub(in crate::saga) fn holds_last_record(record: &SagaRecord) -> bool {
    let state = |is: fn(&Action) -> bool| {
        let mut steps = record.plan.steps.iter().zip(&record.progress.steps);
        steps.find(|(step, _)| is(&step.action)).map(|(_, state)| state)
    };
    let ended = state(|action| matches!(action, Action::EndAnchor(_)));
    let remade = state(|action| matches!(action, Action::RemakeAnchor(_)));
    ended.is_some_and(|state| !matches!(state, StepState::Pending))
        && remade.is_some_and(|state| !matches!(state, StepState::Succeeded { .. }))
}

/// `prove-anchor`.
pub(super) async fn prove(cx: &Context<'_>, step: &Step, expect: &str) -> Result<Ran, Trouble> {
    let subject = &step.target;
    if let Standing::There(token) = anchors(cx, step)?.standing(subject).await?
        && token == expect
    {
        return Err(permanent(format!("{subject} is still there, and so are the tokens bound to it")));
    }
    let gone = format!("its issuer says that {subject} with uid {expect} is gone");
    let Some(sample) = cx.open(Slot::Old).await? else {
        let detail = format!("{gone}; nobody held a token that was bound to it");
        return probe::finish(cx, "attested", None, None, detail).await;
    };
    if cx.engine.clock.now() + MARGIN >= ends_at(cx).unwrap_or(DateTime::<Utc>::MIN_UTC) {
        let detail = format!(
            "{gone}; the token of our own that was bound to it has ended by itself meanwhile, so that its refusal would show nothing"
        );
        return probe::finish(cx, "attested", None, None, detail).await;
    }
    let seen = cx.issuer_of(subject)?.verify(subject, &sample).await;
    let seen = match seen {
        Err(error) if cx.forced() => {
            let detail =
                format!("{gone}; whether its tokens are refused cannot be told: {}", error.message());
            return probe::finish(cx, "unprovable", None, None, detail).await;
        }
        seen => seen?,
    };
    let control = probe::control_paths(cx).into_iter().next();
    match seen.verdict {
        Verdict::Refused(evidence) => {
            let of_all = format!(
                "a token of our own that was bound to {subject} with uid {expect} before is refused now ({evidence}); the issuer refuses it because that uid is gone, as it does every token of that uid"
            );
            let (verdict, detail) = match control.as_ref() == Some(&seen.path) {
                true => ("proven", of_all),
                false => {
                    ("unprovable", format!("{of_all}; but there was no positive control on the same path"))
                }
            };
            probe::finish(cx, verdict, control, Some(seen.path), detail).await
        }
        Verdict::Accepted | Verdict::Inconclusive(_) if cx.attempt < LOOKS => Ok(later(cx)),
        Verdict::Accepted => {
            Err(permanent(format!("a token that was bound to {subject} with uid {expect} is still accepted")))
        }
        Verdict::Inconclusive(why) if cx.forced() => {
            let detail = format!("{gone}; whether its tokens are refused cannot be told: {why}");
            probe::finish(cx, "unprovable", control, None, detail).await
        }
        Verdict::Inconclusive(why) => Err(permanent(format!(
            "whether tokens that were bound to {subject} are refused cannot be told: {why}"
        ))),
    }
}

fn ends_at(cx: &Context<'_>) -> Option<DateTime<Utc>> {
    let noted =
        cx.record.progress.output(&cx.record.plan, |step| matches!(step.action, Action::NoteAnchor(_)))?;
    let text = noted.facts.get(ENDS_AT)?.as_str()?;
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

fn later(cx: &Context<'_>) -> Ran {
    Ran::Wait(cx.engine.clock.now() + TimeDelta::seconds(i64::from(cx.attempt.min(10))))
}
