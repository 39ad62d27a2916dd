//! An issuer that makes, holds and shows a value by itself: it is asked to change it, and then asked what it is. So no answer that is lost
//! loses anything, and nothing can be taken back. Where one logs in with the value may be another system of the estate.

use claviger_backend::{Held, Verdict};
use claviger_core::{
    reference::Ref,
    saga::{Action, Failure, FailureEffect, SagaPlan, Step},
    seal::Slot,
};

use super::{
    super::context::{Context, Done, MOST_REFUSED, Ran, Trouble, permanent, temporary},
    Seen, mint, probe, seal,
};

/// The fact of `seal-held` that says which value the issuer had.
const VERSION: &str = "version";

/// Is this the rotation of a value that its issuer makes and holds?
pub(super) fn is_asked(plan: &SagaPlan) -> bool {
    plan.steps.iter().any(|step| step.action == Action::AskIssuer)
}

/// Does its issuer hold the value, so that none is lost with ours?
pub(in crate::saga) fn is_held(plan: &SagaPlan) -> bool {
    is_asked(plan) || plan.steps.iter().any(|step| matches!(step.action, Action::RotateRoot(_)))
}

/// Where one logs in with the value, if that is in the estate.
fn login(plan: &SagaPlan) -> Option<&Ref> {
    plan.steps.iter().find(|step| step.action == Action::VerifyNew).map(|step| &step.target)
}

async fn held(cx: &Context<'_>) -> Result<Held, Trouble> {
    let subject = &cx.record.plan.subject;
    let held = cx.issuer()?.held(subject).await?;
    held.ok_or_else(|| {
        permanent(format!("{subject} is gone, or its issuer no longer shows its value: scan again"))
    })
}

/// `seal-held`. The copies must hold what the issuer holds, and that must let somebody in where it can be tried.
pub(super) async fn seal(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let old = held(cx).await?;
    let copies = seal::written(cx);
    for at in &copies {
        let present = seal::read_leaf(cx, at).await?;
        if present.is_none_or(|present| present.expose() != old.value.expose()) {
            return Err(permanent(format!(
                "{at} does not hold the value that the issuer holds: nothing was changed; scan again"
            )));
        }
    }
    let mut done = Done::new(format!("its issuer and {} copies hold the same; it is sealed", copies.len()))
        .fact("old", seal::handle(cx, &old.value))
        .fact(VERSION, old.version);
    if let Some(login) = login(&cx.record.plan) {
        let probe = cx.issuer_of(login)?.verify(login, &old.value).await?;
        match probe.verdict {
            Verdict::Accepted => done = done.fact("control", probe.path),
            Verdict::Refused(evidence) => {
                return Err(permanent(format!(
                    "{login} does not accept the value that the issuer holds ({evidence}): nothing was changed"
                )));
            }
            Verdict::Inconclusive(why) => {
                return Err(temporary(format!(
                    "whether the present value is accepted cannot be told: {why}"
                )));
            }
        }
    }
    done.seal.push(cx.seal(Slot::Old, &old.value)?);
    Ok(Ran::Done(done))
}

/// `ask-issuer`.
pub(super) async fn ask(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let issued = cx.issuer()?.issue(&cx.operation(step), &step.target, None).await?;
    let old = cx.must_open(Slot::Old).await?;
    match issued.minted {
        Some(value) if value.expose() != old.expose() => Ok(Ran::Done(changed(cx, &value)?)),
        _ => {
            let message = "the issuer was asked, and shows no other value".to_owned();
            Err(Trouble::Step(Failure {
                message,
                effect: FailureEffect::Unknown,
                temporary: true,
                until: None,
            }))
        }
    }
}

/// Did an interrupted request change it? The issuer shows what it holds now.
pub(super) async fn observe(cx: &Context<'_>, step: &Step) -> Result<Seen, Trouble> {
    // A request that is still under way could be carried out after we looked.
    let (_, ended) = mint::called(cx, step);
    if cx.engine.clock.now() < ended {
        return Ok(Seen::Later(ended));
    }
    let (now, old) = (held(cx).await?, cx.must_open(Slot::Old).await?);
    let same = now.version == noted(cx)?;
    Ok(match same || now.value.expose() == old.expose() {
        true => Seen::NotHappened("its issuer holds the value that it held".to_owned()),
        false => Seen::Happened(changed(cx, &now.value)?),
    })
}

fn changed(cx: &Context<'_>, value: &claviger_core::secret::SecretValue) -> Result<Done, Trouble> {
    let mut done = Done::new("its issuer has changed the value; the old one has ended")
        .fact("new", seal::handle(cx, value));
    done.seal.push(cx.seal(Slot::New(0), value)?);
    Ok(done)
}

/// The value that the issuer told is refused: it may have changed it once more since, by its own schedule or because the request came twice.
pub(super) async fn followed(cx: &Context<'_>, evidence: &str) -> Result<Ran, Trouble> {
    let (now, known, generation) = (held(cx).await?, cx.new_value().await?, cx.generation().await?);
    if now.value.expose() == known.expose() || generation >= MOST_REFUSED {
        return Err(temporary(format!("the new value is refused: {evidence}")));
    }
    let row = cx.seal(Slot::New(generation + 1), &now.value)?;
    let failure = Failure {
        message: "its issuer has changed the value once more: that one takes its place".to_owned(),
        effect: FailureEffect::NotApplied,
        temporary: true,
        until: None,
    };
    Ok(Ran::Replaced(failure, row))
}

/// `attest`: the issuer's word, and no more.
pub(super) async fn attest(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let (now, new) = (held(cx).await?, cx.new_value().await?);
    if now.value.expose() != new.expose() {
        return Err(permanent(format!(
            "its issuer has changed {} once more, and the copies hold the value before: rotate it again",
            cx.record.plan.subject
        )));
    }
    let detail = "its issuer says that it has set another value; nowhere in the estate could be logged in with the old one";
    probe::finish(cx, "attested", None, None, detail.to_owned()).await
}

/// The version that the issuer held when the old value was sealed.
fn noted(cx: &Context<'_>) -> Result<String, Trouble> {
    let output = cx.record.progress.output(&cx.record.plan, |step| step.action == Action::SealHeld);
    let noted = output.and_then(|output| output.facts.get(VERSION)?.as_str());
    noted.map(str::to_owned).ok_or_else(|| permanent("the journal does not say which version there was"))
}
