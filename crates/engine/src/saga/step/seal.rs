//! Read the old value from the copies, make the new one, seal both: durable before the first external effect.

use claviger_backend::{Offer, Overlap, ValueForm, Verdict};
use claviger_core::{
    canonical::{self, Input, Leaf},
    fingerprint::Form,
    model::{CopyStage, Place},
    observation::Bundle,
    password::{self, Rules},
    reference::Ref,
    saga::Action,
    seal::Slot,
    secret::SecretValue,
    ssh_key,
};

use crate::policy::policy_for;

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent, temporary},
    certificate, pending, post,
};

/// What the copies of the plan hold: each value once, with the first place that has it, and how many copies were read.
struct Held<'a> {
    values: Vec<(SecretValue, &'a Ref)>,
    count: usize,
}

impl Held<'_> {
    /// The one value that all of them hold; else the plan was made on an estate that is not there.
    fn one(mut self) -> Result<(SecretValue, usize), Trouble> {
        if let Some((_, at)) = self.values.get(1) {
            return Err(permanent(format!(
                "{at} holds another value than the other copies: nothing was changed; bring them in step, or scan again"
            )));
        }
        let held = self.values.pop().ok_or_else(|| permanent("the plan has no copy to read the value from"));
        held.map(|(value, _)| (value, self.count))
    }
}

async fn held<'a>(cx: &Context<'a>) -> Result<Held<'a>, Trouble> {
    values_in(cx, written(cx)).await
}

/// The one value that all of these places hold, and how many they are.
pub(super) async fn held_in(cx: &Context<'_>, targets: Vec<&Ref>) -> Result<(SecretValue, usize), Trouble> {
    values_in(cx, targets).await?.one()
}

async fn values_in<'a>(cx: &Context<'a>, targets: Vec<&'a Ref>) -> Result<Held<'a>, Trouble> {
    let mut held = Held { values: Vec::new(), count: targets.len() };
    for at in targets {
        let value = read_whole(cx, at)
            .await?
            .ok_or_else(|| permanent(format!("{at} is gone or holds no credential any more: scan again")))?;
        if !held.values.iter().any(|(known, _)| same(known, &value)) {
            held.values.push((value, at));
        }
    }
    Ok(held)
}

/// The copies that the plan writes.
pub(super) fn written<'a>(cx: &Context<'a>) -> Vec<&'a Ref> {
    let record = cx.record;
    let writes = record.plan.steps.iter().filter(|step| step.action == Action::WriteCopy);
    writes.map(|step| &step.target).collect()
}

/// The password rules of the credential's policy.
async fn rules(cx: &Context<'_>) -> Result<Rules, Trouble> {
    let id = cx.record.plan.credential;
    let Some(detail) = cx.engine.ports.inventory.credential(cx.engine.clock.now(), id).await? else {
        return Ok(Rules::default());
    };
    let policy = policy_for(&cx.engine.estate.policies, &detail.credential)
        .map_err(|error| permanent(error.to_string()))?;
    Ok(policy.and_then(|policy| policy.password.clone()).unwrap_or_default())
}

/// `seal-copies`: there is no issuer that could be asked about the value.
pub(super) async fn copies(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let (old, count) = held(cx).await?.one()?;
    let new = rules(cx).await?.generate(cx.engine.random.as_ref());
    let mut done = Done::new(format!("read from {count} of {count} copies; the new value is sealed"))
        .fact("old", handle(cx, &old))
        .fact("new", handle(cx, &new));
    done.seal.push(cx.seal(Slot::Old, &old)?);
    done.seal.push(cx.seal(Slot::New(0), &new)?);
    Ok(Ran::Done(done))
}

/// `seal-accepted`: the issuer makes the new value, so there is only the old one to seal.
pub(super) async fn accepted(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let held = held(cx).await?;
    let count = held.count;
    let Sealed { old, path, .. } = seen_accepted(cx, held).await?;
    let mut done = Done::new(format!("read from {count} of {count} copies and accepted; it is sealed"))
        .fact("old", handle(cx, &old))
        .fact("control", path);
    done.seal.push(cx.seal(Slot::Old, &old)?);
    Ok(Ran::Done(done))
}

/// `seal-values`: the copies must hold the value that the issuer accepts, or an unfinished rotation must have staged it beside one of them.
pub(super) async fn both(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let plan = &cx.record.plan;
    let held = held(cx).await?;
    let count = held.count;
    let Sealed { old, stale, path, said } = match pending::taken_up(cx, &held.values).await? {
        Some(taken_up) => taken_up,
        None => seen_accepted(cx, held).await?,
    };
    let offer = offer(cx)?;
    let new = make(cx).await?;
    let mut done = Done::new(format!("read from {count} of {count} copies{said}; the new value is sealed"))
        .fact("old", handle(cx, &old))
        .fact("new", handle(cx, &new))
        .fact("control", path);
    done.seal.push(cx.seal(Slot::Old, &old)?);
    done.seal.push(cx.seal(Slot::New(0), &new)?);
    if let Some(stale) = stale {
        done = done.fact("stale", handle(cx, &stale));
        done.seal.push(cx.seal(Slot::Stale, &stale)?);
    }
    // Where the old value goes on there is nothing to be put back.
    if offer.overlap == Overlap::None
        && let Some(saved) = cx.issuer()?.snapshot(&plan.subject).await?
    {
        done.seal.push(cx.seal(Slot::Restore, &saved.0)?);
    }
    Ok(Ran::Done(done))
}

/// The value that works before the rotation.
pub(super) struct Sealed {
    pub(super) old: SecretValue,
    /// What copies hold instead of it.
    pub(super) stale: Option<SecretValue>,
    /// Where it was accepted.
    pub(super) path: String,
    /// How it was found, for the operator.
    pub(super) said: String,
}

async fn seen_accepted(cx: &Context<'_>, held: Held<'_>) -> Result<Sealed, Trouble> {
    let (old, _) = held.one()?;
    let probe = cx.issuer()?.verify(&cx.record.plan.subject, &old).await?;
    match probe.verdict {
        Verdict::Accepted => {
            Ok(Sealed { old, stale: None, path: probe.path, said: " and accepted".to_owned() })
        }
        Verdict::Refused(evidence) => Err(permanent(format!(
            "the value in the copies is not the one that is accepted ({evidence}): nothing was changed"
        ))),
        Verdict::Inconclusive(why) => {
            Err(temporary(format!("whether the present value is accepted cannot be told: {why}")))
        }
    }
}

fn offer(cx: &Context<'_>) -> Result<Offer, Trouble> {
    let subject = &cx.record.plan.subject;
    let offer = cx.issuer()?.offer(subject);
    offer.ok_or_else(|| permanent(format!("no new value can be issued for {subject} any more")))
}

/// What can be done about values that are refused.
pub(super) fn advice(cx: &Context<'_>) -> Result<&'static str, Trouble> {
    Ok(match offer(cx)?.form {
        ValueForm::Password => "; give the credential's policy a `password` rule that fits the target",
        ValueForm::Uuid | ValueForm::SshKey | ValueForm::NotOurs => "",
    })
}

/// A new value, as its issuer wants it and the policy says.
pub(super) async fn make(cx: &Context<'_>) -> Result<SecretValue, Trouble> {
    Ok(match offer(cx)?.form {
        ValueForm::Password => rules(cx).await?.generate(cx.engine.random.as_ref()),
        ValueForm::Uuid => password::uuid(cx.engine.random.as_ref()),
        ValueForm::SshKey => ssh_key::ed25519(cx.engine.random.as_ref()),
        ValueForm::NotOurs => {
            let subject = &cx.record.plan.subject;
            return Err(permanent(format!("the value of {subject} is made by its issuer")));
        }
    })
}

/// `seal-old`: for a revocation. Of several values that copies hold the one that is accepted; a copy that cannot be read is passed over.
pub(super) async fn old(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let plan = &cx.record.plan;
    let detail = cx.engine.ports.inventory.credential(cx.engine.clock.now(), plan.credential).await?;
    let copies = detail.map(|detail| detail.copies).unwrap_or_default();
    let (mut found, mut unread): (Vec<(SecretValue, Ref)>, _) = (Vec::new(), None);
    for copy in copies.iter().filter(|copy| copy.stage == CopyStage::Current) {
        let readable = cx
            .engine
            .estate
            .member(copy.at.backend())
            .is_ok_and(|member| member.backend.capability().read && member.backend.store().is_some());
        if !readable || post::letterbox(cx, &copy.at)?.is_some() {
            continue;
        }
        match read_whole(cx, &copy.at).await {
            Ok(Some(value)) if found.iter().all(|(known, _)| known.expose() != value.expose()) => {
                found.push((value, copy.at.clone()));
            }
            Ok(_) => {}
            Err(Trouble::Step(failure)) => unread = Some(failure.message),
            Err(fatal) => return Err(fatal),
        }
    }
    let tried =
        plan.steps.iter().any(|step| matches!(step.action, Action::ControlProbe | Action::ProveDisabled));
    let mut chosen = 0;
    for (index, (value, _)) in found.iter().enumerate().filter(|_| tried && found.len() > 1) {
        let probe = cx.issuer()?.verify(&plan.subject, value).await;
        if probe.is_ok_and(|probe| probe.verdict == Verdict::Accepted) {
            chosen = index;
            break;
        }
    }
    match (found.get(chosen), unread) {
        (Some((value, at)), _) => {
            let mut done = Done::new(format!("read from {at}")).fact("old", handle(cx, value));
            done.seal.push(cx.seal(Slot::Old, value)?);
            Ok(Ran::Done(done))
        }
        (None, Some(why)) if !cx.forced() => Err(temporary(format!(
            "no copy could be read: {why}; without the value nobody can prove that it is refused, and `--force` goes on without"
        ))),
        (None, _) => {
            Ok(Ran::Done(Done::new("no copy holds the value any more: the best verdict is `attested`")))
        }
    }
}

/// The credential within a copy. `None` where the field is gone or holds none at this place.
pub(super) async fn read_leaf(cx: &Context<'_>, at: &Ref) -> Result<Option<SecretValue>, Trouble> {
    let Some(stored) = cx.store(at)?.read(at).await? else { return Ok(None) };
    Ok(leaf(at, &stored.value))
}

/// The same as its holder uses it: of a key pair the private key as it lies there, where the leaf is its public half.
pub(in crate::saga) async fn read_whole(cx: &Context<'_>, at: &Ref) -> Result<Option<SecretValue>, Trouble> {
    let Some(stored) = cx.store(at)?.read(at).await? else { return Ok(None) };
    Ok(whole(at, &stored.value))
}

/// The same of a field that was read.
pub(super) fn whole(at: &Ref, value: &SecretValue) -> Option<SecretValue> {
    let leaf = leaf_at(at, value)?;
    if leaf.form == Form::Text {
        return Some(leaf.canonical);
    }
    canonical::value_at(value, &pointer(at, value))
}

/// Are two values one credential? Of key pairs the public half says so, whatever they are written as.
pub(super) fn same(one: &SecretValue, other: &SecretValue) -> bool {
    one.expose() == other.expose() || public_half(one).is_some_and(|half| is_held(&half, other))
}

/// Is what a copy holds, as [`leaf`] gives it, this value? That is the public half where the value is a private key.
pub(super) fn is_held(present: &SecretValue, value: &SecretValue) -> bool {
    present.expose() == value.expose()
        || public_half(value).is_some_and(|half| half.expose() == present.expose())
}

/// Finds the leaf that a copy's ref means in its field's value.
pub(super) fn leaf(at: &Ref, value: &SecretValue) -> Option<SecretValue> {
    Some(leaf_at(at, value)?.canonical)
}

/// The same, with all that is known of it.
pub(crate) fn leaf_at(at: &Ref, value: &SecretValue) -> Option<Leaf> {
    let field = at.field_name().unwrap_or_default();
    let bundle = Bundle::default();
    let key = field.split('/').next().unwrap_or_default();
    let input = Input { key, place: Place::SecretStore, kind: None, bundle: &bundle };
    let mut leaves = canonical::leaves(&input, value);
    // The ref is the field, or the field and the leaf's pointer.
    let position = leaves.iter().position(|leaf| {
        leaf.pointer.is_empty() || field.ends_with(&format!("/{}", leaf.pointer)) || field == leaf.pointer
    })?;
    Some(leaves.swap_remove(position))
}

/// Of a private key the public half, by which its copies are known. `None` where the value is none.
pub(in crate::saga) fn public_half(value: &SecretValue) -> Option<SecretValue> {
    let whole = Ref::from_text(String::new());
    leaf_at(&whole, value).filter(|leaf| leaf.form == Form::Spki).map(|leaf| leaf.canonical)
}

/// The pointer of that leaf.
pub(super) fn pointer(at: &Ref, value: &SecretValue) -> String {
    let field = at.field_name().unwrap_or_default();
    let bundle = Bundle::default();
    let key = field.split('/').next().unwrap_or_default();
    let input = Input { key, place: Place::SecretStore, kind: None, bundle: &bundle };
    canonical::leaves(&input, value)
        .into_iter()
        .map(|leaf| leaf.pointer)
        .find(|pointer| !pointer.is_empty() && (field.ends_with(&format!("/{pointer}")) || field == pointer))
        .unwrap_or_default()
}

/// A short name of a value that people can compare: the first 16 digits of its keyed fingerprint.
pub(super) fn handle(cx: &Context<'_>, value: &SecretValue) -> String {
    let mut text = certificate::fingerprint(cx, value).unwrap_or_else(|| cx.fingerprint(value)).to_string();
    text.truncate(16);
    text
}
