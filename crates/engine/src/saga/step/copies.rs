//! Copies: may they be written, and write them by compare-and-set.

use claviger_backend::{ErrorKind, Expect, StoreState};
use claviger_core::{canonical, saga::Step, seal::Slot};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent},
    Seen, post,
    seal::{is_held, leaf, pointer},
};

/// `check-copy`.
pub(super) async fn check(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let (state, done) = match post::letterbox(cx, &step.target)? {
        Some(letterbox) => post::found(letterbox, &step.target).await?,
        None => (cx.store(&step.target)?.writable(&step.target).await?, Done::new("may be written")),
    };
    match state {
        StoreState::Writable => Ok(Ran::Done(done)),
        StoreState::Refused(why) => Err(permanent(format!("{} may not be written: {why}", step.target))),
        StoreState::ManagedElsewhere(owner) => {
            Err(permanent(format!("{} is managed by {owner}: change it at its source", step.target)))
        }
    }
}

/// `write-copy`. The field is read, exactly the credential in it is replaced, and it is written if nobody wrote in between.
pub(super) async fn write(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let at = &step.target;
    let store = cx.store(at)?;
    let new = cx.new_value().await?;
    let old = cx.must_open(Slot::Old).await?;
    let stored = store.read(at).await?.ok_or_else(|| permanent(format!("{at} is gone")))?;
    let present =
        leaf(at, &stored.value).ok_or_else(|| permanent(format!("{at} holds no credential any more")))?;
    if is_held(&present, &new) {
        return Ok(Ran::Done(written(cx, stored.version, &new)));
    }
    // What an unfinished rotation had left is as dead as it was when it was sealed.
    let stale = cx.open(Slot::Stale).await?;
    let is_stale = stale.is_some_and(|stale| is_held(&present, &stale));
    if !is_held(&present, &old) && !is_stale {
        // Somebody else changed it between our reading and now: overwriting could lose their value.
        return Err(permanent(format!(
            "{at} was changed by somebody else since the rotation began: it holds neither the old nor the new value"
        )));
    }
    let field = canonical::splice(&stored.value, &pointer(at, &stored.value), &present, &new)
        .map_err(|error| permanent(format!("{at} cannot be rewritten: {error}")))?;
    match store.write(&cx.operation(step), at, &field, &Expect::Version(stored.version)).await {
        Ok(version) => Ok(Ran::Done(written(cx, version, &new))),
        // Somebody wrote in between, perhaps a sibling field: read again and decide anew.
        Err(error) if error.kind() == ErrorKind::Conflict => {
            Err(Trouble::Step(claviger_core::saga::Failure {
                message: format!("{at} was written by somebody else at the same time"),
                effect: claviger_core::saga::FailureEffect::NotApplied,
                temporary: true,
                until: None,
            }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Did an interrupted write happen?
pub(super) async fn observe(cx: &Context<'_>, step: &Step) -> Result<Seen, Trouble> {
    let at = &step.target;
    let Some(stored) = cx.store(at)?.read(at).await? else {
        return Ok(Seen::NotHappened(format!("{at} is not there")));
    };
    let new = cx.new_value().await?;
    match leaf(at, &stored.value) {
        Some(present) if is_held(&present, &new) => Ok(Seen::Happened(written(cx, stored.version, &new))),
        _ => Ok(Seen::NotHappened("it does not hold the new value".to_owned())),
    }
}

fn written(cx: &Context<'_>, version: String, new: &claviger_core::secret::SecretValue) -> Done {
    Done::new(format!("holds the new value, version {version}"))
        .fact("version", version)
        .fact("fingerprint", cx.fingerprint(new).to_string())
}
