//! The steps of `alternating/1`.

use std::collections::BTreeSet;

use claviger_backend::Pairing;
use claviger_core::{
    model::ConsumerHow,
    reference::Ref,
    saga::{Action, Pair, Step, StepPhase},
};

use super::{End, adopt, plural, refused};

pub(in crate::plan) fn alternating(
    subject: &Ref,
    pairing: &Pairing,
    objects: Vec<Vec<Pair>>,
    consumers: &[(Ref, ConsumerHow)],
    end: End,
) -> Vec<Step> {
    use StepPhase::{AfterPivot, BeforePivot, Pivot};
    let standby = &pairing.standby;
    let step = |action, at: &Ref, phase, detail: String| Step::new(action, at.clone(), phase, detail);
    let count: usize = objects.iter().map(Vec::len).sum();
    let copies = plural(count, "copy", "copies");
    let detail = format!(
        "read user name and password from {copies} and show that they are accepted; make the password of {standby}; seal both in the journal"
    );
    let mut steps = vec![step(Action::SealUser, subject, BeforePivot, detail)];
    let fields: BTreeSet<&Ref> = objects.iter().flatten().map(|pair| &pair.secret.field).collect();
    for field in fields {
        let detail = "ask whether this copy may be written".to_owned();
        steps.push(step(Action::CheckCopy, field, BeforePivot, detail));
    }
    let does = if pairing.exists { "let it log in" } else { "make it, and let it log in" };
    let detail = format!("{does} with the new password; {subject} goes on working");
    steps.push(step(Action::WakeUser(pairing.name.clone()), standby, BeforePivot, detail));
    let detail = "log in as the other user with the new password".to_owned();
    steps.push(step(Action::VerifyNew, subject, BeforePivot, detail));
    let detail = "see that both users are the same to the target".to_owned();
    steps.push(step(Action::CompareUsers, subject, BeforePivot, detail));
    for (index, pairs) in objects.into_iter().enumerate() {
        let phase = if index == 0 { Pivot } else { AfterPivot };
        let Some(target) = pairs.first().map(|pair| pair.copy.clone()) else { continue };
        let places: BTreeSet<_> = pairs.iter().map(|pair| pair.id.field.as_str()).collect();
        let places: Vec<_> = places.into_iter().collect();
        let detail = format!(
            "write the user's name ({}) and {} together, by compare-and-set",
            places.join(", "),
            plural(pairs.len(), "password", "passwords")
        );
        steps.push(step(Action::WritePairs(pairs), &target, phase, detail));
    }
    let End { grace, token, at_once, .. } = end;
    steps.extend(adopt(consumers, at_once));
    let detail = match grace {
        0 => "see that no session of the old user is left".to_owned(),
        grace => format!("see in samples that for {grace} s there is no session of the old user"),
    };
    steps.push(step(Action::AwaitNoSessions(grace), subject, AfterPivot, detail));
    let detail = "let the old user log in no more: it could still be enabled again".to_owned();
    steps.push(step(Action::Disable, subject, AfterPivot, detail));
    let detail = "take the old user's password away: it rests until the next turn".to_owned();
    steps.push(step(Action::Revoke(Some(token)), subject, AfterPivot, detail));
    steps.push(refused(subject));
    steps
}
