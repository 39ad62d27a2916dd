//! Key id and secret in a copy, or a user's name and password: read together, and changed together, because either alone lets nobody in.

use std::collections::{BTreeMap, BTreeSet};

use claviger_backend::{ErrorKind, Expect, Field, Verdict};
use claviger_core::{
    canonical,
    reference::Ref,
    saga::{Action, Half, Halves, Pair, Step},
    seal::Slot,
    secret::SecretValue,
};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent, temporary},
    Seen,
    mint::{PUBLIC_HALF, SIBLINGS},
    seal,
};

/// The fields of one object that hold halves, all of one version.
struct Object {
    version: String,
    fields: BTreeMap<Ref, SecretValue>,
}

impl Object {
    fn half(&self, half: &Half) -> Option<SecretValue> {
        canonical::value_at(self.fields.get(&half.field)?, &half.pointer)
    }

    fn holds(&self, pair: &Pair, key: &Key) -> bool {
        let is = |half, value: &SecretValue| {
            self.half(half).is_some_and(|present| present.expose() == value.expose())
        };
        is(&pair.id, &key.id) && is(&pair.secret, &key.secret)
    }
}

/// Both halves of a key, or of a user's login.
struct Key {
    id: SecretValue,
    secret: SecretValue,
}

impl Key {
    async fn old(cx: &Context<'_>) -> Result<Self, Trouble> {
        let id = match handed_over(cx) {
            Some(halves) => halves.later.clone(),
            None => fact(cx, |action| matches!(action, Action::SealPair | Action::SealUser))?,
        };
        Ok(Self { id: SecretValue::from_text(id), secret: cx.must_open(Slot::Old).await? })
    }

    async fn new(cx: &Context<'_>) -> Result<Self, Trouble> {
        let id = match handed_over(cx) {
            Some(halves) => halves.former.clone(),
            None => fact(cx, |action| matches!(action, Action::MintAtIssuer | Action::WakeUser(_)))?,
        };
        Ok(Self { id: SecretValue::from_text(id), secret: cx.new_value().await? })
    }
}

/// The public half that the step with this action left.
fn fact(cx: &Context<'_>, is: impl Fn(&Action) -> bool) -> Result<String, Trouble> {
    let output = cx.record.progress.output(&cx.record.plan, |step| is(&step.action));
    let fact = output.and_then(|output| output.facts.get(PUBLIC_HALF)?.as_str());
    fact.map(str::to_owned).ok_or_else(|| permanent("the journal does not say which pair it is"))
}

/// In a rollback: what the plan says of both ids.
fn handed_over<'a>(cx: &Context<'a>) -> Option<&'a Halves> {
    let record = cx.record;
    record.plan.steps.iter().find_map(|step| match &step.action {
        Action::TakeOver(halves) => halves.as_ref(),
        _ => None,
    })
}

/// `seal-pair`: the copies must hold the subject's id and the secret that is accepted with it.
pub(super) async fn seal(cx: &Context<'_>) -> Result<Ran, Trouble> {
    Ok(Ran::Done(sealed(cx).await?))
}

/// `seal-user`: the same, with the password that the other user will have.
pub(super) async fn seal_user(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let mut done = sealed(cx).await?;
    let new = seal::make(cx).await?;
    done.seal.push(cx.seal(Slot::New(0), &new)?);
    done.output.detail = format!("{}; so is the new one", done.output.detail);
    Ok(Ran::Done(done.fact("new", seal::handle(cx, &new))))
}

async fn sealed(cx: &Context<'_>) -> Result<Done, Trouble> {
    let subject = &cx.record.plan.subject;
    let issuer = cx.issuer()?;
    let siblings = issuer.siblings(subject).await?;
    let own = siblings.iter().find(|sibling| sibling.at == *subject);
    let own = own.ok_or_else(|| permanent(format!("{subject} is gone: scan again")))?;
    if !own.active {
        return Err(permanent(format!("{subject} is suspended: nothing was changed")));
    }
    let id = SecretValue::from_text(own.public_half.clone());
    let mut old: Option<SecretValue> = None;
    let mut count = 0;
    for pairs in objects(cx) {
        let object = read(cx, pairs).await?;
        for pair in pairs {
            let secret = object.half(&pair.secret).ok_or_else(|| gone(pair))?;
            if object.half(&pair.id).ok_or_else(|| gone(pair))?.expose() != id.expose() {
                return Err(permanent(format!("what stands beside {} is not {subject}'s", pair.copy)));
            }
            if old.as_ref().is_some_and(|old| old.expose() != secret.expose()) {
                return Err(permanent(format!(
                    "{} holds another value than the other copies: nothing was changed; bring them in step, or scan again",
                    pair.copy
                )));
            }
            (old, count) = (Some(secret), count + 1);
        }
    }
    let old = old.ok_or_else(|| permanent("the plan has no copy to read the value from"))?;
    let probe = issuer.verify(subject, &old).await?;
    match probe.verdict {
        Verdict::Accepted => {}
        Verdict::Refused(evidence) => {
            return Err(permanent(format!(
                "the pair in the copies is not accepted ({evidence}): nothing was changed"
            )));
        }
        Verdict::Inconclusive(why) => {
            return Err(temporary(format!("whether the present pair is accepted cannot be told: {why}")));
        }
    }
    let known: Vec<_> = siblings.iter().map(|sibling| sibling.at.as_str()).collect();
    let mut done =
        Done::new(format!("read from {count} of {count} copies and accepted; its secret is sealed"))
            .fact("old", seal::handle(cx, &old))
            .fact("control", probe.path)
            .fact(PUBLIC_HALF, own.public_half.as_str())
            .fact(SIBLINGS, known);
    done.seal.push(cx.seal(Slot::Old, &old)?);
    Ok(done)
}

/// `write-pairs`. The object is read, exactly these halves are replaced, and all of them are written at once if nobody wrote in between.
pub(super) async fn write(cx: &Context<'_>, step: &Step, pairs: &[Pair]) -> Result<Ran, Trouble> {
    let (old, new) = (Key::old(cx).await?, Key::new(cx).await?);
    let mut object = read(cx, pairs).await?;
    if pairs.iter().all(|pair| object.holds(pair, &new)) {
        return Ok(Ran::Done(written(cx, object.version, &new)));
    }
    if let Some(changed) = pairs.iter().find(|pair| !object.holds(pair, &old)) {
        // Somebody else changed it between our reading and now: overwriting could lose their value.
        return Err(permanent(format!(
            "{} was changed by somebody else since the rotation began: it holds neither the old pair nor the new one",
            changed.copy
        )));
    }
    // Several secrets may share one id: each place is written once.
    let secrets: BTreeSet<&Half> = pairs.iter().map(|pair| &pair.secret).collect();
    let ids: BTreeSet<&Half> = pairs.iter().map(|pair| &pair.id).collect();
    let changes = secrets.into_iter().map(|half| (half, &old.secret, &new.secret));
    for (half, from, to) in changes.chain(ids.into_iter().map(|half| (half, &old.id, &new.id))) {
        let field =
            object.fields.get(&half.field).ok_or_else(|| permanent(format!("{} is gone", half.field)))?;
        let spliced = canonical::splice(field, &half.pointer, from, to)
            .map_err(|error| permanent(format!("{} cannot be rewritten: {error}", half.field)))?;
        object.fields.insert(half.field.clone(), spliced);
    }
    let (store, operation) = (cx.store(&step.target)?, cx.operation(step));
    let expect = Expect::Version(object.version);
    // The secret's field first: it is the one that the step is named after.
    let mut fields: Vec<_> = object.fields.iter().map(|(at, value)| Field { at, value }).collect();
    fields.sort_by_key(|field| !pairs.iter().any(|pair| pair.secret.field == *field.at));
    let result = match fields.as_slice() {
        [only] => store.write(&operation, only.at, only.value, &expect).await,
        fields => store.write_together(&operation, fields, &expect).await,
    };
    match result {
        Ok(version) => Ok(Ran::Done(written(cx, version, &new))),
        // Somebody wrote in between, perhaps a sibling field: read again and decide anew.
        Err(error) if error.kind() == ErrorKind::Conflict => {
            Err(temporary(format!("{} was written by somebody else at the same time", step.target)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Did an interrupted write happen?
pub(super) async fn observe(cx: &Context<'_>, pairs: &[Pair]) -> Result<Seen, Trouble> {
    let new = Key::new(cx).await?;
    let object = read(cx, pairs).await?;
    Ok(if pairs.iter().all(|pair| object.holds(pair, &new)) {
        Seen::Happened(written(cx, object.version, &new))
    } else {
        Seen::NotHappened("it does not hold the new pair".to_owned())
    })
}

fn written(cx: &Context<'_>, version: String, new: &Key) -> Done {
    Done::new(format!("holds the new id and secret, version {version}"))
        .fact("version", version)
        .fact("fingerprint", cx.fingerprint(&new.secret).to_string())
}

/// The pairs of each object that the plan writes.
fn objects<'a>(cx: &Context<'a>) -> impl Iterator<Item = &'a [Pair]> + use<'a> {
    let record = cx.record;
    record.plan.steps.iter().filter_map(|step| match &step.action {
        Action::WritePairs(pairs) => Some(pairs.as_slice()),
        _ => None,
    })
}

async fn read(cx: &Context<'_>, pairs: &[Pair]) -> Result<Object, Trouble> {
    let (mut fields, mut version) = (BTreeMap::new(), None);
    for pair in pairs {
        for at in [&pair.secret.field, &pair.id.field] {
            if fields.contains_key(at) {
                continue;
            }
            let stored = cx.store(at)?.read(at).await?.ok_or_else(|| gone(pair))?;
            if version.as_ref().is_some_and(|version| *version != stored.version) {
                return Err(temporary(format!("{} was changed while it was read", pair.copy)));
            }
            version = Some(stored.version);
            fields.insert(at.clone(), stored.value);
        }
    }
    let version = version.ok_or_else(|| permanent("there is no pair to read"))?;
    Ok(Object { version, fields })
}

fn gone(pair: &Pair) -> Trouble {
    permanent(format!("{} is gone, or what stands beside it: scan again", pair.copy))
}
