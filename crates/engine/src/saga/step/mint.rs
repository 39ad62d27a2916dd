//! Let the issuer make a second key. It tells the secret once, so that a lost answer is a lost secret: what was made then is found by the list of
//! the identity's keys, and taken away.

use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend::{Offer, Sibling};
use claviger_core::{
    reference::Ref,
    saga::{Action, Event, Failure, FailureEffect, Step},
    seal::Slot,
};
use claviger_store::port::SagaRecord;

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent, temporary},
    Seen, seal,
};

/// Facts of `seal-pair` and `mint-at-issuer`.
pub(super) const SIBLINGS: &str = "siblings";
pub(super) const AT: &str = "at";
pub(crate) const PUBLIC_HALF: &str = "public_half";

/// How far our clock and the issuer's may differ. AWS takes no signature from further away.
const CLOCKS: TimeDelta = TimeDelta::minutes(5);

/// `mint-at-issuer`.
pub(super) async fn mint(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let issuer = cx.issuer()?;
    // Whoever makes keys at the same time would be taken for us after a crash. A list may also still show one that was just taken away.
    if let Some(other) = fresh(cx, step).await?.first() {
        return Err(temporary(format!("{} was not there when the rotation began", other.at)));
    }
    let issued = issuer.issue(&cx.operation(step), &step.target, None).await?;
    let (Some(value), Some(half)) = (issued.minted, issued.public_half) else {
        let message = "the issuer made a key and did not tell it".to_owned();
        return Err(Trouble::Step(Failure {
            message,
            effect: FailureEffect::Unknown,
            temporary: true,
            until: None,
        }));
    };
    let mut done = Done::new(format!("made {}; the old one goes on working", issued.at))
        .fact(AT, issued.at.as_str())
        .fact(PUBLIC_HALF, half)
        .fact("new", seal::handle(cx, &value));
    done.seal.push(cx.seal(Slot::New(0), &value)?);
    Ok(Ran::Done(done))
}

/// What an interrupted minting left. Its secret is lost in any case; the key is ours to take away only if nobody else can have made it.
pub(super) async fn observe(cx: &Context<'_>, step: &Step) -> Result<Seen, Trouble> {
    let (begun, ended) = called(cx, step);
    let known = ended + TimeDelta::seconds(i64::from(offer(cx, step)?.settles_within));
    // Before ours must show, somebody else's may be the only one that does.
    if cx.engine.clock.now() < known {
        return Ok(Seen::Later(known));
    }
    let fresh = fresh(cx, step).await?;
    let [one] = fresh.as_slice() else {
        if !fresh.is_empty() {
            let names: Vec<_> = fresh.iter().map(|sibling| sibling.at.as_str()).collect();
            return Err(permanent(format!(
                "{} keys were made since, and at most one of them is ours: {}; take away what nobody uses, then resume",
                names.len(),
                names.join(", ")
            )));
        }
        return Ok(Seen::NotHappened("its issuer has made no other key".to_owned()));
    };
    let unclear = |why: String| {
        let what = format!("{} appeared since, and {why}: it may be somebody else's", one.at);
        permanent(format!("{what}; take it away if it is not, then resume"))
    };
    if !one.active {
        return Err(unclear("it is suspended".to_owned()));
    }
    if let Some(used) = cx.issuer()?.last_used(&one.at).await? {
        return Err(unclear(format!("it was used at {}", used.format("%Y-%m-%dT%H:%M:%SZ"))));
    }
    match one.created_at {
        Some(made) if made >= begun - CLOCKS && made <= ended + CLOCKS => {
            Ok(Seen::Orphans(vec![one.at.clone()]))
        }
        _ => Err(unclear("it was not made when we asked for one".to_owned())),
    }
}

/// Takes the minted key away again, by its own id from the journal.
pub(super) async fn take_away(cx: &Context<'_>, step: &Step) -> Result<(), Trouble> {
    let Some(at) = made(cx.record, step) else {
        let failed = cx.record.events.iter().rev().find_map(|(_, event)| match event {
            Event::Failed { step: id, failure } if *id == step.id => Some(failure.effect),
            _ => None,
        });
        return match failed {
            Some(FailureEffect::Applied) => {
                Err(permanent("its issuer made a key, and nobody knows which: look at its list"))
            }
            _ => Ok(()),
        };
    };
    let operation = cx.operation_of(&format!("undo:{}", step.id), &at);
    Ok(cx.issuer()?.revoke(&operation, &at, None).await?)
}

/// What this step made, as the journal has it.
pub(super) fn made(record: &SagaRecord, step: &Step) -> Option<Ref> {
    record.events.iter().rev().find_map(|(_, event)| match event {
        Event::Succeeded { step: id, output }
        | Event::Reconciled { step: id, happened: Some(output), .. }
            if *id == step.id =>
        {
            output.facts.get(AT)?.as_str().map(Ref::from_text)
        }
        _ => None,
    })
}

pub(super) fn offer(cx: &Context<'_>, step: &Step) -> Result<Offer, Trouble> {
    let offer = cx.issuer()?.offer(&step.target);
    offer.ok_or_else(|| permanent(format!("no new value can be issued for {} any more", step.target)))
}

/// Keys that were not there when the rotation began.
async fn fresh(cx: &Context<'_>, step: &Step) -> Result<Vec<Sibling>, Trouble> {
    let output = cx.record.progress.output(&cx.record.plan, |other| other.action == Action::SealPair);
    let known = output.and_then(|output| output.facts.get(SIBLINGS)?.as_array());
    let known = known.ok_or_else(|| permanent("the journal does not say which keys there were"))?;
    let mut found = cx.issuer()?.siblings(&step.target).await?;
    found.retain(|sibling| !known.iter().any(|at| at.as_str() == Some(sibling.at.as_str())));
    Ok(found)
}

/// When the call was begun, and the latest moment at which it can have had its effect: its answer's, or where none came its deadline's.
pub(super) fn called(cx: &Context<'_>, step: &Step) -> (DateTime<Utc>, DateTime<Utc>) {
    let (mut begun, mut ended) = (cx.record.created_at, None);
    for (at, event) in &cx.record.events {
        match event {
            Event::Started { step: id, .. } if *id == step.id => (begun, ended) = (*at, None),
            Event::Failed { step: id, .. } if *id == step.id => ended = Some(*at),
            _ => {}
        }
    }
    let deadline = TimeDelta::from_std(cx.deadline).unwrap_or(CLOCKS);
    (begun, ended.unwrap_or(begun + deadline))
}
