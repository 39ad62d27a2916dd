//! Set the new value at the issuer, which is the pivot where the target holds one value; or add it beside the old one.

use claviger_backend::{ErrorKind, Probe, Restore, Verdict};
use claviger_core::{
    reference::Ref,
    saga::{Action, Step},
    seal::Slot,
};

use super::{
    super::context::{Context, Done, Ran, Trouble, temporary},
    Seen,
};

/// `set-at-issuer`.
pub(super) async fn set(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let new = cx.must_open(Slot::New(0)).await?;
    cx.issuer()?.issue(&cx.operation(step), &step.target, Some(&new)).await?;
    Ok(Ran::Done(Done::new("the new value is set; the old one has ended")))
}

/// Which of the two values does the issuer accept?
pub(super) async fn observe(cx: &Context<'_>) -> Result<Seen, Trouble> {
    let new = cx.must_open(Slot::New(0)).await?;
    let probe = cx.issuer()?.verify(&cx.record.plan.subject, &new).await?;
    match probe {
        Probe { verdict: Verdict::Accepted, .. } => {
            Ok(Seen::Happened(Done::new("the new value is accepted")))
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
    let issuer = cx.issuer()?;
    let operation = cx.operation_of(&format!("undo:{}", step.id), &step.target);
    if let Some(saved) = cx.open(Slot::Restore).await? {
        match issuer.restore(&operation, &step.target, &Restore(saved)).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            other => return Ok(other?),
        }
    }
    let old = cx.must_open(Slot::Old).await?;
    issuer.issue(&operation, &step.target, Some(&old)).await?;
    Ok(())
}

/// Where the new value's own ref is kept among the facts of `add-at-issuer`.
const AT: &str = "at";

/// `add-at-issuer`.
pub(super) async fn add(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let new = cx.must_open(Slot::New(0)).await?;
    let issued = cx.issuer()?.issue(&cx.operation(step), &step.target, Some(&new)).await?;
    Ok(Ran::Done(added_as(&issued.at)))
}

/// Does the issuer know the new value? We made it, so whoever has it has it from us.
pub(super) async fn observe_added(cx: &Context<'_>) -> Result<Seen, Trouble> {
    let new = cx.must_open(Slot::New(0)).await?;
    Ok(match cx.issuer()?.identify(&new).await? {
        Some(found) => Seen::Happened(added_as(&found.at)),
        None => Seen::NotHappened("the issuer does not know the new value".to_owned()),
    })
}

/// Takes the added value away again. It is found by itself, never by a name that something else may have.
pub(super) async fn take_away(cx: &Context<'_>, step: &Step) -> Result<(), Trouble> {
    // Without a sealed value nothing was ever added.
    let Some(new) = cx.open(Slot::New(0)).await? else { return Ok(()) };
    let issuer = cx.issuer()?;
    if let Some(found) = issuer.identify(&new).await? {
        let operation = cx.operation_of(&format!("undo:{}", step.id), &found.at);
        issuer.revoke(&operation, &found.at, None).await?;
    }
    Ok(())
}

fn added_as(at: &Ref) -> Done {
    Done::new(format!("added as {at}; the old one goes on working")).fact(AT, at.as_str())
}

/// The ref of the added value; the subject's own where it was set in place.
pub(super) fn new_at(cx: &Context<'_>) -> Ref {
    let plan = &cx.record.plan;
    let adds = |step: &Step| matches!(step.action, Action::AddAtIssuer | Action::MintAtIssuer);
    let output = cx.record.progress.output(plan, adds);
    let at = output.and_then(|output| output.facts.get(AT)).and_then(|at| at.as_str());
    at.map_or_else(|| plan.subject.clone(), Ref::from_text)
}
