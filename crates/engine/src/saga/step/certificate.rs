//! A certificate with its private key, made again: the copies are read, a new pair is made and sealed, checked, and written into all fields of
//! each object at once.
//!
//! The pair is made when it is sealed and never after that: whoever takes the saga up writes what was sealed. No answer can be lost, as nobody
//! is asked for it; and as nobody can refuse a certificate, what is said of the old one in the end is until when it is valid.

use std::collections::BTreeMap;

use claviger_backend::{ErrorKind, Expect, Field};
use claviger_core::{
    certificate::{self, Identity, Signer, Unfit},
    fingerprint::{Fingerprint, Form},
    reference::Ref,
    saga::{Action, Holder, SagaPlan, Step},
    seal::Slot,
    secret::SecretValue,
};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent, temporary},
    Seen, probe, seal,
};

/// The fields of one object, all of one version.
struct Object {
    version: String,
    fields: BTreeMap<Ref, SecretValue>,
}

impl Object {
    fn field(&self, at: &Ref) -> Result<&SecretValue, Trouble> {
        self.fields.get(at).ok_or_else(|| permanent(format!("{at} is gone")))
    }

    fn identity(&self, holder: &Holder) -> Result<Identity, Trouble> {
        Identity::find(self.field(&holder.certificate)?, self.field(&holder.key)?)
            .map_err(|unfit| permanent(format!("{}: {unfit}", holder.certificate)))
    }

    fn holds(&self, holder: &Holder, identity: &Identity) -> Result<bool, Trouble> {
        let trusts = match &holder.trust {
            Some(trust) => identity.is_in(self.field(trust)?),
            None => true,
        };
        let (certificate, key) = (self.field(&holder.certificate)?, self.field(&holder.key)?);
        Ok(trusts && identity.is_in(certificate) && identity.key_is_in(key))
    }

    /// The fields with `new` in the place of `old`.
    fn rewritten(
        &self,
        holder: &Holder,
        old: &Identity,
        new: &Identity,
    ) -> Result<Vec<(Ref, SecretValue)>, Trouble> {
        let gone = |at: &Ref| permanent(format!("{at} cannot be rewritten: what it held is gone"));
        let mut fields: BTreeMap<Ref, SecretValue> = BTreeMap::new();
        for at in [Some(&holder.certificate), holder.trust.as_ref()].into_iter().flatten() {
            let written = old.replaced_in(self.field(at)?, new).ok_or_else(|| gone(at))?;
            fields.insert(at.clone(), written);
        }
        // Both may lie in one field.
        let present = fields.remove(&holder.key);
        let present = present.as_ref().map_or_else(|| self.field(&holder.key), Ok)?;
        let key = old.key_replaced_in(present, new).ok_or_else(|| gone(&holder.key))?;
        fields.insert(holder.key.clone(), key);
        Ok(fields.into_iter().collect())
    }
}

async fn read(cx: &Context<'_>, holder: &Holder) -> Result<Object, Trouble> {
    let (mut fields, mut version) = (BTreeMap::new(), None);
    for at in [Some(&holder.certificate), Some(&holder.key), holder.trust.as_ref()].into_iter().flatten() {
        let stored = cx.store(at)?.read(at).await?;
        let stored = stored.ok_or_else(|| permanent(format!("{at} is gone: scan again")))?;
        if version.as_ref().is_some_and(|version| *version != stored.version) {
            return Err(temporary(format!("{} was changed while it was read", at.object())));
        }
        version = Some(stored.version);
        fields.insert(at.clone(), stored.value);
    }
    let version = version.ok_or_else(|| permanent("there is no field to read"))?;
    Ok(Object { version, fields })
}

/// Is this the rotation of a certificate, or the rollback of one?
pub(super) fn is_one(plan: &SagaPlan) -> bool {
    plan.steps.iter().any(|step| matches!(step.action, Action::WriteCertificate(_)))
}

/// The objects that the plan writes.
fn holders<'a>(cx: &Context<'a>) -> impl Iterator<Item = &'a Holder> + use<'a> {
    let record = cx.record;
    record.plan.steps.iter().filter_map(|step| match &step.action {
        Action::WriteCertificate(holder) => Some(holder),
        _ => None,
    })
}

/// The fingerprint of a pair as its copies have it; `None` for any other value.
pub(super) fn fingerprint(cx: &Context<'_>, packed: &SecretValue) -> Option<Fingerprint> {
    let spki = Identity::unpack(packed)?.spki()?;
    Some(cx.engine.keys.fingerprint.fingerprint(Form::Spki, &spki))
}

async fn sealed(cx: &Context<'_>, slot: Slot) -> Result<Identity, Trouble> {
    let packed = cx.must_open(slot).await?;
    Identity::unpack(&packed).ok_or_else(|| permanent("what is sealed is no certificate with its key"))
}

async fn authority(cx: &Context<'_>, holder: Option<&Holder>) -> Result<Option<Identity>, Trouble> {
    let Some(holder) = holder else { return Ok(None) };
    Ok(Some(read(cx, holder).await?.identity(holder)?))
}

/// `seal-certificate`.
pub(super) async fn seal(cx: &Context<'_>, signer: Option<&Holder>) -> Result<Ran, Trouble> {
    let (mut old, mut count): (Option<Identity>, usize) = (None, 0);
    for holder in holders(cx) {
        let held = read(cx, holder).await?.identity(holder)?;
        if old.as_ref().is_some_and(|old| old.certificate() != held.certificate()) {
            return Err(permanent(format!(
                "{} holds another certificate than the other objects: nothing was changed; bring them in step, or scan again",
                holder.certificate
            )));
        }
        (old, count) = (Some(held), count + 1);
    }
    let old = old.ok_or_else(|| permanent("the plan has no object to read the certificate from"))?;
    let authority = authority(cx, signer).await?;
    let by = authority.as_ref().map_or(old.certificate(), Identity::certificate);
    if !certificate::is_signed_by(old.certificate(), by) {
        let who = signer.map_or("itself", |signer| signer.certificate.as_str());
        return Err(permanent(format!("the certificate is no longer one that {who} has signed: scan again")));
    }
    let signer = authority.as_ref().map_or(Signer::Itself, Signer::Authority);
    let now = cx.engine.clock.now();
    let unfit = |unfit: Unfit| permanent(format!("no other can be made: {unfit}"));
    let new = certificate::reissue(&old, &signer, now, cx.engine.random.as_ref()).map_err(unfit)?;
    let facts = new.facts().map_err(unfit)?;
    let (packed_old, packed_new) = (old.pack(), new.pack());
    let mut done = Done::new(format!(
        "read from {count} of {count} objects; another with serial number {} is made and sealed",
        facts.serial
    ))
    .fact("old", seal::handle(cx, &packed_old))
    .fact("new", seal::handle(cx, &packed_new))
    .fact("serial", facts.serial);
    done.seal.push(cx.seal(Slot::Old, &packed_old)?);
    done.seal.push(cx.seal(Slot::New(0), &packed_new)?);
    Ok(Ran::Done(done))
}

/// `verify-certificate`, before anybody is given it.
pub(super) async fn verify(cx: &Context<'_>, signer: Option<&Holder>) -> Result<Ran, Trouble> {
    let (old, new) = (sealed(cx, Slot::Old).await?, sealed(cx, Slot::New(0)).await?);
    let authority = authority(cx, signer).await?;
    let by = authority.as_ref().map(Identity::certificate);
    certificate::check(old.certificate(), &new, by, cx.engine.clock.now()).map_err(|wrong| {
        permanent(format!("the new certificate cannot take the old one's place: {wrong}"))
    })?;
    let done = Done::new("its key is its own, its signature holds, and it says what the old one said");
    Ok(Ran::Done(done))
}

/// `write-certificate`. The object is read, exactly certificate and key are replaced, and all fields are written at once if nobody wrote in between.
pub(super) async fn write(cx: &Context<'_>, step: &Step, holder: &Holder) -> Result<Ran, Trouble> {
    let (old, new) = (sealed(cx, Slot::Old).await?, sealed(cx, Slot::New(0)).await?);
    let object = read(cx, holder).await?;
    if object.holds(holder, &new)? {
        return Ok(Ran::Done(written(cx, object.version, &new)));
    }
    if !object.holds(holder, &old)? {
        // Somebody else changed it between our reading and now: overwriting could lose their value.
        return Err(permanent(format!(
            "{} was changed by somebody else since the rotation began: it holds neither the old pair nor the new one",
            step.target.object()
        )));
    }
    let values = object.rewritten(holder, &old, &new)?;
    // The certificate's field first: it is the one that the step is named after.
    let mut fields: Vec<_> = values.iter().map(|(at, value)| Field { at, value }).collect();
    fields.sort_by_key(|field| *field.at != step.target);
    let (store, operation) = (cx.store(&step.target)?, cx.operation(step));
    let expect = Expect::Version(object.version);
    let result = match fields.as_slice() {
        [only] => store.write(&operation, only.at, only.value, &expect).await,
        fields => store.write_together(&operation, fields, &expect).await,
    };
    match result {
        Ok(version) => Ok(Ran::Done(written(cx, version, &new))),
        // Somebody wrote in between, perhaps a sibling field: read again and decide anew.
        Err(error) if error.kind() == ErrorKind::Conflict => {
            Err(temporary(format!("{} was written by somebody else at the same time", step.target.object())))
        }
        Err(error) => Err(error.into()),
    }
}

/// Did an interrupted write happen?
pub(super) async fn observe(cx: &Context<'_>, holder: &Holder) -> Result<Seen, Trouble> {
    let new = sealed(cx, Slot::New(0)).await?;
    let object = read(cx, holder).await?;
    Ok(if object.holds(holder, &new)? {
        Seen::Happened(written(cx, object.version, &new))
    } else {
        Seen::NotHappened("it does not hold the new certificate".to_owned())
    })
}

/// `conclude`: whoever trusts the old certificate's authority goes on trusting it until it ends.
pub(super) async fn concluded(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let (old, new) = (sealed(cx, Slot::Old).await?, sealed(cx, Slot::New(0)).await?);
    let mut places = Vec::new();
    for holder in holders(cx) {
        if !read(cx, holder).await?.holds(holder, &new)? {
            return Err(permanent(format!(
                "{} no longer holds the new certificate: somebody else changed it",
                holder.certificate.object()
            )));
        }
        places.push(holder.certificate.clone());
    }
    let dates = |identity: &Identity| identity.facts().map(|facts| (facts.not_before, facts.not_after));
    let unread = |unfit: Unfit| permanent(unfit.to_string());
    let end = dates(&old).map_err(unread)?.1;
    let end = end.map_or_else(String::new, |end| format!(" until {}", end.format("%Y-%m-%dT%H:%M:%SZ")));
    let detail = format!(
        "every copy holds the new certificate and its key; nobody can be asked to refuse the old one, which whoever has a copy of its key can use{end}"
    );
    let ran = probe::finish(cx, "unprovable", None, None, detail).await?;
    if let (Some(made), Some(ends)) = dates(&new).map_err(unread)? {
        cx.engine.ports.inventory.record_validity(&places, made, ends).await?;
    }
    Ok(ran)
}

fn written(cx: &Context<'_>, version: String, new: &Identity) -> Done {
    let mut done = Done::new(format!("holds the new certificate and its key, version {version}"));
    if let Some(spki) = new.spki() {
        let fingerprint = cx.engine.keys.fingerprint.fingerprint(Form::Spki, &spki);
        done = done.fact("fingerprint", fingerprint.to_string());
    }
    done.fact("version", version)
}
