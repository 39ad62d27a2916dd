//! Consumers: make them read their copies again, and see them run on the new value.

use chrono::TimeDelta;
use claviger_backend::{Adoption, ErrorKind};
use claviger_core::{
    model::ConsumerHow,
    saga::{Action, SagaKind, SagaPlan, Step},
};

use super::super::context::{Context, Done, Ran, Trouble, permanent};
use crate::plan::ROLLBACK;

/// Questions before an operator is asked: with the growing pauses about ten minutes.
const QUESTIONS: u32 = 60;

/// Questions for which a rollback takes a failure for the former rollout's: about a quarter of a minute.
const STALE: u32 = 10;

/// Did the consumer stand well before it was restarted?
pub(in crate::saga) const STOOD: &str = "stood";

/// `refresh`. The operation key goes to the target, so that a repeat is no second rollout.
pub(super) async fn refresh(cx: &Context<'_>, step: &Step, how: ConsumerHow) -> Result<Ran, Trouble> {
    let runtime = cx.runtime(&step.target)?;
    // One that did not stand well before is no reason to go back. Not known is not well: then a person decides.
    let well = matches!(runtime.standing(&step.target).await, Ok(Adoption::Adopted(_)));
    match runtime.refresh(&cx.operation(step), &step.target, how).await {
        Ok(()) => Ok(Ran::Done(Done::new("restart asked for").fact(STOOD, well))),
        // A bare pod has no controller that would bring it back: a person must decide when it may stop.
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Ran::Done(
            Done::new(format!("not restarted: {}; restart it by hand", error.message()))
                .fact("by_hand", true),
        )),
        Err(error) => Err(error.into()),
    }
}

/// The step that restarts the consumer for which `step` waits: the last one before it.
pub(in crate::saga) fn restart_of<'p>(plan: &'p SagaPlan, step: &Step) -> Option<&'p Step> {
    let restarts =
        |action: &Action| matches!(action, Action::Refresh(_) | Action::Repoint(_) | Action::Bind(_));
    let (index, _) = plan.step(&step.id)?;
    plan.steps[..index].iter().rfind(|other| other.target == step.target && restarts(&other.action))
}

/// `await-adoption`.
pub(super) async fn adopted(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let Some(refreshed) = restart_of(&cx.record.plan, step) else {
        return Err(permanent("the plan does not refresh this consumer"));
    };
    let by_hand = cx
        .record
        .progress
        .output(&cx.record.plan, |other| other.id == refreshed.id)
        .is_some_and(|output| output.facts.contains_key("by_hand"));
    if by_hand {
        return Ok(Ran::Done(
            Done::new("not observed: it has to be restarted by hand").fact("by_hand", true),
        ));
    }
    let operation = cx.operation_of(&refreshed.id, &refreshed.target);
    let pending = match cx.runtime(&step.target)?.adopted(&operation, &step.target).await {
        Ok(Adoption::Adopted(detail)) => return Ok(Ran::Done(Done::new(detail))),
        // What is told right after a rollback's restart may still be the failure of the rollout that it takes back.
        Ok(Adoption::Failing(why)) if cx.record.plan.strategy == ROLLBACK && cx.attempt < STALE => why,
        Ok(Adoption::Failing(why)) => {
            let what =
                if cx.record.plan.kind == SagaKind::Swap { "after the change" } else { "with the new value" };
            return Err(permanent(format!("{} does not come up {what}: {why}", step.target)));
        }
        Ok(Adoption::Pending(why)) => why,
        // A question that could not be asked is asked again.
        Err(error) if error.retry() != claviger_backend::Retry::Permanent => error.message().to_owned(),
        Err(error) => return Err(error.into()),
    };
    if cx.attempt >= QUESTIONS {
        return Err(permanent(format!("{} has not moved to the new value: {pending}", step.target)));
    }
    let pause = TimeDelta::milliseconds(i64::from(300 * cx.attempt.min(40)));
    Ok(Ran::Wait(cx.engine.clock.now() + pause))
}
