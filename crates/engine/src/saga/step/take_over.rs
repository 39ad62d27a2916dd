//! The first step of a rollback: both values were handed over by the saga that is taken back.

use claviger_backend::Verdict;
use claviger_core::{saga::Action, seal::Slot, secret::SecretValue};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent, temporary},
    seal,
};

/// `take-over`. Where the issuer holds one value it must be one of the two: if it accepts neither, somebody else has set a third, and
/// putting ours back would take theirs away.
pub(super) async fn run(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let (former, later) = (cx.must_open(Slot::New(0)).await?, cx.must_open(Slot::Old).await?);
    let mut done = Done::new("the former value and the one that followed it are sealed here")
        .fact("old", seal::handle(cx, &later))
        .fact("new", seal::handle(cx, &former));
    let plan = &cx.record.plan;
    if let Some(control) = control(cx, &later).await? {
        done = done.fact("control", control);
    }
    if !plan.steps.iter().any(|step| step.action == Action::RestoreAtIssuer) {
        return Ok(Ran::Done(done));
    }
    let issuer = cx.issuer()?;
    for (name, value) in [("the one that followed it", &later), ("the former value", &former)] {
        match issuer.verify(&plan.subject, value).await?.verdict {
            Verdict::Accepted => {
                done.output.detail = format!("{}; the issuer accepts {name}", done.output.detail);
                return Ok(Ran::Done(done));
            }
            Verdict::Refused(_) => {}
            Verdict::Inconclusive(why) => {
                return Err(temporary(format!("which value is accepted cannot be told: {why}")));
            }
        }
    }
    Err(permanent(format!(
        "{} accepts neither the former value nor the one that followed it: somebody else has changed it since; nothing was changed",
        plan.subject
    )))
}

/// The path of a login with the value that is to end, as the user that it belongs to: where two users take turns, the login as the other one
/// says nothing about this one's. `None` where there is no such user, or it is not let in.
async fn control(cx: &Context<'_>, later: &SecretValue) -> Result<Option<String>, Trouble> {
    let plan = &cx.record.plan;
    let ends = plan.steps.iter().find(|step| matches!(step.action, Action::Revoke(_)));
    let Some(user) = ends.map(|step| &step.target) else { return Ok(None) };
    if cx.engine.estate.member(user.backend())?.backend.turns().is_none() {
        return Ok(None);
    }
    let probe = cx.issuer()?.verify(user, later).await?;
    Ok((probe.verdict == Verdict::Accepted).then_some(probe.path))
}
