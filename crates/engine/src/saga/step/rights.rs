//! What cannot be refused is left with nothing to do: the bindings of its user and groups are cut, and who decides about rights is asked before
//! and after. It goes on logging in, so nothing is ever proven: `attested`, and the state is `mitigated`.

use claviger_backend::{Authority, ErrorKind};
use claviger_core::saga::{Action, Party, Person, Question, Step};
use serde_json::json;

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent, temporary},
    probe,
};

/// The fact that holds what was allowed.
const ALLOWED: &str = "allowed";
/// So many are named in a sentence; the facts name all.
const NAMED: usize = 8;

/// The system that logs the certificate in: that of the bindings, which need not hold the certificate.
fn authority<'a>(cx: &Context<'a>, step: &Step) -> Result<&'a dyn Authority, Trouble> {
    let engine: &'a crate::Engine = cx.engine;
    let member = engine.estate.member(step.target.backend())?;
    member.backend.authority().ok_or_else(|| permanent("its backend no longer says what a person may do"))
}

/// `note-rights`: the positive control.
pub(super) async fn note(cx: &Context<'_>, step: &Step, who: &Person) -> Result<Ran, Trouble> {
    let authority = authority(cx, step)?;
    let rights = authority.rights(who).await?;
    let planned = cx.record.plan.steps.iter().filter(|step| matches!(step.action, Action::CutBinding(_)));
    let planned: Vec<_> = planned.map(|step| &step.target).collect();
    if let Some(more) = rights.holds.iter().find(|hold| !planned.contains(&&hold.at)) {
        return Err(permanent(format!("{} names it too since this was planned: plan again", more.at)));
    }
    let answers = authority.may(who, &rights.questions).await?;
    let allowed: Vec<&Question> =
        rights.questions.iter().zip(answers).filter_map(|(asked, may)| may.then_some(asked)).collect();
    let detail = match allowed.len() {
        0 => "its bindings allow nothing that could be asked about".to_owned(),
        count => format!("{} may do {count} things by them: {}", who.user, named(&allowed)),
    };
    Ok(Ran::Done(Done::new(detail).fact(ALLOWED, json!(allowed))))
}

/// `cut-binding`.
pub(super) async fn cut(cx: &Context<'_>, step: &Step, parties: &[Party]) -> Result<Ran, Trouble> {
    match authority(cx, step)?.cut(&cx.operation(step), &step.target, parties).await {
        Ok(cut) if cut.is_empty() => Ok(Ran::Done(Done::new("it names none of them any more"))),
        Ok(cut) => {
            let names: Vec<_> = cut.iter().map(ToString::to_string).collect();
            let detail = format!("taken out: {}", names.join(", "));
            Ok(Ran::Done(Done::new(detail).fact("cut", names)))
        }
        Err(error) if error.kind() == ErrorKind::Conflict => {
            Err(temporary(format!("{} was changed meanwhile", step.target)))
        }
        Err(error) => Err(error.into()),
    }
}

/// `prove-cut`.
pub(super) async fn prove(cx: &Context<'_>, step: &Step, who: &Person) -> Result<Ran, Trouble> {
    let authority = authority(cx, step)?;
    let rights = authority.rights(who).await?;
    if let Some(left) = rights.holds.first() {
        return Err(permanent(format!("{} names it still, or again: plan again", left.at)));
    }
    let before = allowed(cx)?;
    let answers = authority.may(who, &before).await?;
    let still: Vec<&Question> =
        before.iter().zip(answers).filter_map(|(asked, may)| may.then_some(asked)).collect();
    let cannot =
        "the certificate itself goes on logging in until it ends, as Kubernetes has no way to refuse one";
    if !still.is_empty() {
        let why = format!(
            "no binding names it any more, and {} may still do what something else allows: {}",
            who.user,
            named(&still)
        );
        // Bindings may be read out of a cache for a moment.
        if cx.attempt < 5 {
            return Err(temporary(why));
        }
        if !cx.forced() {
            return Err(permanent(why));
        }
        return probe::finish(cx, "unprovable", None, None, format!("{why}; {cannot}")).await;
    }
    let path = format!("access reviews for {} at {}", who.user, step.target.backend());
    let (control, asked) = match before.len() {
        0 => {
            (None, "no binding names it any more, and what they allowed could not be asked about".to_owned())
        }
        count => (
            Some(path.clone()),
            format!(
                "no binding names it any more; of {count} things that it could do before it may do none: {}",
                named(&before.iter().collect::<Vec<_>>())
            ),
        ),
    };
    probe::finish(cx, "attested", control, Some(path), format!("{asked}; {cannot}")).await
}

fn allowed(cx: &Context<'_>) -> Result<Vec<Question>, Trouble> {
    let noted =
        cx.record.progress.output(&cx.record.plan, |step| matches!(step.action, Action::NoteRights(_)));
    let fact = noted.and_then(|output| output.facts.get(ALLOWED)).cloned().unwrap_or_default();
    serde_json::from_value(fact).map_err(|_| permanent("what it could do before was not noted"))
}

fn named(questions: &[&Question]) -> String {
    let shown: Vec<_> = questions.iter().take(NAMED).map(ToString::to_string).collect();
    let more = questions.len().saturating_sub(NAMED);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
