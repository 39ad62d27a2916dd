//! Let the issuer make another credential that carries our operation key. It tells the value once; what an interrupted call made is found by that
//! key, so it is certainly ours, and its value is lost: it is taken away, and another one is made.

use claviger_core::{
    saga::{Event, Failure, FailureEffect, Step},
    seal::Slot,
};

use super::{
    super::context::{Context, Done, Ran, Trouble},
    Seen,
    mint::{self, AT},
    seal,
};

/// `mint-marked`.
pub(super) async fn mint(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let issued = cx.issuer()?.issue(&cx.operation(step), &step.target, None).await?;
    let Some(value) = issued.minted else {
        let message = "the issuer made another one and did not tell its value".to_owned();
        return Err(Trouble::Step(Failure {
            message,
            effect: FailureEffect::Unknown,
            temporary: true,
            until: None,
        }));
    };
    let mut done = Done::new(format!("made {}; the old one goes on working", issued.at))
        .fact(AT, issued.at.as_str())
        .fact("new", seal::handle(cx, &value));
    done.seal.push(cx.seal(Slot::New(0), &value)?);
    Ok(Ran::Done(done))
}

/// What an interrupted minting left.
pub(super) async fn observe(cx: &Context<'_>, step: &Step) -> Result<Seen, Trouble> {
    // A request that is still under way could be carried out after we looked.
    let (_, ended) = mint::called(cx, step);
    if cx.engine.clock.now() < ended {
        return Ok(Seen::Later(ended));
    }
    let made = cx.issuer()?.made_by(&cx.operation(step), &step.target).await?;
    Ok(match made.is_empty() {
        true => Seen::NotHappened("its issuer has made nothing for this operation".to_owned()),
        false => Seen::Orphans(made),
    })
}

/// Takes what was made away again: by its own ref where the journal has it, else by our mark.
pub(super) async fn take_away(cx: &Context<'_>, step: &Step) -> Result<(), Trouble> {
    let issuer = cx.issuer()?;
    let made = match mint::made(cx.record, step) {
        Some(at) => vec![at],
        None if certainly_nothing(cx, step) => Vec::new(),
        None => issuer.made_by(&cx.operation(step), &step.target).await?,
    };
    for at in made {
        let operation = cx.operation_of(&format!("undo:{}", step.id), &at);
        issuer.revoke(&operation, &at, None).await?;
    }
    Ok(())
}

/// It was refused, or observed not to have happened: then nobody has to look through a list of all.
fn certainly_nothing(cx: &Context<'_>, step: &Step) -> bool {
    let last = cx.record.events.iter().rev().find_map(|(_, event)| match event {
        Event::Failed { step: id, failure } if *id == step.id => {
            Some(failure.effect == FailureEffect::NotApplied)
        }
        Event::Reconciled { step: id, happened: None, .. } if *id == step.id => Some(true),
        _ => None,
    });
    last.unwrap_or(false)
}
