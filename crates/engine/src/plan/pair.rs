//! Copies that hold a key id and its secret, or a user's name and password: where both halves lie, so that they are changed in one write.

use std::collections::BTreeMap;

use claviger_backend::{Issuer, Offer, Pairing, Sibling, Turn, Turns};
use claviger_core::{
    canonical,
    reference::Ref,
    saga::{Half, Pair},
    view::CopyView,
};

use super::{Refusal, refuse};
use crate::Engine;

/// Copies by object, and those that cannot be changed as a pair, each with the reason.
pub(super) struct Paired<'c> {
    pub(super) objects: Vec<Vec<Pair>>,
    pub(super) without: Vec<(&'c CopyView, String)>,
}

/// Finds the id beside each copy's secret, and looks whether it is the subject's. `what` the id is called.
pub(super) async fn paired<'c>(
    engine: &Engine,
    subject: &Ref,
    (what, id): (&str, &str),
    copies: &[&'c CopyView],
) -> Result<Paired<'c>, Refusal> {
    let mut objects: BTreeMap<Ref, Vec<Pair>> = BTreeMap::new();
    let mut without = Vec::new();
    for copy in copies {
        let Some(pair) = places(copy) else {
            without.push((*copy, format!("no {what} is known beside it")));
            continue;
        };
        if pair.secret.field != pair.id.field && !writes_together(engine, copy) {
            without.push((*copy, "its store cannot change two fields at once".to_owned()));
            continue;
        }
        if !holds(engine, &pair.id, id).await? {
            let reason = format!("{} does not hold the {what} of {subject}", pair.id.field);
            return Err(refuse(subject, "another-id", format!("{reason}: bring {} in step", copy.at)));
        }
        objects.entry(pair.secret.field.object()).or_default().push(pair);
    }
    Ok(Paired { objects: objects.into_values().collect(), without })
}

/// Where the scan found both halves.
fn places(copy: &CopyView) -> Option<Pair> {
    let text = |key: &str| copy.attributes.get(key).and_then(|value| value.as_str());
    let half = |field: &str, pointer: &str| {
        Some(Half {
            field: Ref::from_text(text(field)?),
            pointer: text(pointer).unwrap_or_default().to_owned(),
        })
    };
    let secret = half("secret_field", "secret_pointer")?;
    let id = half("key_id_field", "key_id_pointer").or_else(|| half("user_field", "user_pointer"))?;
    Some(Pair { copy: copy.at.clone(), secret, id })
}

fn writes_together(engine: &Engine, copy: &CopyView) -> bool {
    let member = engine.estate.member(copy.at.backend());
    member.is_ok_and(|member| member.backend.capability().write_together)
}

async fn holds(engine: &Engine, half: &Half, id: &str) -> Result<bool, Refusal> {
    let member = engine.estate.member(half.field.backend()).ok();
    let Some(store) = member.and_then(|member| member.backend.store()) else { return Ok(false) };
    match store.read(&half.field).await {
        Ok(Some(stored)) => {
            let found = canonical::value_at(&stored.value, &half.pointer);
            Ok(found.is_some_and(|found| found.expose() == id.as_bytes()))
        }
        Ok(None) => Ok(false),
        Err(error) => {
            let reason = format!("what stands beside its secret could not be read: {}", error.message());
            Err(refuse(&half.field, "copy-unread", reason))
        }
    }
}

/// Who takes over from the subject.
pub(super) async fn turn(turns: &dyn Turns, subject: &Ref) -> Result<Pairing, Refusal> {
    match turns.pair(subject).await {
        Ok(Turn::To(pairing)) => Ok(pairing),
        Ok(Turn::Refused(code, reason)) => Err(refuse(subject, code, reason)),
        Err(error) => {
            let reason = format!("its issuer could not be asked: {}", error.message());
            Err(refuse(subject, "issuer-silent", reason))
        }
    }
}

/// The subject's own name, as copies show it.
pub(super) async fn name(issuer: &dyn Issuer, subject: &Ref) -> Result<String, Refusal> {
    let siblings = issuer.siblings(subject).await.map_err(|error| {
        refuse(subject, "issuer-silent", format!("its issuer could not be asked: {}", error.message()))
    })?;
    let own = siblings.into_iter().find(|sibling| sibling.at == *subject);
    let own =
        own.ok_or_else(|| refuse(subject, "already-gone", "its issuer no longer has it: scan again"))?;
    Ok(own.public_half)
}

/// The subject as its issuer lists it, if it works and another one can be made beside it.
pub(super) async fn room(issuer: &dyn Issuer, offer: &Offer, subject: &Ref) -> Result<Sibling, Refusal> {
    let siblings = issuer.siblings(subject).await.map_err(|error| {
        refuse(subject, "issuer-silent", format!("its issuer could not be asked: {}", error.message()))
    })?;
    let Some(own) = siblings.iter().find(|sibling| sibling.at == *subject).cloned() else {
        return Err(refuse(subject, "already-gone", "its issuer no longer has it: scan again"));
    };
    if !own.active {
        return Err(refuse(subject, "not-active", "its issuer has suspended it: scan again"));
    }
    if let Some(slots) = offer.slots
        && siblings.len() >= slots as usize
    {
        let others: Vec<_> = siblings.iter().filter(|sibling| sibling.at != *subject).collect();
        let named: Vec<_> = others
            .iter()
            .map(|sibling| {
                format!("{} ({})", sibling.at, if sibling.active { "active" } else { "suspended" })
            })
            .collect();
        let reason = format!(
            "its identity may have {slots}, and has {}: no slot is free for the new one; revoke {} first",
            siblings.len(),
            named.join(" or ")
        );
        return Err(refuse(subject, "quota", reason));
    }
    Ok(own)
}
