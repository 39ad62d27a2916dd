//! Make a credential unusable at its issuer.

use claviger_backend::{ErrorKind, Presence};
use claviger_core::{saga::Step, seal::Slot};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent},
    Seen,
};

/// `revoke`.
pub(super) async fn revoke(cx: &Context<'_>, step: &Step, expect: Option<&str>) -> Result<Ran, Trouble> {
    let (issuer, operation) = (cx.issuer()?, cx.operation(step));
    let held = if issuer.ending(&step.target).by_value { cx.open(Slot::Old).await? } else { None };
    let outcome = match held {
        Some(value) => issuer.revoke_held(&operation, &step.target, &value, expect).await,
        None => issuer.revoke(&operation, &step.target, expect).await,
    };
    match outcome {
        Ok(()) => Ok(Ran::Done(Done::new("it has ended at its issuer"))),
        Err(error) if error.kind() == ErrorKind::Conflict => Err(permanent(format!(
            "{} is not the one that was planned: it was re-created or changed; scan and plan again",
            step.target
        ))),
        Err(error) => Err(error.into()),
    }
}

/// Did an interrupted revocation happen?
pub(super) async fn observe(cx: &Context<'_>, step: &Step, expect: Option<&str>) -> Result<Seen, Trouble> {
    match cx.issuer()?.presence(&step.target).await? {
        Presence::Absent => Ok(Seen::Happened(Done::new("its issuer no longer has it"))),
        Presence::Present(token) if expect.is_some_and(|expect| expect != token) => Ok(Seen::Happened(
            Done::new("it was deleted, and something else has taken its name").fact("recreated", true),
        )),
        Presence::Present(_) => Ok(Seen::NotHappened("its issuer still has it".to_owned())),
    }
}
