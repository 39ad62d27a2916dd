//! The end of an old value within the times that its policy leaves.

use claviger_core::{
    reference::Ref,
    saga::{Action, Step, StepPhase},
    schedule::Window,
};

/// Puts the wait for the window before the steps that end the old value; between the start and these nothing waits for it, as a rotation that
/// stops half way is worse than one at an odd hour. A use that the issuer tells of is asked for within the window, so that it is fresh. Sessions, which
/// are seen in samples over a while, are looked for before it.
pub(super) fn gate(steps: &mut Vec<Step>, subject: &Ref, window: Window) {
    let at = |is: fn(&Action) -> bool| steps.iter().position(|step| is(&step.action));
    let asks = at(|action| matches!(action, Action::AwaitQuiet(_)));
    let ends = at(|action| matches!(action, Action::Disable | Action::Revoke(_)));
    // A target that holds one value has ended the old one long before.
    let Some(first) = asks.or(ends) else { return };
    let (text, zone) = (window.to_string(), window.zone().name().to_owned());
    let detail = format!("wait until {text} ({zone}), the window of its policy, and the end of any blackout");
    let action = Action::AwaitWindow { window: text, zone };
    steps.insert(first, Step::new(action, subject.clone(), StepPhase::AfterPivot, detail));
}
