//! The steps of `dual-named/1`.

use claviger_core::{
    model::ConsumerHow,
    reference::Ref,
    saga::{Action, Evidence, Quiet, Redirect, Step, StepPhase},
    view::CopyView,
};

use super::{End, adopt, adopted, check, plural, refused, retire::retire, write};

/// Where a value lies that has a name of its own, and who is to be given the new one.
pub(in crate::plan) struct Holders<'p> {
    /// The field in which its issuer keeps it.
    pub(in crate::plan) own: Ref,
    /// The copies that are written.
    pub(in crate::plan) copies: &'p [&'p CopyView],
    /// Those who name the subject itself.
    pub(in crate::plan) pointed: &'p [(Ref, ConsumerHow)],
    /// Those who read a copy.
    pub(in crate::plan) readers: &'p [(Ref, ConsumerHow)],
}

pub(in crate::plan) fn named(subject: &Ref, holders: &Holders<'_>, quiet: Quiet, end: End) -> Vec<Step> {
    use StepPhase::{AfterPivot, BeforePivot, Pivot};
    let step = |action, phase, detail: String| Step::new(action, subject.clone(), phase, detail);
    let Holders { own, copies, pointed, readers } = holders;
    let places = match copies.len() {
        0 => own.to_string(),
        count => format!("{own} and {}", plural(count, "copy", "copies")),
    };
    let detail = format!("read the value from {places} and show that it is accepted; seal it in the journal");
    let mut steps = vec![step(Action::SealNamed(own.clone()), BeforePivot, detail)];
    steps.extend(copies.iter().map(|copy| check(copy)));
    for (consumer, _) in *pointed {
        let detail = "ask whether it may be pointed at another object";
        let action = Action::CheckConsumer(subject.clone());
        steps.push(Step::new(action, consumer.clone(), BeforePivot, detail));
    }
    let detail =
        "have a second one made under a name of its own and seal its value; the old one goes on working";
    steps.push(step(Action::MintByName, BeforePivot, detail.to_owned()));
    steps.push(step(Action::VerifyNew, BeforePivot, "log in with the new value".to_owned()));

    let first = steps.len();
    steps.extend(copies.iter().map(|copy| write(copy, AfterPivot)));
    let turn = |(consumer, _): &(Ref, ConsumerHow)| {
        let redirect = Redirect { from: subject.clone(), to: None };
        let detail = format!("name the new one wherever it names {subject}, and restart it");
        Step::new(Action::Repoint(redirect), consumer.clone(), AfterPivot, detail)
    };
    for few in pointed.chunks(end.at_once.max(1)) {
        steps.extend(few.iter().map(turn));
        steps.extend(few.iter().map(|(consumer, _)| adopted(consumer)));
    }
    // The first who is given the new value is what cannot be taken back unseen.
    if let Some(pivot) = steps.get_mut(first) {
        pivot.phase = Pivot;
    }
    steps.extend(adopt(readers, end.at_once));

    let seen = match (quiet.grain, quiet.least) {
        (0, _) => "see by its issuer's last use that nobody uses the old one since the last consumer moved",
        (_, Evidence::Blind) => {
            "see by its issuer's last use that nobody is seen to use the old one since the last consumer moved: of the time in which it moved the issuer tells nothing, and its policy takes that (blind)"
        }
        _ => {
            "see by its issuer's last use that nobody uses the old one since the last consumer moved: wait until a time of which the issuer can tell it has begun"
        }
    };
    steps.extend(retire(subject, "one", (quiet, seen.to_owned()), end));
    steps.push(refused(subject));
    steps
}
