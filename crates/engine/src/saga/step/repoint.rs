//! Consumers that name the object in which a value lies: they are made to name another one.

use claviger_backend::{Adoption, StoreState};
use claviger_core::{
    reference::Ref,
    saga::{Redirect, Step},
};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent},
    Seen,
    adoption::STOOD,
    issue,
};

/// `check-consumer`.
pub(super) async fn check(cx: &Context<'_>, step: &Step, from: &Ref) -> Result<Ran, Trouble> {
    match cx.runtime(&step.target)?.repointable(&step.target, from).await? {
        StoreState::Writable => Ok(Ran::Done(Done::new("may be changed"))),
        StoreState::Refused(why) => Err(permanent(format!("{} cannot be changed: {why}", step.target))),
        StoreState::ManagedElsewhere(owner) => {
            Err(permanent(format!("{} is managed by {owner}: change it at its source", step.target)))
        }
    }
}

/// What the consumer is to name.
fn goal(cx: &Context<'_>, redirect: &Redirect) -> Result<Ref, Trouble> {
    let made = || issue::added(cx.record);
    let to = redirect.to.clone().or_else(made);
    to.ok_or_else(|| permanent("nothing was made that a consumer could be made to name"))
}

/// `repoint`. The operation key goes to the target, so that a repeat is no second rollout.
pub(super) async fn repoint(cx: &Context<'_>, step: &Step, redirect: &Redirect) -> Result<Ran, Trouble> {
    let to = goal(cx, redirect)?;
    let runtime = cx.runtime(&step.target)?;
    let well = matches!(runtime.standing(&step.target).await, Ok(Adoption::Adopted(_)));
    runtime.repoint(&cx.operation(step), &step.target, &redirect.from, &to).await?;
    Ok(Ran::Done(named(&to).fact(STOOD, well)))
}

/// Did an interrupted change happen?
pub(super) async fn observe(cx: &Context<'_>, step: &Step, redirect: &Redirect) -> Result<Seen, Trouble> {
    let to = goal(cx, redirect)?;
    Ok(if cx.runtime(&step.target)?.repointed(&cx.operation(step), &step.target).await? {
        Seen::Happened(named(&to))
    } else {
        Seen::NotHappened(format!("it was not made to name {to}"))
    })
}

fn named(to: &Ref) -> Done {
    Done::new(format!("names {to} now")).fact("to", to.as_str())
}
