//! What an unfinished rotation of somebody else has left beside a copy: a staged version. If that rotation got as far as its target, the staged value
//! is the one that works, and what the copies hold is dead: taking the staged one for the old value is the way out that loses nothing.

use claviger_backend::Verdict;
use claviger_core::{reference::Ref, saga::Step, secret::SecretValue};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent, temporary},
    Seen,
    seal::{Sealed, same, whole, written},
};

/// The staged value, if the issuer accepts it and nothing else that copies hold. `None` where nothing is staged, or the copies are in step.
pub(super) async fn taken_up(
    cx: &Context<'_>,
    held: &[(SecretValue, &Ref)],
) -> Result<Option<Sealed>, Trouble> {
    let subject = &cx.record.plan.subject;
    for at in written(cx) {
        let Some(pending) = cx.store(at)?.pending(at).await? else { continue };
        let Some(value) = pending.value.and_then(|field| whole(at, &field)) else { continue };
        let mut others = held.iter().filter(|(other, _)| !same(other, &value));
        let (Some((stale, _)), None) = (others.next(), others.next()) else { continue };
        let probe = cx.issuer()?.verify(subject, &value).await?;
        match probe.verdict {
            Verdict::Accepted => {}
            Verdict::Refused(_) => continue,
            Verdict::Inconclusive(why) => {
                return Err(temporary(format!("whether the staged value is accepted cannot be told: {why}")));
            }
        }
        // Both may be accepted where the issuer holds several: then the copies are in step, and what is staged is somebody else's.
        match cx.issuer()?.verify(subject, stale).await?.verdict {
            Verdict::Refused(_) => {}
            Verdict::Accepted => return Ok(None),
            Verdict::Inconclusive(why) => {
                return Err(temporary(format!(
                    "whether the present value is accepted cannot be told: {why}"
                )));
            }
        }
        let said = format!(
            "; not theirs is accepted but the one that an unfinished rotation staged at {at} (version {}): that is taken up",
            pending.version
        );
        return Ok(Some(Sealed { old: value, stale: Some(stale.duplicate()), path: probe.path, said }));
    }
    Ok(None)
}

/// `clear-pending`. Only the version of the plan, and only if it is dead: what another rotation stages meanwhile is its own.
pub(super) async fn clear(cx: &Context<'_>, step: &Step, version: &str) -> Result<Ran, Trouble> {
    let at = &step.target;
    let Some(pending) = cx.store(at)?.pending(at).await?.filter(|pending| pending.version == version) else {
        return Ok(Ran::Done(Done::new("it is not staged any more")));
    };
    if let Some(value) = pending.value.and_then(|field| whole(at, &field)) {
        match cx.issuer()?.verify(&cx.record.plan.subject, &value).await?.verdict {
            Verdict::Refused(_) => {}
            Verdict::Accepted => {
                return Err(permanent(format!(
                    "what is staged at {at} (version {version}) is accepted: somebody changes the credential at the same time"
                )));
            }
            Verdict::Inconclusive(why) => {
                return Err(temporary(format!("whether the staged value is accepted cannot be told: {why}")));
            }
        }
    }
    cx.store(at)?.clear_pending(&cx.operation(step), at, version).await?;
    Ok(Ran::Done(Done::new(format!("version {version} is staged no more; the store removes it"))))
}

/// Did an interrupted clearing happen?
pub(super) async fn observe(cx: &Context<'_>, step: &Step, version: &str) -> Result<Seen, Trouble> {
    let pending = cx.store(&step.target)?.pending(&step.target).await?;
    Ok(match pending.filter(|pending| pending.version == version) {
        None => Seen::Happened(Done::new(format!("version {version} is staged no more"))),
        Some(_) => Seen::NotHappened("it is still staged".to_owned()),
    })
}
