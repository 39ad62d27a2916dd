//! When a policy's credentials are to be rotated: due dates, schedules, windows, blackouts.
//!
//! A due date follows from the last change alone, so whoever asks at whatever moment, after whatever restart, gets the same: nothing is due
//! early because a process began anew.

use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    model::CredentialState,
    schedule::{Blackout, Schedule, Window, jitter},
    view::CredentialView,
};

use crate::{Estate, Result, exception, policy::Policy};

/// What a policy says of times.
#[derive(Debug, Clone, Default)]
pub struct Timing {
    /// Rotations start at these times only.
    pub schedule: Option<Schedule>,
    /// And only between these.
    pub window: Option<Window>,
    /// And less than this later, each credential by its own delay.
    pub jitter: TimeDelta,
}

/// When a credential is to be rotated next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// From when on it is due.
    pub at: DateTime<Utc>,
    /// The first moment at which it may start: not before now, within the window, in no blackout.
    pub starts_at: DateTime<Utc>,
    /// What it waits for although it is due.
    pub waits_for: Option<Wait>,
}

/// Why something that is due does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Its policy's window is closed.
    Window,
    /// This blackout.
    Blackout(String),
}

impl Due {
    /// May it start at this moment?
    pub fn may_start(&self, now: DateTime<Utc>) -> bool {
        self.starts_at <= now
    }
}

impl Policy {
    /// From when on the credential is due by this policy. With a limit and a schedule: at the last scheduled time that keeps the limit, and
    /// where there is none in between, at the first one after it. With a schedule alone: at each of its times. `None` where nothing is asked for, or
    /// nobody knows how old it is.
    pub fn due_at(&self, credential: &CredentialView) -> Option<DateTime<Utc>> {
        let since = credential.last_rotated_at.or(credential.created_at)?;
        let latest = self.due(credential);
        let at = match (&self.timing.schedule, latest) {
            (None, latest) => latest?,
            (Some(schedule), None) if self.max_age.is_none() => schedule.next(since)?,
            (Some(_), None) => return None,
            (Some(schedule), Some(latest)) => {
                let kept = schedule.last(latest).filter(|time| *time > since);
                kept.or_else(|| schedule.next(latest))?
            }
        };
        at.checked_add_signed(jitter(credential.id, self.timing.jitter))
    }
}

/// When the credential is to be rotated next by this policy; an exception puts it off. `None` also for what is revoked, suspended or gone.
///
/// # Errors
/// Whether an exception holds cannot be decided.
pub fn due(
    estate: &Estate,
    policy: &Policy,
    credential: &CredentialView,
    now: DateTime<Utc>,
) -> Result<Option<Due>> {
    // What has ended is never due again; what has expired may be a certificate, which is made again.
    if !matches!(credential.state, CredentialState::Active | CredentialState::Expired) {
        return Ok(None);
    }
    let Some(mut at) = policy.due_at(credential) else { return Ok(None) };
    if let Some(exception) = exception::of_age(&estate.exceptions, credential, now)? {
        at = at.max(exception.expires);
    }
    let (starts_at, waits_for) = opening(policy.timing.window, &estate.blackouts, at.max(now));
    let waits_for = waits_for.filter(|_| at <= now);
    Ok(Some(Due { at, starts_at, waits_for }))
}

/// The first moment not before `from` that the window and all blackouts leave, and what stood in the way first.
pub(crate) fn opening(
    window: Option<Window>,
    blackouts: &[Blackout],
    from: DateTime<Utc>,
) -> (DateTime<Utc>, Option<Wait>) {
    let (mut time, mut first) = (from, None);
    // Each turn ends a blackout or opens a window; both would have to alternate for ever.
    for _ in 0..=blackouts.len() * 2 + 1 {
        let before = time;
        if let Some(window) = window {
            time = window.opens(time);
            if time > before {
                first = first.or(Some(Wait::Window));
            }
        }
        if let Some(blackout) = blackouts.iter().filter(|one| one.holds(time)).max_by_key(|one| one.to) {
            time = blackout.to;
            first = first.or_else(|| Some(Wait::Blackout(blackout.name.clone())));
        }
        if time == before {
            break;
        }
    }
    (time, first)
}

#[cfg(test)]
mod tests {
    use claviger_core::schedule::{Expression, zone};

    use super::*;
    use crate::{condition::tests::credential, selector::Selector};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn policy(max_age_days: Option<i64>, schedule: Option<&str>, window: Option<&str>) -> Policy {
        let berlin = zone("Europe/Berlin").unwrap();
        Policy {
            name: "p".to_owned(),
            selector: Selector::parse("*").unwrap(),
            max_age: max_age_days.map(TimeDelta::days),
            strategy: None,
            approvals: 0,
            retain: false,
            re_revoke: false,
            password: None,
            grace: None,
            evidence: None,
            consumers_at_once: None,
            timing: Timing {
                schedule: schedule.map(|text| Schedule::new(Expression::parse(text).unwrap(), berlin)),
                window: window.map(|text| Window::parse(text, berlin).unwrap()),
                jitter: TimeDelta::zero(),
            },
        }
    }

    fn changed(text: &str) -> CredentialView {
        let mut credential = credential();
        (credential.created_at, credential.last_rotated_at) = (None, Some(at(text)));
        credential
    }

    #[test]
    fn a_limit_is_kept_by_the_last_scheduled_time_before_it() {
        let it = changed("2027-01-01T12:00:00Z");
        // Sundays at three in Berlin. Ninety days end on Thursday, 1 April, when the clocks have changed.
        let both = policy(Some(90), Some("0 3 * * SUN"), None);
        assert_eq!(both.due_at(&it), Some(at("2027-03-28T01:00:00Z")), "03:00 of summer time is 01:00");
        assert_eq!(policy(Some(90), None, None).due_at(&it), Some(at("2027-04-01T12:00:00Z")));
        assert_eq!(policy(None, Some("0 3 * * SUN"), None).due_at(&it), Some(at("2027-01-03T02:00:00Z")));
        assert_eq!(
            policy(Some(1), Some("0 3 * * SUN"), None).due_at(&it),
            Some(at("2027-01-03T02:00:00Z")),
            "no scheduled time keeps the limit: the next one"
        );
        assert_eq!(policy(None, None, None).due_at(&it), None);
        let mut unknown = it.clone();
        unknown.last_rotated_at = None;
        assert_eq!(both.due_at(&unknown), None, "nobody knows how old it is");
    }

    #[test]
    fn what_is_due_waits_for_its_window_and_for_the_end_of_blackouts() {
        let it = changed("2027-01-01T12:00:00Z");
        let mut estate = Estate::default();
        let night = policy(Some(30), None, Some("22:00-04:00"));
        let found = |estate: &Estate, now: &str| due(estate, &night, &it, at(now)).unwrap().unwrap();
        let early = found(&estate, "2027-01-20T12:00:00Z");
        assert_eq!((early.at, early.starts_at), (at("2027-01-31T12:00:00Z"), at("2027-01-31T21:00:00Z")));
        assert!(!early.may_start(at("2027-01-20T12:00:00Z")) && early.waits_for.is_none());
        let mut dead = it.clone();
        dead.state = CredentialState::RevokedProven;
        assert_eq!(due(&estate, &night, &dead, at("2027-02-03T22:00:00Z")).unwrap(), None, "it is dead");
        let by_day = found(&estate, "2027-02-03T12:00:00Z");
        assert_eq!((by_day.starts_at, by_day.waits_for), (at("2027-02-03T21:00:00Z"), Some(Wait::Window)));
        let by_night = found(&estate, "2027-02-03T22:00:00Z");
        assert!(by_night.may_start(at("2027-02-03T22:00:00Z")) && by_night.waits_for.is_none());
        estate.blackouts.push(Blackout {
            name: "freeze".to_owned(),
            from: at("2027-02-03T00:00:00Z"),
            to: at("2027-02-05T12:00:00Z"),
        });
        let frozen = found(&estate, "2027-02-03T22:00:00Z");
        assert_eq!(frozen.starts_at, at("2027-02-05T21:00:00Z"), "the first window behind it");
        assert_eq!(frozen.waits_for, Some(Wait::Blackout("freeze".to_owned())));
    }
}
