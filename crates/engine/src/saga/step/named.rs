//! Let the issuer make a second value under a name that follows from the operation. A lost answer loses nothing: under that name it is found again,
//! and what is found there is ours and no one else's.

use claviger_backend::{Issued, Presence, Verdict};
use claviger_core::{reference::Ref, saga::Step, seal::Slot};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent, temporary},
    Seen,
    mint::{AT, PUBLIC_HALF},
    seal,
};

/// `seal-named`: the copies must hold the value that lies at the issuer, and that must be accepted.
pub(super) async fn seal(cx: &Context<'_>, own: &Ref) -> Result<Ran, Trouble> {
    let subject = &cx.record.plan.subject;
    let mut places = vec![own];
    places.extend(seal::written(cx));
    let (old, count) = seal::held_in(cx, places).await?;
    let probe = cx.issuer()?.verify(subject, &old).await?;
    match probe.verdict {
        Verdict::Accepted => {}
        Verdict::Refused(evidence) => {
            return Err(permanent(format!(
                "the value of {subject} is not accepted ({evidence}): nothing was changed"
            )));
        }
        Verdict::Inconclusive(why) => {
            return Err(temporary(format!("whether the present value is accepted cannot be told: {why}")));
        }
    }
    let mut done = Done::new(format!("read from {count} of {count} places and accepted; it is sealed"))
        .fact("old", seal::handle(cx, &old))
        .fact("control", probe.path);
    done.seal.push(cx.seal(Slot::Old, &old)?);
    Ok(Ran::Done(done))
}

/// `mint-by-name`.
pub(super) async fn mint(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let issued = cx.issuer()?.issue(&cx.operation(step), &step.target, None).await?;
    match done(cx, issued)? {
        Some(done) => Ok(Ran::Done(done)),
        None => Err(temporary("its issuer made it and has not told its value yet")),
    }
}

/// Did an interrupted minting happen? What has no value yet is asked for again, and found.
pub(super) async fn observe(cx: &Context<'_>, step: &Step) -> Result<Seen, Trouble> {
    let Some(issued) = cx.issuer()?.issued(&cx.operation(step), &step.target).await? else {
        return Ok(Seen::NotHappened("its issuer has made nothing under this operation's name".to_owned()));
    };
    Ok(match done(cx, issued)? {
        Some(done) => Seen::Happened(done),
        None => Seen::NotHappened("it was made, and has no value yet".to_owned()),
    })
}

/// Takes away what the operation made, and nothing else: another one that has its name by now stays.
pub(super) async fn take_away(cx: &Context<'_>, step: &Step) -> Result<(), Trouble> {
    let issuer = cx.issuer()?;
    let Some(Issued { at, .. }) = issuer.issued(&cx.operation(step), &step.target).await? else {
        return Ok(());
    };
    let Presence::Present(token) = issuer.presence(&at).await? else { return Ok(()) };
    // Between the two questions it may have become another one: the token is only that of ours if ours is there still.
    if issuer.issued(&cx.operation(step), &step.target).await?.is_none() {
        return Ok(());
    }
    let operation = cx.operation_of(&format!("undo:{}", step.id), &at);
    Ok(issuer.revoke(&operation, &at, Some(&token)).await?)
}

/// The step's result. `None`: there is no value yet.
fn done(cx: &Context<'_>, issued: Issued) -> Result<Option<Done>, Trouble> {
    let Some(value) = issued.minted else { return Ok(None) };
    let mut done = Done::new(format!("made {}; the old one goes on working", issued.at))
        .fact(AT, issued.at.as_str())
        .fact("new", seal::handle(cx, &value));
    if let Some(half) = issued.public_half {
        done = done.fact(PUBLIC_HALF, half);
    }
    done.seal.push(cx.seal(Slot::New(0), &value)?);
    Ok(Some(done))
}
