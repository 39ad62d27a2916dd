//! A target that has no room (429, a secondary limit): it is left alone for as long as it asked, and the saga waits; it is not tried again and again, and
//! nothing is taken back because of it.
//!
//! Only an answer that says that nothing was changed is waited out; an unknown effect is observed, as always. The wait has ends: a day in one step, and up to the
//! pivot the window in which a rotation was begun, as one that goes on at an odd hour is not what its policy says. Then the step has failed as any other.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    saga::{Event, Failure, SagaKind, StepPhase},
    schedule::Window,
};
use claviger_store::port::SagaRecord;

use crate::{Engine, policy::policy_for};

/// One step is put off for no longer than this.
const LONGEST: TimeDelta = TimeDelta::days(1);
/// An undo, or a look at what happened, sits out so much in all: neither has a timer of its own.
const SAT_OUT: Duration = Duration::from_secs(3600);

impl Engine {
    /// What becomes of a step whose target wants to be left alone: put off, or failed for good.
    pub(super) async fn put_off(
        &self,
        record: &SagaRecord,
        index: usize,
        failure: Failure,
        rest: Duration,
    ) -> Failure {
        let now = self.clock.now();
        let until = TimeDelta::from_std(rest).ok().and_then(|rest| now.checked_add_signed(rest));
        let until = until.unwrap_or(DateTime::<Utc>::MAX_UTC);
        let wants = format!(
            "{}: the target wants to be left alone until {}",
            failure.message,
            until.format("%Y-%m-%dT%H:%M:%SZ")
        );
        let ends = if until - first(record, index).unwrap_or(now) > LONGEST {
            Some("it was put off for a day already".to_owned())
        } else {
            let window = self.window_of(record, index).await;
            let closes = window.filter(|window| window.holds(now) && !window.holds(until));
            closes.map(|window| format!("the window {window} of its policy closes before"))
        };
        match ends {
            Some(why) => Failure { message: format!("{wants}, and {why}"), temporary: false, ..failure },
            None => Failure { message: wants, until: Some(until), ..failure },
        }
    }

    /// The window that binds this step: that of a rotation's policy, up to the pivot. Where it is closed already the rotation was begun by hand, and is bound by
    /// none.
    async fn window_of(&self, record: &SagaRecord, index: usize) -> Option<Window> {
        let step = record.plan.steps.get(index)?;
        if record.plan.kind != SagaKind::Rotation || step.phase == StepPhase::AfterPivot {
            return None;
        }
        let found = self.ports.inventory.credential(self.clock.now(), record.plan.credential).await;
        let credential = found.ok()??.credential;
        policy_for(&self.estate.policies, &credential).ok()??.timing.window
    }
}

/// When this step was put off first, of the times that nothing else came between.
fn first(record: &SagaRecord, index: usize) -> Option<DateTime<Utc>> {
    let id = &record.plan.steps.get(index)?.id;
    let mut since = None;
    for (at, event) in record.events.iter().rev() {
        match event {
            Event::Failed { step, failure } if step == id && failure.until.is_some() => since = Some(*at),
            Event::Started { step, .. } if step == id => {}
            _ => break,
        }
    }
    since
}

/// How much of a wait is still sat out in place.
#[derive(Default)]
pub(super) struct Patience(Duration);

impl Patience {
    /// Is so much more borne? Then it counts.
    pub(super) fn bears(&mut self, rest: Duration) -> bool {
        let all = self.0.saturating_add(rest);
        let bears = all <= SAT_OUT;
        if bears {
            self.0 = all;
        }
        bears
    }
}
