//! The steps of `dual-minted/1`.

use std::collections::BTreeSet;

use claviger_backend::Capability;
use claviger_core::{
    model::ConsumerHow,
    reference::Ref,
    saga::{Action, Pair, Quiet, Step, StepPhase},
};

use super::{adopt, plural, refused, retire::retire};

/// What the end of an old value takes.
pub(in crate::plan) struct End {
    /// How long it is left alone first, in seconds.
    pub(in crate::plan) grace: u64,
    /// The presence token of what is to be ended.
    pub(in crate::plan) token: String,
    pub(in crate::plan) capability: Capability,
    /// How many consumers restart at the same time: both values work, so there is no hurry, and the first one that does not come up is the last.
    pub(in crate::plan) at_once: usize,
}

pub(in crate::plan) fn minted(
    subject: &Ref,
    objects: Vec<Vec<Pair>>,
    consumers: &[(Ref, ConsumerHow)],
    settles_within: u32,
    end: End,
) -> Vec<Step> {
    use StepPhase::{AfterPivot, BeforePivot, Pivot};
    let step = |action, phase, detail: String| Step::new(action, subject.clone(), phase, detail);
    let count: usize = objects.iter().map(Vec::len).sum();
    let mut steps = vec![step(
        Action::SealPair,
        BeforePivot,
        format!(
            "read key id and secret from {} and show that they are accepted; seal the secret; note which keys its identity has",
            plural(count, "copy", "copies")
        ),
    )];
    let fields: BTreeSet<&Ref> = objects.iter().flatten().map(|pair| &pair.secret.field).collect();
    for field in fields {
        let detail = "ask whether this copy may be written";
        steps.push(Step::new(Action::CheckCopy, field.clone(), BeforePivot, detail));
    }
    let detail = "have a second key made and seal its secret; the old one goes on working".to_owned();
    steps.push(step(Action::MintAtIssuer, BeforePivot, detail));
    let detail = format!(
        "wait {settles_within} s, until all of its issuer's servers know it; log in with the new key"
    );
    steps.push(step(Action::VerifyNew, BeforePivot, detail));
    for (index, pairs) in objects.into_iter().enumerate() {
        let phase = if index == 0 { Pivot } else { AfterPivot };
        let Some(target) = pairs.first().map(|pair| pair.copy.clone()) else { continue };
        let places: Vec<_> = pairs.iter().map(|pair| pair.id.field.as_str()).collect();
        let detail = format!(
            "write the new id ({}) and {} together, by compare-and-set",
            places.join(", "),
            plural(pairs.len(), "secret", "secrets")
        );
        steps.push(Step::new(Action::WritePairs(pairs), target, phase, detail));
    }
    steps.extend(adopt(consumers, end.at_once));
    let seen =
        "see by its issuer's last use that nobody uses the old key since the last consumer moved".to_owned();
    steps.extend(retire(subject, "key", (Quiet::exact(end.grace), seen), end));
    steps.push(refused(subject));
    steps
}
