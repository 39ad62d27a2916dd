//! A dead value is taken out of the places where it lies: out of the version in force by compare-and-set, and out of the former ones that the
//! store keeps. What holds another value by now is left alone.

use claviger_backend::{Effect, ErrorKind, Expect, Retry};
use claviger_core::{
    canonical,
    reference::Ref,
    saga::{Action, Failure, FailureEffect, Step},
    seal::Slot,
    secret::SecretValue,
};

use super::{
    super::context::{Context, Done, Ran, Trouble},
    probe,
    seal::{is_held, leaf, pointer, read_leaf},
};

/// What stands where a place, or a document around the value, cannot be without one.
const PLACEHOLDER: &str = "revoked-by-claviger";
/// The fact that says why the value is still there.
const LEFT: &str = "left";

/// `scrub-copy`.
pub(super) async fn copy(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let at = &step.target;
    let Some(dead) = cx.open(Slot::Old).await? else { return Ok(left("nobody could read the value")) };
    let store = cx.store(at)?;
    let Some(stored) = store.read(at).await? else {
        return Ok(Ran::Done(Done::new("the place is gone, and the value with it")));
    };
    let present = match leaf(at, &stored.value) {
        Some(present) if is_held(&present, &dead) => present,
        _ => return Ok(Ran::Done(Done::new("holds another value by now: left as it is"))),
    };
    let operation = cx.operation(step);
    let whole = stored.value.expose().trim_ascii_end() == dead.expose().trim_ascii_end();
    let eraser = cx.engine.estate.member(at.backend())?.backend.eraser().filter(|_| whole);
    if let Some(eraser) = eraser {
        match eraser.erase(&operation, at, &stored.version).await {
            Ok(()) => return Ok(Ran::Done(Done::new("the field is taken out"))),
            // A place that cannot be without a value gets another one.
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) => return failed(error),
        }
    }
    let placeholder = SecretValue::from_text(PLACEHOLDER.to_owned());
    let field = match whole {
        true => placeholder,
        false => {
            match canonical::splice(&stored.value, &pointer(at, &stored.value), &present, &placeholder) {
                Ok(field) => field,
                Err(error) => {
                    return Ok(left(&format!("the document around it cannot be rewritten: {error}")));
                }
            }
        }
    };
    match store.write(&operation, at, &field, &Expect::Version(stored.version)).await {
        Ok(_) => Ok(Ran::Done(Done::new(format!("`{PLACEHOLDER}` stands in its place")))),
        Err(error) => failed(error),
    }
}

/// `scrub-former`.
pub(super) async fn former(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let at = &step.target;
    let Some(dead) = cx.open(Slot::Old).await? else { return Ok(left("nobody could read the value")) };
    let Some(eraser) = cx.engine.estate.member(at.backend())?.backend.eraser() else {
        return Ok(left("its store no longer takes former values out"));
    };
    let mut destroyed = Vec::new();
    for found in eraser.former(at).await? {
        if leaf(at, &found.value).is_none_or(|value| !is_held(&value, &dead)) {
            continue;
        }
        if let Err(error) = eraser.destroy(&cx.operation(step), at, &found.version).await {
            return failed(error);
        }
        destroyed.push(found.version);
    }
    let text = match destroyed.len() {
        0 => "no former version holds it".to_owned(),
        _ => format!("former versions are destroyed: {}", destroyed.join(", ")),
    };
    Ok(Ran::Done(Done::new(text).fact("destroyed", destroyed)))
}

/// `conclude-scrub`: there is no issuer who could be asked.
pub(super) async fn concluded(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let dead = cx.open(Slot::Old).await?;
    let plan = &cx.record.plan;
    let (mut gone, mut still) = (0, Vec::new());
    for step in plan.steps.iter().filter(|step| step.action == Action::ScrubCopy) {
        let holds = match (&dead, read_leaf(cx, &step.target).await?) {
            (Some(dead), Some(present)) => is_held(&present, dead),
            (None, _) => true,
            (_, None) => false,
        };
        if holds { still.push(step.target.as_str()) } else { gone += 1 }
    }
    let rest = match still.len() {
        0 => String::new(),
        _ => format!("; it is still in {}", still.join(", ")),
    };
    let detail = format!("no issuer is known that could refuse it; {gone} copies no longer hold it{rest}");
    probe::finish(cx, "unprovable", None, None, detail).await
}

/// What will not pass by itself is told and does not stop the rest.
fn failed(error: claviger_backend::Error) -> Result<Ran, Trouble> {
    if error.kind() == ErrorKind::Conflict {
        return Err(Trouble::Step(Failure {
            message: error.message().to_owned(),
            effect: FailureEffect::NotApplied,
            temporary: true,
            until: None,
        }));
    }
    if error.retry() == Retry::Permanent && error.effect() == Effect::NotApplied {
        return Ok(left(error.message()));
    }
    Err(error.into())
}

fn left(why: &str) -> Ran {
    Ran::Done(Done::new(format!("still there: {why}")).fact(LEFT, why))
}

/// Places in which this saga had to leave the value, with why.
pub(in crate::saga) fn left_in(record: &claviger_store::port::SagaRecord) -> Vec<(Ref, String)> {
    let steps = record.plan.steps.iter().zip(&record.progress.steps);
    let left = steps.filter_map(|(step, state)| match state {
        claviger_core::saga::StepState::Succeeded { output } => {
            Some((step.target.clone(), output.facts.get(LEFT)?.as_str()?.to_owned()))
        }
        _ => None,
    });
    left.collect()
}
