//! Copies in places that take a value and show none: they are written like the others and nobody reads them back, so the plan says that.

use claviger_core::{
    model::CopyStage,
    reference::Ref,
    saga::{Action, Step, StepPhase},
    view::{CopyView, CredentialDetail},
};

use super::strategy::Strategy;
use crate::Engine;

/// Does the copy lie where values can be put and not read?
pub(super) fn is_blind(engine: &Engine, at: &Ref) -> bool {
    let member = engine.estate.member(at.backend());
    member.is_ok_and(|member| {
        let letterbox = member.backend.letterbox().filter(|_| member.backend.capability().post);
        letterbox.is_some_and(|letterbox| letterbox.takes(at))
    })
}

/// Does the place keep no word of ours beside the value?
fn is_unmarked(engine: &Engine, at: &Ref) -> bool {
    engine.estate.member(at.backend()).is_ok_and(|member| member.backend.capability().post_unmarked)
}

/// Strategies by which such a copy is given the bare value. A user name or key id beside the value cannot be changed together with it there.
pub(super) fn can(strategy: &Strategy<'_>) -> bool {
    matches!(
        strategy,
        Strategy::Replace
            | Strategy::Dual(_)
            | Strategy::Told(_)
            | Strategy::Named(..)
            | Strategy::Asked
            | Strategy::CopyOnly
    )
}

/// Puts the steps among those of a strategy: asked with the other copies, and written right after them.
pub(super) fn weave(engine: &Engine, steps: &mut Vec<Step>, blind: &[&CopyView]) {
    let after_last = |steps: &[Step], is: fn(&Action) -> bool| {
        steps.iter().rposition(|step| is(&step.action)).map_or(0, |index| index + 1)
    };
    let checks = after_last(steps, |action| {
        matches!(
            action,
            Action::CheckCopy
                | Action::SealValues
                | Action::SealCopies
                | Action::SealAccepted
                | Action::SealHeld
                | Action::SealNamed(_)
        )
    });
    let detail = "ask whether this copy may be written; what it holds, nobody can read";
    let check =
        |copy: &&CopyView| Step::new(Action::CheckCopy, copy.at.clone(), StepPhase::BeforePivot, detail);
    steps.splice(checks..checks, blind.iter().map(check));
    // Where no copy is written, as a workload is made to name another object, that comes first: it is what may fail.
    let writes = after_last(steps, |action| {
        matches!(
            action,
            Action::WriteCopy
                | Action::Repoint(_)
                | Action::VerifyNew
                | Action::SetAtIssuer
                | Action::AskIssuer
        )
    });
    let post = |copy: &&CopyView| {
        let version = copy.version.as_deref().unwrap_or("not known");
        let known = if is_unmarked(engine, &copy.at) {
            format!("without a marker, as there is no room for one (last written: {version})")
        } else {
            format!("with a marker (now version {version})")
        };
        let detail = format!("put the new value there, {known}; it is written, and cannot be read back");
        Step::new(Action::PostCopy, copy.at.clone(), StepPhase::AfterPivot, detail)
    };
    steps.splice(writes..writes, blind.iter().map(post));
}

/// What the reader of a plan should know.
pub(super) fn notes<'c>(engine: &'c Engine, blind: &'c [&CopyView]) -> impl Iterator<Item = String> + 'c {
    blind.iter().map(|copy| {
        let seen = if is_unmarked(engine, &copy.at) {
            "only the time of the last write can be seen: whether an interrupted write of ours took place cannot, and it is then put there again"
        } else {
            "only its marker can be seen"
        };
        format!(
            "{} shows its value to nobody: that it holds the old one is said by hand or by our own ledger, the new one is put there whole, and {seen}",
            copy.at
        )
    })
}

/// Copies in force at such places.
pub(super) fn blind<'d>(engine: &Engine, detail: &'d CredentialDetail) -> Vec<&'d CopyView> {
    let current = detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current);
    current.filter(|copy| is_blind(engine, &copy.at)).collect()
}
