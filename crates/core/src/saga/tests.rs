use chrono::DateTime;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{id::CredentialId, model::ConsumerHow, reference::Ref};

fn plan() -> SagaPlan {
    use StepPhase::{AfterPivot, BeforePivot, Pivot};
    let step = |action, target: &str, phase| Step::new(action, Ref::from_text(target), phase, "");
    SagaPlan {
        kind: SagaKind::Rotation,
        definition: "replace/1".into(),
        credential: CredentialId(Uuid::nil()),
        subject: Ref::from_text("db/role/app"),
        strategy: "replace".into(),
        steps: vec![
            step(Action::SealValues, "db/role/app", BeforePivot),
            step(Action::CheckCopy, "kv/app#password", BeforePivot),
            step(Action::SetAtIssuer, "db/role/app", Pivot),
            step(Action::WriteCopy, "kv/app#password", AfterPivot),
            step(Action::Refresh(ConsumerHow::Env), "k/web", AfterPivot),
            step(Action::ProveRefused, "db/role/app", AfterPivot),
        ],
        breaks: vec![],
        reversible_until: "set-at-issuer".into(),
        notes: vec![],
    }
}

/// Every event that a careless executor could try to record for a step.
fn events(step: &str) -> Vec<Event> {
    let step = step.to_owned();
    let output = StepOutput::default();
    let mut events = vec![
        Event::Succeeded { step: step.clone(), output: output.clone() },
        Event::Reconciled { step: step.clone(), happened: Some(output), detail: String::new() },
        Event::Reconciled { step: step.clone(), happened: None, detail: String::new() },
        Event::TimerSet { step: step.clone(), until: DateTime::UNIX_EPOCH, seen: None },
        Event::UndoStarted { step: step.clone() },
        Event::UndoFinished { step: step.clone() },
        Event::UndoFailed { step: step.clone(), reason: "r".into() },
        Event::Paused { reason: "p".into() },
        Event::Continued { actor: "a".into(), reason: "c".into() },
    ];
    events.extend((1..4).map(|attempt| Event::Started { step: step.clone(), attempt }));
    for effect in [FailureEffect::NotApplied, FailureEffect::Applied, FailureEffect::Unknown] {
        for temporary in [true, false] {
            events.push(Event::Failed {
                step: step.clone(),
                failure: Failure { message: "f".into(), effect, temporary, until: None },
            });
        }
    }
    let (message, effect) = ("full".into(), FailureEffect::NotApplied);
    let failure = Failure { message, effect, temporary: true, until: Some(DateTime::UNIX_EPOCH) };
    events.push(Event::Failed { step, failure });
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is thrown at it: what is refused changes nothing, what is taken replays to the same state, past the pivot nothing unwinds,
    /// an unknown effect is never run again without an observation, and rest is final.
    #[test]
    fn no_event_breaks_the_rules(picks in prop::collection::vec((0_usize..6, 0_usize..19), 1..60)) {
        let plan = plan();
        let mut progress = Progress::new(&plan);
        let mut journal = Vec::new();
        for (step, pick) in picks {
            let event = events(&plan.steps[step].id).swap_remove(pick % 19);
            let before = progress.clone();
            let Ok(after) = progress.clone().apply(&plan, &event) else { continue };
            prop_assert!(!before.state.is_rest(), "an event after rest");
            if before.past_pivot(&plan) {
                prop_assert!(!matches!(after.state, SagaState::Unwinding { .. } | SagaState::Unwound { .. }), "unwound past the pivot");
                prop_assert!(after.past_pivot(&plan), "the pivot was forgotten");
            }
            if let Event::Started { step, .. } = &event {
                let (index, _) = plan.step(step).expect("of the plan");
                let unknown = matches!(&before.steps[index], StepState::Failed { failure, .. } if failure.effect == FailureEffect::Unknown);
                prop_assert!(!unknown, "an unknown effect was tried again");
                prop_assert!(before.steps[..index].iter().all(|step| matches!(step, StepState::Succeeded { .. })), "a step was begun before its turn");
            }
            journal.push(event);
            progress = after;
            prop_assert_eq!(&Progress::replay(&plan, &journal).expect("legal"), &progress);
        }
    }
}

/// Drives a saga to its rest with a given answer per step, as the executor would.
fn drive(plan: &SagaPlan, answer: impl Fn(usize, u32) -> Event) -> Progress {
    let mut progress = Progress::new(plan);
    for _ in 0..200 {
        let event = match progress.next(plan) {
            Next::Nothing => return progress,
            Next::Run(index, attempt) => {
                let id = plan.steps[index].id.clone();
                progress = progress
                    .apply(plan, &Event::Started { step: id, attempt })
                    .expect("the executor's own event");
                answer(index, attempt)
            }
            Next::Reconcile(index) => Event::Reconciled {
                step: plan.steps[index].id.clone(),
                happened: None,
                detail: String::new(),
            },
            Next::Wait(..) => unreachable!("no answer sets a timer"),
            Next::Undo(index) => {
                let step = plan.steps[index].id.clone();
                progress = progress
                    .apply(plan, &Event::UndoStarted { step: step.clone() })
                    .expect("the executor's own event");
                Event::UndoFinished { step }
            }
        };
        progress = progress.apply(plan, &event).expect("the executor's own event");
    }
    panic!("the saga does not come to rest");
}

fn succeed(plan: &SagaPlan, index: usize) -> Event {
    Event::Succeeded { step: plan.steps[index].id.clone(), output: StepOutput::default() }
}

fn fail(plan: &SagaPlan, index: usize, effect: FailureEffect) -> Event {
    let failure = Failure { message: "refused".into(), effect, temporary: false, until: None };
    Event::Failed { step: plan.steps[index].id.clone(), failure }
}

#[test]
fn a_failure_unwinds_before_the_pivot_and_pauses_after_it() {
    let plan = plan();
    for failing in 0..plan.steps.len() {
        let end = drive(&plan, |index, _| {
            if index == failing {
                fail(&plan, index, FailureEffect::NotApplied)
            } else {
                succeed(&plan, index)
            }
        });
        match &end.state {
            SagaState::Unwound { .. } => assert!(failing <= 2, "step {failing} unwound"),
            SagaState::Paused { .. } => assert!(failing > 2, "step {failing} paused"),
            other => panic!("step {failing} ended in {other:?}"),
        }
    }
    assert_eq!(drive(&plan, |index, _| succeed(&plan, index)).state, SagaState::Done);
}

#[test]
fn a_pivot_that_failed_after_its_effect_is_never_unwound() {
    let plan = plan();
    let end = drive(&plan, |index, _| {
        if index == 2 { fail(&plan, index, FailureEffect::Applied) } else { succeed(&plan, index) }
    });
    assert!(matches!(end.state, SagaState::Paused { .. }), "{:?}", end.state);
}

#[test]
fn an_undo_that_fails_is_stuck_and_stays_so() {
    let plan = plan();
    let mut progress = Progress::new(&plan);
    let id = |index: usize| plan.steps[index].id.clone();
    for event in [
        Event::Started { step: id(0), attempt: 1 },
        succeed(&plan, 0),
        Event::Started { step: id(1), attempt: 1 },
        fail(&plan, 1, FailureEffect::NotApplied),
        Event::UndoStarted { step: id(1) },
        Event::UndoFailed { step: id(1), reason: "refused".into() },
    ] {
        progress = progress.apply(&plan, &event).expect("legal");
    }
    assert!(matches!(progress.state, SagaState::Stuck { .. }));
    assert_eq!(progress.next(&plan), Next::Nothing);
    for event in events(&id(1)) {
        assert!(progress.clone().apply(&plan, &event).is_err(), "{event:?} moved a stuck saga");
    }
}

/// Who has no room is asked again as if it had not been asked: the try is not counted, and nothing is given up.
#[test]
fn a_target_without_room_is_waited_for_and_no_try_is_counted() {
    let plan = plan();
    let until = DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes(1);
    let full = |effect, temporary| Event::Failed {
        step: plan.steps[0].id.clone(),
        failure: Failure { message: "full".into(), effect, temporary, until: Some(until) },
    };
    let started = |progress: Progress| {
        let step = plan.steps[0].id.clone();
        progress.apply(&plan, &Event::Started { step, attempt: 1 }).expect("begun")
    };
    let mut progress = Progress::new(&plan);
    for _ in 0..9 {
        progress = started(progress).apply(&plan, &full(FailureEffect::NotApplied, true)).expect("put off");
        assert_eq!(progress.state, SagaState::Waiting { until });
        assert_eq!(progress.next(&plan), Next::Wait(0, until));
        assert!(progress.may_abandon(&plan), "it can be taken back meanwhile");
    }
    // Nobody waits where something may have been changed, or for what has failed for good.
    for (effect, temporary) in
        [(FailureEffect::Unknown, true), (FailureEffect::Applied, true), (FailureEffect::NotApplied, false)]
    {
        assert!(started(progress.clone()).apply(&plan, &full(effect, temporary)).is_err(), "{effect:?}");
    }
}
