//! Sessions of a user that is to rest: seen in samples, as a target tells them, until there are none.

use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend::Retry;
use claviger_core::saga::{Event, Step};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent},
    quarantine::{decided, moved},
    turn::turns,
};

/// How long sessions that were there before are waited for at least: a pod that stops may take half a minute.
const PATIENCE: TimeDelta = TimeDelta::seconds(60);
/// Between two samples: the first, and the longest.
const SAMPLES: (TimeDelta, TimeDelta) = (TimeDelta::seconds(1), TimeDelta::minutes(15));
/// What a timer says of a sample in which there were sessions.
const BUSY: &str = "busy";

/// `await-no-sessions`. Each sample is an event of the journal, so that a crash loses none.
pub(super) async fn none(cx: &Context<'_>, step: &Step, seconds: u64) -> Result<Ran, Trouble> {
    let now = cx.engine.clock.now();
    let moved = moved(cx).0;
    let grace = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX);
    // Twice the grace: once it is waited for in any case, and once for the sessions that are seen then.
    let patience = grace.checked_mul(2).unwrap_or(TimeDelta::MAX).max(PATIENCE);
    let patient = now < moved.checked_add_signed(patience).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let interval = (grace / 20).clamp(SAMPLES.0, SAMPLES.1);
    let seen = match turns(cx)?.sessions(&step.target).await {
        // A question that could not be asked is asked again.
        Err(error) if patient && error.retry() != Retry::Permanent => return Ok(Ran::Wait(now + interval)),
        other => other?,
    };
    let Some(sessions) = seen else {
        let until = moved.checked_add_signed(grace).unwrap_or(DateTime::<Utc>::MAX_UTC);
        if now < until {
            return Ok(Ran::Wait(until));
        }
        let detail = format!("{seconds} s have passed; its sessions may not be seen");
        return Ok(Ran::Done(Done::new(detail).fact("evidence", "blind")));
    };
    // An operator who let it go on knows of those that were there.
    let known = decided(cx).is_some_and(|at| sessions.newest.is_none_or(|newest| newest <= at));
    let busy = sessions.live > 0 && !known;
    let quiet_since = if busy { now } else { last_busy(cx, step).unwrap_or(moved).max(moved) };
    if !busy && now >= quiet_since.checked_add_signed(grace).unwrap_or(DateTime::<Utc>::MAX_UTC) {
        let left = match sessions.live {
            0 => "no session is left".to_owned(),
            live => format!(
                "{live} sessions go on that were there when it was let go on: {}",
                sessions.from.join(", ")
            ),
        };
        let detail = format!("{left}; {} samples, every {} s", samples(cx, step) + 1, interval.num_seconds());
        return Ok(Ran::Done(
            Done::new(detail)
                .fact("evidence", "sampled")
                .fact("interval_seconds", interval.num_seconds())
                .fact("samples", samples(cx, step) + 1)
                .fact("live", sessions.live),
        ));
    }
    if busy && !patient {
        return Err(permanent(format!(
            "{} still has {} sessions ({}), and its last consumer had moved at {}: somebody unknown still has it; find out who, then `claviger resume {}`",
            step.target,
            sessions.live,
            sessions.from.join(", "),
            moved.format("%Y-%m-%dT%H:%M:%SZ"),
            cx.record.id
        )));
    }
    Ok(Ran::Sampled(now + interval, if busy { BUSY } else { "quiet" }))
}

/// The samples of this step so far.
fn samples(cx: &Context<'_>, step: &Step) -> usize {
    let is =
        |event: &Event| matches!(event, Event::TimerSet { step: id, seen: Some(_), .. } if *id == step.id);
    cx.record.events.iter().filter(|(_, event)| is(event)).count()
}

/// When the last sample was taken in which there were sessions.
fn last_busy(cx: &Context<'_>, step: &Step) -> Option<DateTime<Utc>> {
    cx.record.events.iter().rev().find_map(|(at, event)| match event {
        Event::TimerSet { step: id, seen: Some(seen), .. } if *id == step.id && seen == BUSY => Some(*at),
        _ => None,
    })
}
