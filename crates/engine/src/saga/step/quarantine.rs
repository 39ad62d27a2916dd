//! The end of an old value in two steps: it is suspended while it could still be enabled, and deleted when its refusal hurt nobody.

use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend::{Effect, ErrorKind};
use claviger_core::saga::{Action, Event, Evidence, Quiet, SagaKind, Step};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent},
    Seen,
};

/// Where the issuer tells the last use to a coarse time only: so long a time of which it can tell has to be seen, also without a grace.
const LEAST_SEEN: TimeDelta = TimeDelta::hours(1);

/// The fact that says that it was not suspended.
pub(super) const SKIPPED: &str = "skipped";

/// `await-quiet`. A use after the last consumer moved is somebody's that nobody knows of: he would be cut off.
pub(super) async fn quiet(cx: &Context<'_>, step: &Step, quiet: Quiet) -> Result<Ran, Trouble> {
    let (moved, decided) = moved(cx);
    let text = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let Some(used) = cx.issuer()?.last_used(&step.target).await? else {
        if quiet.grain > 0 && quiet.least > Evidence::Blind && !decided {
            // The rotation itself has logged in with it: who does not tell of that tells of nobody.
            return Err(permanent(format!(
                "its issuer does not tell when {} was used: whether somebody unknown still has it is not known (blind); look for yourself, then `claviger resume {}`, or take the rotation back",
                step.target, cx.record.id
            )));
        }
        return Ok(Ran::Done(Done::new("its issuer tells of no use")));
    };
    let done = |detail: String| Ok(Ran::Done(Done::new(detail).fact("last_used", text(used))));
    let grace =
        i64::try_from(quiet.seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::zero());
    let grain = TimeDelta::seconds(i64::from(quiet.grain));
    // Where the issuer tells a day, the use may have been at its end.
    let (now, by) = (cx.engine.clock.now(), used + grain);
    if by <= moved {
        return done(format!("last used at {}, before its last consumer had moved", text(used)));
    }
    if used <= moved {
        let within =
            format!("last used between {} and {}, in which its last consumer moved", text(used), text(by));
        if quiet.least == Evidence::Blind || decided {
            let allowed = if decided { "an operator" } else { "its policy" };
            return Ok(Ran::Done(
                Done::new(format!(
                    "{within}: whether it was used since is not seen (blind), which {allowed} allows"
                ))
                .fact("last_used", text(used))
                .fact("evidence", Evidence::Blind.word()),
            ));
        }
        let seen = by + grace.max(LEAST_SEEN);
        if now < seen {
            return Ok(Ran::Wait(seen));
        }
        return done(format!("{within}, and not used since {}", text(by)));
    }
    let settled = by + grace;
    if quiet.seconds > 0 && now >= settled {
        return done(format!("last used at {}, and quiet for {} s", text(used), quiet.seconds));
    }
    // Twice the grace: once it was waited for already, and once for the use that was seen then.
    if settled <= moved + grace * 2 + grain && now < settled {
        return Ok(Ran::Wait(settled));
    }
    Err(permanent(format!(
        "{} was used at {}, and its last consumer had moved at {}: somebody unknown still has it; find out who, then `claviger resume {}`",
        step.target,
        text(used),
        text(moved),
        cx.record.id
    )))
}

/// When the last consumer had moved, or an operator let it go on all the same: then the second is true.
pub(super) fn moved(cx: &Context<'_>) -> (DateTime<Utc>, bool) {
    let moves = |id: &str| {
        cx.record.plan.step(id).is_some_and(|(_, step)| {
            matches!(
                step.action,
                Action::WriteCopy
                    | Action::WritePairs(_)
                    | Action::PostCopy
                    | Action::Refresh(_)
                    | Action::Repoint(_)
                    | Action::Bind(_)
                    | Action::AwaitUnread(_)
                    | Action::AwaitAdoption
            )
        })
    };
    let decides = |event: &Event| matches!(event, Event::Continued { .. } | Event::Resolved { .. });
    let last = cx.record.events.iter().rev().find(|(_, event)| match event {
        Event::Succeeded { step, .. } | Event::Reconciled { step, happened: Some(_), .. } => moves(step),
        event => decides(event),
    });
    last.map_or((cx.record.created_at, false), |(at, event)| (*at, decides(event)))
}

/// When an operator last let it go on.
pub(super) fn decided(cx: &Context<'_>) -> Option<DateTime<Utc>> {
    let decisions = |event: &Event| matches!(event, Event::Continued { .. } | Event::Resolved { .. });
    cx.record.events.iter().rev().find(|(_, event)| decisions(event)).map(|(at, _)| *at)
}

/// `disable`.
pub(super) async fn disable(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let revokes = cx.record.plan.kind == SagaKind::Revocation;
    match cx.issuer()?.disable(&cx.operation(step), &step.target).await {
        Ok(()) => Ok(Ran::Done(Done::new("its issuer has suspended it"))),
        Err(error) if error.kind() == ErrorKind::NotFound && !revokes => Ok(Ran::Done(gone())),
        // What has to end is not left alive because it cannot be suspended first.
        Err(error)
            if revokes
                && error.effect() == Effect::NotApplied
                && matches!(error.kind(), ErrorKind::Denied | ErrorKind::Unsupported) =>
        {
            let text = format!("not suspended first, but ended at once: {}", error.message());
            Ok(Ran::Done(Done::new(text).fact(SKIPPED, true)))
        }
        Err(error) => Err(error.into()),
    }
}

/// `enable`. A value that is gone cannot be brought back: then there is nothing to roll back to.
pub(super) async fn enable(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    cx.issuer()?.enable(&cx.operation(step), &step.target).await?;
    Ok(Ran::Done(Done::new("its issuer lets it work again")))
}

/// In a swap, which is undone until its credential has ended for good: lets a suspended value work again. Elsewhere a suspension is never unwound.
pub(super) async fn undo(cx: &Context<'_>, step: &Step) -> Result<(), Trouble> {
    if cx.record.plan.kind != SagaKind::Swap {
        return Ok(());
    }
    let enable = cx.operation_of(&format!("undo:{}", step.id), &step.target);
    Ok(cx.issuer()?.enable(&enable, &step.target).await?)
}

/// Did an interrupted enabling happen?
pub(super) async fn observe_enabled(cx: &Context<'_>, step: &Step) -> Result<Seen, Trouble> {
    let siblings = cx.issuer()?.siblings(&step.target).await?;
    Ok(match siblings.iter().find(|sibling| sibling.at == step.target) {
        Some(sibling) if sibling.active => Seen::Happened(Done::new("its issuer lets it work again")),
        _ => Seen::NotHappened("its issuer does not have it as active".to_owned()),
    })
}

/// Did an interrupted suspension happen?
pub(super) async fn observe(cx: &Context<'_>, step: &Step) -> Result<Seen, Trouble> {
    let siblings = cx.issuer()?.siblings(&step.target).await?;
    Ok(match siblings.iter().find(|sibling| sibling.at == step.target) {
        None => Seen::Happened(gone()),
        Some(sibling) if sibling.active => Seen::NotHappened("its issuer has it as active".to_owned()),
        Some(_) => Seen::Happened(Done::new("its issuer has suspended it")),
    })
}

fn gone() -> Done {
    Done::new("its issuer no longer has it: somebody else deleted it").fact("gone", true)
}
