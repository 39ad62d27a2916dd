//! The steps of `replace-root/1`.

use claviger_core::{
    reference::Ref,
    saga::{Action, Login, Step, StepPhase},
};

use super::refused;

pub(in crate::plan) fn root(subject: &Ref, login: Option<Login>) -> Vec<Step> {
    use StepPhase::{AfterPivot, BeforePivot, Pivot};
    let step = |action, phase, detail: String| Step::new(action, subject.clone(), phase, detail);
    let detail = match &login {
        Some(Login { at, copy: Some(copy), .. }) => {
            format!("read the value from {copy} and show that it is accepted as {at}; seal it in the journal")
        }
        Some(Login { at, .. }) => format!("note which value {at} has, of which no copy can be read"),
        None => "see that its engine has it".to_owned(),
    };
    let tried = login.as_ref().filter(|login| login.copy.is_some()).map(|login| login.at.clone());
    let mut steps = vec![step(Action::NoteRoot(login.clone()), BeforePivot, detail)];
    let detail =
        "have its engine change it; the old one ends, and afterwards only the engine can log in as it";
    steps.push(step(Action::RotateRoot(login), Pivot, detail.to_owned()));
    let detail = "have its engine log in with the new value".to_owned();
    steps.push(step(Action::VerifyRoot, AfterPivot, detail));
    let detail = "take its engine's word: there is no copy of the old value that could be tried".to_owned();
    steps.push(tried.map_or_else(|| step(Action::AttestRoot, AfterPivot, detail), |at| refused(&at)));
    steps
}
