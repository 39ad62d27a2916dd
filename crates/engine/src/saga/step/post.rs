//! Put the new value where nobody can read it back. The marker that stands beside it afterwards is all that can be seen of the write: by it an
//! interrupted one is known again, and the ledger keeps which value went under it.
//!
//! A place that keeps no word of ours shows the time of its last write and nothing else. That it was written since the rotation began is then no proof of whose
//! write it was, once ours was begun: the value is put there again, which is the right one in either case, and the step says that this could not be told.

use claviger_backend::{ErrorKind, Expect, Letterbox, Marked, StoreState};
use claviger_core::{
    reference::Ref,
    saga::{Action, Failure, FailureEffect, Step},
};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent},
    Seen,
};

/// What stood there when it was asked whether it may be written.
const FOUND: &str = "found";

/// The role, where the place is one of that kind.
pub(super) fn letterbox<'a>(cx: &Context<'a>, at: &Ref) -> Result<Option<&'a dyn Letterbox>, Trouble> {
    let engine: &'a crate::Engine = cx.engine;
    let letterbox = engine.estate.member(at.backend())?.backend.letterbox();
    Ok(letterbox.filter(|letterbox| letterbox.takes(at)))
}

/// `check-copy` of such a place: may it be written, and what stands there?
pub(super) async fn found(letterbox: &dyn Letterbox, at: &Ref) -> Result<(StoreState, Done), Trouble> {
    let Some(marked) = letterbox.marked(at).await? else {
        return Err(permanent(format!("{at} is gone: scan again")));
    };
    let done = Done::new("takes a value, and shows none").fact(FOUND, marked.version);
    Ok((letterbox.open(at).await?, done))
}

/// `post-copy`.
pub(super) async fn post(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let at = &step.target;
    let letterbox = must(cx, at)?;
    let new = cx.new_value().await?;
    let operation = cx.operation_with(step, cx.generation().await?);
    let marked = letterbox.marked(at).await?.ok_or_else(|| permanent(format!("{at} is gone")))?;
    if marked.written_by.as_deref() == Some(operation.key.to_string().as_str()) {
        return Ok(Ran::Done(posted(cx, &marked, &new)));
    }
    let check = |other: &Step| other.action == Action::CheckCopy && other.target == *at;
    let output = cx.record.progress.output(&cx.record.plan, check);
    let before = output.and_then(|output| output.facts.get(FOUND)?.as_str());
    let changed = before.is_some_and(|before| before != marked.version);
    let perhaps_ours = changed && unmarked(cx, at)? && cx.attempt > 1;
    if changed && !perhaps_ours {
        return Err(permanent(format!(
            "{at} was written by somebody else since the rotation began: what it holds now, nobody can read"
        )));
    }
    match letterbox.post(&operation, at, &new, &Expect::Version(marked.version)).await {
        Ok(marked) if perhaps_ours => {
            let mut done = posted(cx, &marked, &new);
            done.output.detail.push_str(
                "; put there once more, as it had been written since by a write of ours that was interrupted or by somebody else, which cannot be told apart there",
            );
            Ok(Ran::Done(done))
        }
        Ok(marked) => Ok(Ran::Done(posted(cx, &marked, &new))),
        Err(error) if error.kind() == ErrorKind::Conflict => Err(Trouble::Step(Failure {
            message: format!("{at} was written by somebody else at the same time"),
            effect: FailureEffect::NotApplied,
            temporary: true,
            until: None,
        })),
        Err(error) => Err(error.into()),
    }
}

/// Does the place keep no word of ours?
fn unmarked(cx: &Context<'_>, at: &Ref) -> Result<bool, Trouble> {
    Ok(cx.engine.estate.member(at.backend())?.backend.capability().post_unmarked)
}

/// Did an interrupted write happen? Its marker says so; without it the value is put there again, which changes nothing if it is there.
pub(super) async fn observe(cx: &Context<'_>, step: &Step) -> Result<Seen, Trouble> {
    let at = &step.target;
    let operation = cx.operation_with(step, cx.generation().await?);
    Ok(match must(cx, at)?.marked(at).await? {
        Some(marked) if marked.written_by.as_deref() == Some(operation.key.to_string().as_str()) => {
            Seen::Happened(posted(cx, &marked, &cx.new_value().await?))
        }
        Some(_) if unmarked(cx, at)? => Seen::NotHappened(
            "whose write was the last one there, nobody can tell: it is put there again".to_owned(),
        ),
        Some(_) => Seen::NotHappened("it does not carry the marker of this write".to_owned()),
        None => Seen::NotHappened(format!("{at} is not there")),
    })
}

fn must<'a>(cx: &Context<'a>, at: &Ref) -> Result<&'a dyn Letterbox, Trouble> {
    letterbox(cx, at)?
        .ok_or_else(|| permanent(format!("{at} is no place any more that takes a value unread")))
}

fn posted(cx: &Context<'_>, marked: &Marked, new: &claviger_core::secret::SecretValue) -> Done {
    let shown =
        if marked.written_by.is_some() { "its marker says version" } else { "the time of its last write is" };
    Done::new(format!("written, not read back; {shown} {}", marked.version))
        .fact("version", marked.version.as_str())
        .fact("fingerprint", cx.fingerprint(new).to_string())
}
