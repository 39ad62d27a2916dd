//! Logins: the proof that the new value works, the positive control, and the proof that the old one is refused.

use chrono::TimeDelta;
use claviger_backend::{Presence, Probe, Verdict};
use claviger_core::{
    fingerprint::Fingerprint,
    model::CredentialState,
    reference::Ref,
    saga::{Action, SagaKind, Step, StepState},
    seal::Slot,
    view::ReceiptView,
};

use claviger_store::port::RotationEnd;

use crate::plan::ROLLBACK;

use super::{
    super::context::{Context, Done, Ran, Trouble, permanent, temporary},
    asked, certificate, derived, issue, quarantine, seal, timer,
};

/// Probes of the old value before an operator is asked.
const QUESTIONS: u32 = 12;

/// `verify-new`: it has to be accepted, at the same path that consumers use, and once all of the issuer's servers know it.
pub(super) async fn new(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    // Where the issuer was asked, it is somewhere else that one logs in.
    let at = if asked::is_asked(&cx.record.plan) { step.target.clone() } else { issue::new_at(cx) };
    let issuer = cx.issuer_of(&at)?;
    let settles = issuer.offer(&step.target).map_or(0, |offer| offer.settles_within);
    let settled = timer::done_before(cx, step).map(|made| made + TimeDelta::seconds(i64::from(settles)));
    if let Some(settled) = settled.filter(|settled| cx.engine.clock.now() < *settled) {
        return Ok(Ran::Wait(settled));
    }
    let new = cx.new_value().await?;
    let probe = issuer.verify(&at, &new).await?;
    match probe.verdict {
        Verdict::Accepted => Ok(Ran::Done(Done::new("the new value is accepted").fact("path", probe.path))),
        Verdict::Refused(evidence) if asked::is_asked(&cx.record.plan) => {
            asked::followed(cx, &evidence).await
        }
        Verdict::Refused(evidence) => Err(temporary(format!("the new value is refused: {evidence}"))),
        Verdict::Inconclusive(why) => {
            Err(temporary(format!("a login with the new value is inconclusive: {why}")))
        }
    }
}

/// `control-probe`. A value that is refused before the revocation cannot prove anything by being refused after it.
pub(super) async fn control(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let Some(old) = cx.open(Slot::Old).await? else {
        return Ok(Ran::Done(Done::new("there is no value to log in with")));
    };
    let without = |why: &str| Ok(Ran::Done(Done::new(format!("no positive control, and forced: {why}"))));
    let probe = match cx.issuer()?.verify(&cx.record.plan.subject, &old).await {
        Err(error) if cx.forced() => return without(error.message()),
        probe => probe?,
    };
    match probe.verdict {
        Verdict::Inconclusive(why) if cx.forced() => without(&why),
        Verdict::Accepted => Ok(Ran::Done(Done::new("it is accepted now").fact("control", probe.path))),
        Verdict::Refused(evidence) if cx.record.plan.kind == SagaKind::Swap => Err(permanent(format!(
            "the static credential is refused already ({evidence}): nothing is there to be compared with; revoke it instead"
        ))),
        Verdict::Refused(evidence) => Ok(Ran::Done(Done::new(format!(
            "it is already refused ({evidence}): its refusal afterwards proves nothing"
        )))),
        Verdict::Inconclusive(why) => Err(temporary(format!(
            "the positive control is inconclusive: {why}; nothing was changed, and `--force` goes on without it"
        ))),
    }
}

/// `prove-disabled`: the old value is suspended, and could still be enabled if its refusal hurt somebody.
pub(super) async fn disabled(cx: &Context<'_>) -> Result<Ran, Trouble> {
    let subject = &cx.record.plan.subject;
    // Where nothing was suspended, it has to be dead already.
    let informs = cx.record.plan.kind == SagaKind::Revocation
        && cx.record.plan.steps.iter().any(|step| step.action == Action::Disable);
    let skipped = cx
        .record
        .progress
        .output(&cx.record.plan, |step| step.action == Action::Disable)
        .is_some_and(|output| output.facts.contains_key(quarantine::SKIPPED));
    let Some(old) = cx.open(Slot::Old).await?.filter(|_| !skipped) else {
        return Ok(Ran::Done(Done::new(
            "there is nothing to be shown: it was not suspended, or nobody has the value",
        )));
    };
    let Probe { verdict, path } = cx.issuer()?.verify(subject, &old).await?;
    match verdict {
        Verdict::Refused(evidence) => {
            Ok(Ran::Done(Done::new(format!("refused while suspended: {evidence}")).fact("path", path)))
        }
        Verdict::Accepted | Verdict::Inconclusive(_) if informs && cx.attempt >= QUESTIONS => {
            let text = "its refusal while suspended could not be shown: it is ended all the same";
            Ok(Ran::Done(Done::new(text)))
        }
        Verdict::Accepted | Verdict::Inconclusive(_) if cx.attempt < QUESTIONS => Ok(again(cx)),
        Verdict::Accepted => {
            Err(permanent(format!("{subject} has ended or is suspended, and its value is still accepted")))
        }
        Verdict::Inconclusive(why) => {
            Err(permanent(format!("whether the value of {subject} is refused cannot be told: {why}")))
        }
    }
}

/// `prove-refused`: of a rotation's old value, or of a revoked credential.
pub(super) async fn refused(cx: &Context<'_>, step: &Step) -> Result<Ran, Trouble> {
    let subject = &step.target;
    let Some(old) = cx.open(Slot::Old).await? else { return attested(cx).await };
    let Probe { verdict, path } = match cx.issuer_of(subject)?.verify(subject, &old).await {
        Err(error) if cx.forced() => {
            Probe { verdict: Verdict::Inconclusive(error.message().to_owned()), path: String::new() }
        }
        probe => probe?,
    };
    let controls = control_paths(cx);
    let same = controls.contains(&path);
    let control = if same { Some(path.clone()) } else { controls.into_iter().next() };
    match verdict {
        Verdict::Refused(evidence) => {
            let (verdict, detail) = match (&control, same) {
                (Some(_), true) => ("proven", format!("refused: {evidence}")),
                (Some(_), false) => (
                    "unprovable",
                    format!("refused, but on another path than the positive control: {evidence}"),
                ),
                (None, _) => {
                    ("unprovable", format!("refused, but there was no positive control: {evidence}"))
                }
            };
            if let Some(back) = resurrected(cx).await? {
                return Err(permanent(format!(
                    "{subject} is there again ({back}): somebody or something re-creates it; its value may work again"
                )));
            }
            finish(cx, verdict, control, Some(path), detail + &derived::said(cx)).await
        }
        Verdict::Accepted if cx.attempt < QUESTIONS => Ok(again(cx)),
        Verdict::Accepted => Err(permanent(format!("the old value of {subject} is still accepted"))),
        Verdict::Inconclusive(_) if cx.attempt < QUESTIONS => Ok(again(cx)),
        Verdict::Inconclusive(why) if cx.forced() => {
            let detail = format!("ended at its issuer; whether it is refused cannot be told: {why}");
            finish(cx, "unprovable", control, None, detail + &derived::said(cx)).await
        }
        Verdict::Inconclusive(why) => {
            Err(permanent(format!("whether the old value of {subject} is refused cannot be told: {why}")))
        }
    }
}

/// `conclude`: the copies are the only ones who can be asked.
pub(super) async fn concluded(cx: &Context<'_>) -> Result<Ran, Trouble> {
    if certificate::is_one(&cx.record.plan) {
        return certificate::concluded(cx).await;
    }
    let new = cx.new_value().await?;
    for at in seal::written(cx) {
        let present = seal::read_leaf(cx, at).await?;
        if present.is_none_or(|present| !seal::is_held(&present, &new)) {
            return Err(permanent(format!("{at} no longer holds the new value: somebody else changed it")));
        }
    }
    let detail =
        "every copy holds the new value; there is no issuer that could refuse the old one".to_owned();
    finish(cx, "unprovable", None, None, detail).await
}

fn again(cx: &Context<'_>) -> Ran {
    Ran::Wait(cx.engine.clock.now() + TimeDelta::seconds(i64::from(cx.attempt.min(10))))
}

/// Where the value was never held, the issuer's word is all there is.
async fn attested(cx: &Context<'_>) -> Result<Ran, Trouble> {
    match cx.issuer()?.presence(&cx.record.plan.subject).await? {
        Presence::Absent => {
            finish(
                cx,
                "attested",
                None,
                None,
                "its issuer says that it is gone; nobody held the value to try".to_owned()
                    + &derived::said(cx),
            )
            .await
        }
        Presence::Present(_) => {
            Err(permanent(format!("{} is still there, or there again", cx.record.plan.subject)))
        }
    }
}

/// After a revocation: a credential that was re-created under its name may be the same one.
async fn resurrected(cx: &Context<'_>) -> Result<Option<String>, Trouble> {
    if cx.record.plan.kind == SagaKind::Rotation {
        return Ok(None);
    }
    match cx.issuer()?.presence(&cx.record.plan.subject).await? {
        Presence::Absent => Ok(None),
        Presence::Present(token) => Ok(Some(token)),
    }
}

/// The paths of positive controls: the same value before a revocation; the new value after a rotation, and where the two belong to different
/// users the old value before it; where only its issuer knows the new one, the old value before the change.
pub(super) fn control_paths(cx: &Context<'_>) -> Vec<String> {
    let actions: &[(&str, &str)] = match cx.record.plan.kind {
        SagaKind::Revocation | SagaKind::Swap => &[("control-probe", "control")],
        SagaKind::Rotation => &[
            ("verify-new", "path"),
            ("seal-user", "control"),
            ("note-root", "control"),
            ("take-over", "control"),
        ],
    };
    let path = |(action, key): &(&str, &str)| {
        let output = cx.record.progress.output(&cx.record.plan, |step| step.action.name() == *action)?;
        output.facts.get(*key)?.as_str().map(str::to_owned)
    };
    actions.iter().filter_map(path).collect()
}

/// Writes the result into the inventory (again after a crash: same end state) and makes the receipt.
pub(super) async fn finish(
    cx: &Context<'_>,
    verdict: &str,
    control: Option<String>,
    probe: Option<String>,
    detail: String,
) -> Result<Ran, Trouble> {
    let now = cx.engine.clock.now();
    let plan = &cx.record.plan;
    let inventory = &cx.engine.ports.inventory;
    if plan.kind == SagaKind::Rotation {
        let end = if plan.strategy == ROLLBACK {
            RotationEnd::RolledBack
        } else {
            RotationEnd::Rotated { successor: issue::added(cx.record) }
        };
        inventory.record_rotation(now, plan.credential, written(cx), end).await?;
    }
    // A value with a name of its own ends with it; the one that took its place has another name, which the next scan shows. What a
    // rollback ends is not the subject but what was to take its place.
    let ends = |step: &Step| {
        matches!(step.action, Action::Revoke(_) | Action::ConcludeScrub) && step.target == plan.subject
    };
    let cuts = plan.steps.iter().any(|step| matches!(step.action, Action::ProveCut(_)));
    if cuts || plan.steps.iter().any(ends) {
        let state = match verdict {
            // It is as good as it was, and may do nothing.
            "attested" if cuts => CredentialState::Mitigated,
            "proven" => CredentialState::RevokedProven,
            "attested" => CredentialState::RevokedAttested,
            _ => CredentialState::RevokedUnproven,
        };
        inventory.record_state(now, plan.credential, state, &detail).await?;
    }
    let mut done = Done::new(detail.clone()).fact("verdict", verdict);
    done.receipt = Some(ReceiptView {
        credential: plan.credential,
        at: plan.subject.clone(),
        verdict: verdict.to_owned(),
        control,
        probe,
        observed_at: now,
        detail,
        audit_seq: None,
        saga: cx.record.id.0,
    });
    Ok(Ran::Done(done))
}

fn written(cx: &Context<'_>) -> Vec<(Ref, Option<String>, Fingerprint)> {
    let plan = &cx.record.plan;
    plan.steps
        .iter()
        .zip(&cx.record.progress.steps)
        .filter_map(|(step, state)| {
            let places = match &step.action {
                Action::WriteCopy | Action::PostCopy => vec![step.target.clone()],
                Action::WritePairs(pairs) => pairs.iter().map(|pair| pair.copy.clone()).collect(),
                Action::WriteCertificate(holder) => vec![holder.certificate.clone(), holder.key.clone()],
                _ => return None,
            };
            let StepState::Succeeded { output } = state else { return None };
            let fingerprint = Fingerprint::parse(output.facts.get("fingerprint")?.as_str()?)?;
            let version = output.facts.get("version").and_then(|version| version.as_str()).map(str::to_owned);
            Some(places.into_iter().map(move |at| (at, version.clone(), fingerprint)))
        })
        .flatten()
        .collect()
}
