//! The end of an old value that its issuer can suspend first.

use claviger_core::{
    reference::Ref,
    saga::{Action, Quiet, Step, StepPhase},
};

use super::End;

/// Grace, quiet, suspension, deletion. `what` is the word for the value; `seen` says what `quiet` means.
pub(in crate::plan) fn retire(
    subject: &Ref,
    what: &str,
    (quiet, seen): (Quiet, String),
    end: End,
) -> Vec<Step> {
    let step = |action, detail: String| Step::new(action, subject.clone(), StepPhase::AfterPivot, detail);
    let (mut steps, End { grace, token, capability, .. }) = (Vec::new(), end);
    if grace > 0 {
        let detail = format!("leave the old {what} for {grace} s, in case somebody still has it");
        steps.push(step(Action::AwaitGrace(grace), detail));
    }
    steps.push(step(Action::AwaitQuiet(quiet), seen));
    let cache = |steps: &mut Vec<Step>, word: &str| {
        let seconds = capability.revoke_cache_seconds;
        if seconds > 0 {
            let detail = format!("wait {seconds} s, until no cache may still accept it");
            steps.push(step(Action::AwaitCache(seconds), detail).named(word));
        }
    };
    if capability.disable {
        let detail = format!("suspend the old {what}: it could still be enabled again");
        steps.push(step(Action::Disable, detail));
        cache(&mut steps, "suspended");
        let detail = format!("log in with the suspended {what}: it must be refused");
        steps.push(step(Action::ProveDisabled, detail));
    }
    steps.push(step(Action::Revoke(Some(token)), format!("delete the old {what}")));
    cache(&mut steps, "deleted");
    steps
}
