//! The first step of a rollback: both values were handed over by the saga that is taken back.

use claviger_backend::Verdict;
use claviger_core::{saga::Action, seal::Slot};

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
