//! Set the new value at the issuer: the pivot where the target holds one value.

use claviger_backend::{ErrorKind, Probe, Restore, Verdict};
use claviger_core::{saga::Step, seal::Slot};

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
