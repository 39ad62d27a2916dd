//! Certificates with their private keys: where both lie, who signs the next one, and whom it would hurt.
//!
//! Claviger makes another one where it can: signed by itself as the old one was, or by an authority whose key lies in a readable copy. Everything
//! else is for whoever issues it. Whoever trusts a certificate that signs itself holds it: the field beside it that says whom to trust
//! (`ca.crt`) is written with it, and a copy of the certificate alone, in another object or where a system is told whom to trust, is a reason to
//! refuse, unless that is accepted.

use std::collections::{BTreeMap, BTreeSet};

use claviger_core::{
    certificate::{self, Identity},
    model::{CopyStage, CredentialKind},
    reference::Ref,
    saga::Holder,
    secret::SecretValue,
    view::{CopyView, CredentialDetail},
};
use claviger_store::port::Selection;

use super::{Refusal, refuse};
use crate::Engine;

/// The field of an object that says whom its readers trust.
const TRUST: &str = "ca.crt";
/// Certificates that are looked at to find who signed, or who was signed.
const MOST_LOOKED_AT: usize = 256;

/// What is made again, and where it goes.
pub(super) struct Reissue {
    pub(super) holders: Vec<Holder>,
    pub(super) authority: Option<Holder>,
    pub(super) notes: Vec<String>,
    /// It signs itself, so that whoever checks it needs the new one.
    pub(super) signs_itself: bool,
}

fn text<'c>(copy: &'c CopyView, key: &str) -> &'c str {
    copy.attributes.get(key).and_then(|value| value.as_str()).unwrap_or_default()
}

fn is_true(copy: &CopyView, key: &str) -> bool {
    copy.attributes.get(key).and_then(serde_json::Value::as_bool) == Some(true)
}

fn has_certificate(copy: &CopyView) -> bool {
    copy.attributes.contains_key("certificate_subject")
}

fn has_key(copy: &CopyView) -> bool {
    matches!(text(copy, "value_format"), "pkcs1" | "pkcs8" | "sec1")
}

fn counts(copy: &&CopyView) -> bool {
    copy.stage == CopyStage::Current
        && !copy.attributes.contains_key("document")
        && (has_certificate(copy) || has_key(copy))
}

/// Is it a key pair of X.509, of which a copy is a field of its own?
pub(super) fn is_one(detail: &CredentialDetail) -> bool {
    matches!(detail.credential.kind, CredentialKind::Certificate | CredentialKind::PrivateKey)
        && detail.copies.iter().any(|copy| counts(&copy))
}

/// Finds all that is needed.
pub(super) async fn reissue(
    engine: &Engine,
    detail: &CredentialDetail,
    writable: &[&CopyView],
    leave: bool,
) -> Result<Reissue, Refusal> {
    let at = &detail.credential.at;
    unmanaged(detail)?;
    if let Some(copy) = writable.iter().find(|copy| !counts(copy)) {
        let text = format!("{} holds it within another document: change it at its source", copy.at);
        return Err(refuse(at, "tls-form", text));
    }
    let (mut holders, mut trusting) = (Vec::new(), Vec::new());
    for copies in by_object(writable).into_values() {
        match holder(engine, at, &copies).await? {
            Some(holder) => holders.push(holder),
            None => trusting.extend(copies.iter().map(|copy| copy.at.clone())),
        }
    }
    let mut own: Option<Identity> = None;
    for holder in &mut holders {
        let found = identity(engine, at, holder).await?;
        if own.as_ref().is_some_and(|own| own.certificate() != found.certificate()) {
            let text = format!(
                "{} holds another certificate for the same key: bring them in step",
                holder.certificate
            );
            return Err(refuse(at, "copies-differ", text));
        }
        let beside = holder.certificate.object().field(TRUST);
        if beside != holder.certificate
            && beside != holder.key
            && read(engine, &beside).await?.is_some_and(|value| found.is_in(&value))
        {
            holder.trust = Some(beside);
        }
        own = Some(found);
    }
    let Some(own) = own else {
        let text = "no object that claviger can write holds both the certificate and its key";
        return Err(refuse(at, "no-copy", text));
    };
    own.fits().map_err(|unfit| refuse(at, "tls-form", unfit.to_string()))?;
    let facts = own.facts().map_err(|unfit| refuse(at, "tls-form", unfit.to_string()))?;
    let all = engine.ports.inventory.copies(&Selection::default()).await;
    let all =
        all.map_err(|error| refuse(at, "inventory", format!("other copies could not be read: {error}")))?;
    let mut notes = Vec::new();
    if facts.is_ca {
        signs_nobody(engine, detail, &own, &facts.subject, &all).await?;
        notes.push(
            "it is a certificate authority's: what it has signed outside of what scans have read is no longer trusted by whoever trusts the new one"
                .to_owned(),
        );
    }
    let signs_itself = certificate::is_signed_by(own.certificate(), own.certificate());
    if signs_itself {
        let (places, unread) = trusted_at(engine, &own).await;
        trusting.extend(places);
        notes.extend(unread);
    }
    let authority = match signs_itself {
        true => None,
        false => Some(authority(engine, at, &own, &facts.issuer, &all).await?),
    };
    if let Some((first, _)) = trusting.split_first().filter(|_| !leave) {
        let names: Vec<_> = trusting.iter().map(Ref::as_str).collect();
        let reason = format!(
            "{} the certificate without its key, so somebody trusts it there: have a certificate authority sign one and trusted there first, or accept that {first} keeps the old one, which will no longer fit, with `--leave-stale`",
            match names.as_slice() {
                [one] => format!("{one} holds"),
                many => format!("{} hold", many.join(", ")),
            }
        );
        return Err(refuse(at, "trusted-elsewhere", reason));
    }
    notes.extend(
        trusting.iter().map(|copy| format!("{copy} holds the certificate alone and keeps the old one")),
    );
    notes.push(match &authority {
        Some(authority) => format!(
            "signed by {}: whoever trusts that accepts the old one and the new one",
            authority.certificate.object()
        ),
        None => "it signs itself: whoever trusts it has a copy of it, and outside of the systems that claviger reads it must be given the new one by hand".to_owned(),
    });
    notes.push(
        "nobody can be asked to refuse the old certificate: what is said of it at the end is until when it is valid"
            .to_owned(),
    );
    Ok(Reissue { holders, authority, notes, signs_itself })
}

/// Where it is trusted beside stores of secrets, asked of every system that is told whom to trust; and what could not be looked through.
async fn trusted_at(engine: &Engine, own: &Identity) -> (Vec<Ref>, Vec<String>) {
    let (mut places, mut unread) = (Vec::new(), Vec::new());
    for member in engine.estate.members() {
        let Some(trusting) = member.backend.trusting() else { continue };
        match trusting.trusted_at(own.certificate()).await {
            Ok(found) => {
                places.extend(found.at);
                unread.extend(found.unread);
            }
            Err(error) => {
                unread.push(format!("`{}`: {}", member.backend.info().name, error.message()));
            }
        }
    }
    let told =
        |what: String| format!("whether it is trusted there is not known, as it could not be read: {what}");
    (places, unread.into_iter().map(told).collect())
}

/// What another system writes, that would write back.
fn unmanaged(detail: &CredentialDetail) -> Result<(), Refusal> {
    let at = &detail.credential.at;
    let managed = detail.copies.iter().filter(counts).find(|copy| copy.attributes.contains_key("managed_by"));
    let Some(copy) = managed else { return Ok(()) };
    let system = text(copy, "managed_by");
    let source = match system.strip_prefix("cert-manager/").or_else(|| system.strip_prefix("Certificate/")) {
        Some(name) => format!(
            "renew the Certificate `{name}` there (`cmctl renew {name}`), with `privateKey.rotationPolicy: Always` so that its key changes too"
        ),
        None => "change it at its source".to_owned(),
    };
    let reason = format!("{} is managed by {system}, which would write it back: {source}", copy.at.object());
    Err(refuse(at, "managed-elsewhere", reason))
}

fn by_object<'c>(copies: &[&'c CopyView]) -> BTreeMap<Ref, Vec<&'c CopyView>> {
    let mut objects: BTreeMap<Ref, Vec<&CopyView>> = BTreeMap::new();
    for copy in copies {
        objects.entry(copy.at.object()).or_default().push(copy);
    }
    objects
}

/// Where an object has both halves; `None` where it has the certificate alone.
async fn holder(engine: &Engine, at: &Ref, copies: &[&CopyView]) -> Result<Option<Holder>, Refusal> {
    let keys: Vec<_> = copies.iter().filter(|copy| has_key(copy)).collect();
    let certificates: Vec<_> = copies.iter().filter(|copy| has_certificate(copy)).collect();
    let (certificate, key) = match (certificates.as_slice(), keys.as_slice()) {
        (_, []) => return Ok(None),
        ([certificate], [key]) => (certificate.at.clone(), key.at.clone()),
        ([], [key]) => {
            let Some(beside) = beside(engine, &key.at).await? else {
                let text = format!(
                    "no certificate is found beside {}: its key alone says nothing of what to make",
                    key.at
                );
                return Err(refuse(at, "no-certificate", text));
            };
            (beside, key.at.clone())
        }
        (_, [first, ..]) => {
            let text = format!("{} holds it in more than one field", first.at.object());
            return Err(refuse(at, "tls-form", text));
        }
    };
    let together =
        engine.estate.member(key.backend()).is_ok_and(|member| member.backend.capability().write_together);
    if certificate != key && !together {
        let text = format!("the store of {} cannot change two fields at once", key.object());
        return Err(refuse(at, "tls-form", text));
    }
    Ok(Some(Holder { certificate, key, trust: None }))
}

/// The field of the same object that is named as the certificate of this key: an authority's is not listed, as it is public.
async fn beside(engine: &Engine, key: &Ref) -> Result<Option<Ref>, Refusal> {
    let Some(stem) = key.field_name().and_then(|field| field.strip_suffix(".key")) else { return Ok(None) };
    for ending in ["crt", "pem", "cert"] {
        let at = key.object().field(&format!("{stem}.{ending}"));
        if read(engine, &at).await?.is_some() {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

async fn read(engine: &Engine, at: &Ref) -> Result<Option<SecretValue>, Refusal> {
    let member = engine.estate.member(at.backend()).ok().filter(|member| member.backend.capability().read);
    let Some(store) = member.and_then(|member| member.backend.store()) else { return Ok(None) };
    match store.read(at).await {
        Ok(stored) => Ok(stored.map(|stored| stored.value)),
        Err(error) => {
            let reason = format!("what it holds could not be read: {}", error.message());
            Err(refuse(at, "copy-unread", reason))
        }
    }
}

async fn identity(engine: &Engine, at: &Ref, holder: &Holder) -> Result<Identity, Refusal> {
    let gone = |place: &Ref| refuse(at, "copy-unread", format!("{place} is gone: scan again"));
    let certificate = read(engine, &holder.certificate).await?.ok_or_else(|| gone(&holder.certificate))?;
    let key = read(engine, &holder.key).await?.ok_or_else(|| gone(&holder.key))?;
    Identity::find(&certificate, &key)
        .map_err(|unfit| refuse(at, "tls-form", format!("{}: {unfit}", holder.certificate)))
}

/// Refuses an authority whose signatures others show: a new one would have to be trusted first.
async fn signs_nobody(
    engine: &Engine,
    detail: &CredentialDetail,
    own: &Identity,
    subject: &str,
    all: &[CopyView],
) -> Result<(), Refusal> {
    let at = &detail.credential.at;
    let mut signed = BTreeSet::new();
    let others = all
        .iter()
        .filter(|copy| copy.stage == CopyStage::Current && copy.credential != detail.credential.id)
        .filter(|copy| has_certificate(copy) && text(copy, "issuer") == subject);
    for copy in others.take(MOST_LOOKED_AT) {
        // What cannot be read, or not understood, names it as its issuer all the same.
        let value = read(engine, &copy.at).await.ok().flatten();
        let first = value.as_ref().and_then(certificate::first);
        if first.is_none_or(|first| certificate::is_signed_by(&first, own.certificate())) {
            signed.insert(copy.at.clone());
        }
    }
    if signed.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = signed.iter().take(5).map(Ref::as_str).collect();
    let reason = format!(
        "it has signed {}{}: another authority has to be trusted by everybody before it signs, which is a migration and no rotation; make a second authority, have both trusted, sign with the new one, then remove this one",
        names.join(", "),
        if signed.len() > names.len() {
            format!(" and {} more", signed.len() - names.len())
        } else {
            String::new()
        }
    );
    Err(refuse(at, "signs-others", reason))
}

/// The authority that has signed it, if its key can be read.
async fn authority(
    engine: &Engine,
    at: &Ref,
    own: &Identity,
    issuer: &str,
    all: &[CopyView],
) -> Result<Holder, Refusal> {
    let named = |copy: &CopyView| is_true(copy, "is_ca") && text(copy, "certificate_subject") == issuer;
    let current: Vec<&CopyView> = all.iter().filter(counts).collect();
    let mut looked_at = 0;
    for copies in by_object(&current).into_values() {
        let pairs: BTreeSet<_> =
            copies.iter().filter(|copy| has_key(copy)).map(|copy| copy.credential).collect();
        for pair in pairs {
            let halves: Vec<&CopyView> =
                copies.iter().copied().filter(|copy| copy.credential == pair).collect();
            // A key whose certificate is not listed is an authority's, if it is anybody's.
            let may_be =
                halves.iter().any(|copy| named(copy)) || !halves.iter().any(|copy| has_certificate(copy));
            if !may_be || looked_at >= MOST_LOOKED_AT {
                continue;
            }
            looked_at += 1;
            let Ok(Some(holder)) = holder(engine, at, &halves).await else { continue };
            let Ok(found) = identity(engine, at, &holder).await else { continue };
            if !certificate::is_signed_by(own.certificate(), found.certificate()) {
                continue;
            }
            let now = engine.clock.now();
            let ended = found.facts().is_ok_and(|facts| facts.not_after.is_some_and(|end| end <= now));
            if ended {
                let text = format!(
                    "the certificate of its authority, {}, has ended: rotate that first",
                    holder.certificate
                );
                return Err(refuse(at, "authority-ended", text));
            }
            return Ok(holder);
        }
    }
    let reason = format!(
        "it was signed by `{issuer}`, whose key lies in no copy that claviger can read: have that authority issue another one, or scan the store that holds its key"
    );
    Err(refuse(at, "no-issuer", reason))
}
