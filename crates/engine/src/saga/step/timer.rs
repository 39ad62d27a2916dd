//! Waiting, by a timer that outlives the process.

use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    saga::{Event, Step},
    schedule::{self, Window},
};

use super::super::context::{Context, Done, Ran, Trouble, permanent};
use crate::timing;

/// Waits until `seconds` have passed since the step before this one was done. Counted from the journal, not from the first question: a crash
/// neither shortens the wait nor begins it anew.
pub(super) fn since_last(cx: &Context<'_>, step: &Step, seconds: u64) -> Ran {
    let now = cx.engine.clock.now();
    let since = done_before(cx, step).unwrap_or(now);
    let length = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX);
    let until = since.checked_add_signed(length).unwrap_or(DateTime::<Utc>::MAX_UTC);
    if now < until {
        return Ran::Wait(until);
    }
    Ran::Done(Done::new(format!("{seconds} s have passed")))
}

/// Waits until the window is open and no blackout holds. Which blackouts there are is asked now: a freeze may be announced after the plan was made.
pub(super) fn opening(cx: &Context<'_>, window: &str, zone: &str) -> Result<Ran, Trouble> {
    let parsed = schedule::zone(zone).and_then(|zone| Window::parse(window, zone));
    let parsed = parsed.map_err(|error| permanent(error.to_string()))?;
    let now = cx.engine.clock.now();
    let (opens, _) = timing::opening(Some(parsed), &cx.engine.estate.blackouts, now);
    if now < opens {
        return Ok(Ran::Wait(opens));
    }
    Ok(Ran::Done(Done::new(format!("{window} ({zone}) is open"))))
}

/// When the step before this one was done.
pub(super) fn done_before(cx: &Context<'_>, step: &Step) -> Option<DateTime<Utc>> {
    let plan = &cx.record.plan;
    let (index, _) = plan.step(&step.id)?;
    let before = &plan.steps.get(index.checked_sub(1)?)?.id;
    cx.record.events.iter().rev().find_map(|(at, event)| match event {
        Event::Succeeded { step, .. } | Event::Reconciled { step, happened: Some(_), .. }
            if step == before =>
        {
            Some(*at)
        }
        _ => None,
    })
}
