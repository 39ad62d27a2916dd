//! What was obtained with a credential and goes on working without it: sessions, tokens of logins. It is ended when the credential itself gives
//! nothing new any more.

use claviger_backend::{Ended, Retry};
use claviger_core::saga::{Action, Step};

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent},
    probe,
};

/// How often `--force` asks before it goes on without an answer.
const FORCED_ATTEMPTS: u32 = 3;
/// So many of them are named in a sentence; the facts name all.
const NAMED: usize = 8;

/// `end-derived`.
pub(super) async fn end(cx: &Context<'_>, step: &Step, mark: &str) -> Result<Ran, Trouble> {
    let member = cx.engine.estate.member(step.target.backend())?;
    let Some(offspring) = member.backend.offspring() else {
        return Err(permanent("its backend no longer tells what was obtained with it"));
    };
    match offspring.end_derived(&cx.operation(step), &step.target, mark).await {
        Ok(ended) => Ok(Ran::Done(done(&ended))),
        Err(error) if cx.forced() && (error.retry() == Retry::Permanent || cx.attempt >= FORCED_ATTEMPTS) => {
            let text = format!("what was obtained with it could not be ended: {}", error.message());
            Ok(Ran::Done(Done::new(text).fact(FAILED, true)))
        }
        Err(error) => Err(error.into()),
    }
}

/// `attest-ended`.
pub(super) async fn attest(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let output =
        cx.record.progress.output(&cx.record.plan, |step| matches!(step.action, Action::EndDerived(_)));
    let failed = output.is_some_and(|output| output.facts.contains_key(FAILED));
    let said = output.map(|output| output.detail.clone()).unwrap_or_default();
    let (verdict, why) = match failed {
        true => ("unprovable", "it was forced"),
        false => ("attested", "its issuer says so, and nobody here held what has ended"),
    };
    probe::finish(cx, verdict, None, None, format!("{said}; {why}")).await
}

/// The fact that says that it could not be done.
const FAILED: &str = "failed";

fn done(ended: &Ended) -> Done {
    let names: Vec<String> = ended.ended.iter().map(|one| format!("{} ({})", one.at, one.what)).collect();
    let text = match names.len() {
        0 => format!("nothing that was obtained with it goes on ({})", ended.evidence),
        count => {
            let shown = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
            format!("{count} ended that were obtained with it: {shown}{more} ({})", ended.evidence)
        }
    };
    Done::new(text).fact("ended", names)
}

/// What a receipt says about it.
pub(super) fn said(cx: &Context<'_>) -> String {
    let output =
        cx.record.progress.output(&cx.record.plan, |step| matches!(step.action, Action::EndDerived(_)));
    output.map(|output| format!("; {}", output.detail)).unwrap_or_default()
}
