//! The revocation of a credential: definition `revoke/2`.
//!
//! In this order: freeze (one saga per credential, so nothing of ours issues for it meanwhile), suspend it at its issuer where that can be done,
//! show that it is refused, end it, end what was obtained with it, wait for caches, show that it is refused, and where it is wanted take the dead
//! value out of its copies. The value is read from a copy while there still is one: without it nobody can show that it is refused, and the best
//! verdict is `attested`.
//!
//! `scrub/1`, where no issuer is known: the value is only taken out of its copies, and nothing is proven of it. The same after a revocation, for
//! copies that were left; the value must be refused then.
//!
//! A cluster's client certificate, which nobody can refuse: `mitigate/1`, in `rights`. Tokens that are bound to an object: `anchor`.

use claviger_backend::{Backend, Descent, Ending, Issuer, Presence, Suspension};
use claviger_core::{
    model::{CopyStage, CredentialState},
    reference::Ref,
    saga::{Action, SagaKind, SagaPlan, Step, StepPhase},
    view::CredentialDetail,
};

use super::{FORCED, Refusal, RevokeOptions, presence, readers, refuse, rights, scrub};
use crate::{Engine, policy::policy_for};

/// How many of what was obtained with it a plan names.
const NAMED: usize = 10;

/// Plans one revocation. Asks the issuer for the presence token, so that a re-created credential is not deleted by an old plan, and for what was
/// obtained with it.
pub(super) async fn plan(
    engine: &Engine,
    detail: &CredentialDetail,
    options: &RevokeOptions,
) -> Result<(SagaPlan, Descent), Refusal> {
    let credential = &detail.credential;
    let at = &credential.at;
    may_end(engine, detail)?;
    let backend = backend(engine, at)?;
    let ended = matches!(
        credential.state,
        CredentialState::RevokedProven | CredentialState::RevokedAttested | CredentialState::RevokedUnproven
    );
    let capability = backend.capability();
    let ending = backend.issuer().filter(|_| capability.revoke).map(|issuer| (issuer, issuer.ending(at)));
    let ends = matches!(&ending, Some((_, ending)) if ending.refused.is_none());
    let mitigated = options.scrub && credential.state == CredentialState::Mitigated;
    if let Some(copy) = rights::certificate(detail).filter(|_| !ends && !mitigated) {
        return rights::plan(engine, detail, copy, options).await;
    }
    match ending {
        Some((issuer, ending)) if ending.refused.is_none() => {
            let gone = matches!(credential.state, CredentialState::RevokedProven | CredentialState::Gone);
            // What its issuer has again is ended again: somebody has made it anew under its name, and no scan has seen that yet.
            let is_back = (gone || ended) && matches!(issuer.presence(at).await, Ok(Presence::Present(_)));
            if gone && !is_back && !(options.scrub && ended) {
                return Err(refuse(at, "already-gone", format!("its state is `{}`", credential.state)));
            }
            if ended && !is_back && options.scrub {
                return scrub::again(engine, detail, capability.verify).await;
            }
            at_issuer(engine, detail, options, backend, (issuer, ending)).await
        }
        _ if options.scrub && credential.state != CredentialState::Gone => scrub::alone(engine, detail).await,
        ending => {
            let (code, why) = match ending {
                Some((_, Ending { refused: Some((code, why)), .. })) => (code, why),
                _ => {
                    let text = format!("backend `{}` cannot revoke a `{}`", at.backend(), credential.kind);
                    ("no-revoke", text)
                }
            };
            let reason = format!(
                "{why}; nobody is known here who could refuse it: revoke it where it was issued, and `--scrub` takes it out of its copies"
            );
            Err(refuse(at, code, reason))
        }
    }
}

/// What nothing beats: claviger's own credential, `retain`, a legal hold.
pub(super) fn may_end(engine: &Engine, detail: &CredentialDetail) -> Result<(), Refusal> {
    let credential = &detail.credential;
    let at = &credential.at;
    if credential.attributes.get("own").and_then(serde_json::Value::as_bool) == Some(true) {
        return Err(refuse(
            at,
            "self-lock",
            "it is the credential that claviger's own connection uses: revoking it would lock claviger out",
        ));
    }
    for label in ["legal-hold", "claviger.dev/legal-hold"] {
        if credential.labels.get(label).is_some_and(|value| value != "false") {
            let reason = format!("it has the label `{label}`: it is not touched while that is there");
            return Err(refuse(at, "legal-hold", reason));
        }
    }
    let policy = policy_for(&engine.estate.policies, credential)
        .map_err(|error| refuse(at, "policy-undecided", error.to_string()))?;
    if let Some(policy) = policy.filter(|policy| policy.retain) {
        let reason = format!("policy `{}` says `retain`: it is never revoked", policy.name);
        return Err(refuse(at, "retain", reason));
    }
    Ok(())
}

fn backend<'e>(engine: &'e Engine, at: &Ref) -> Result<&'e dyn Backend, Refusal> {
    let member = engine.estate.member(at.backend()).map_err(|_| {
        let text = format!("backend `{}` is not configured or could not be built", at.backend());
        refuse(at, "no-backend", text)
    })?;
    Ok(member.backend.as_ref())
}

async fn at_issuer(
    engine: &Engine,
    detail: &CredentialDetail,
    options: &RevokeOptions,
    backend: &dyn Backend,
    (issuer, ending): (&dyn Issuer, Ending),
) -> Result<(SagaPlan, Descent), Refusal> {
    use StepPhase::{AfterPivot, BeforePivot, Pivot};
    let at = &detail.credential.at;
    let capability = backend.capability();
    let presence = presence(issuer, at).await?;
    let provable = scrub::readable(engine, detail) && capability.verify;
    let mut steps = Vec::new();
    let step = |action, phase, detail: &str| Step::new(action, at.clone(), phase, detail);
    if provable {
        let text = "read the value from a copy and seal it, so that its refusal can be proven";
        steps.push(step(Action::SealOld, BeforePivot, text));
        let text = "log in with it: the positive control of the proof";
        steps.push(step(Action::ControlProbe, BeforePivot, text));
    }
    let suspends = ending.suspension != Suspension::None;
    if suspends {
        let text = "suspend it at its issuer: from here on nobody gets in with it";
        steps.push(step(Action::Disable, Pivot, text));
    }
    if provable && ending.suspension == Suspension::Refused {
        let text = "log in with it while it is suspended: it should be refused";
        steps.push(step(Action::ProveDisabled, AfterPivot, text));
    }
    let phase = if suspends { AfterPivot } else { Pivot };
    steps.push(step(Action::Revoke(Some(presence)), phase, "make it unusable at its issuer for good"));
    let mut notes = ending.notes.clone();
    let descent = match descent(backend, at, &ending).await {
        Ok(descent) => {
            steps.extend(end_derived(at, &ending, &descent));
            descent
        }
        Err(refusal) if options.force => {
            notes.push(format!("{}: it goes on", refusal.reason));
            Descent::default()
        }
        Err(refusal) => return Err(refusal),
    };
    if capability.revoke_cache_seconds > 0 {
        let seconds = capability.revoke_cache_seconds;
        let text = format!("wait {seconds} s, until no cache may still accept it");
        steps.push(step(Action::AwaitCache(seconds), AfterPivot, &text));
    }
    let text = "log in with it: it must be refused; and it must not be there again";
    steps.push(step(Action::ProveRefused, AfterPivot, text));

    notes.extend(descent.notes.iter().cloned());
    if !provable {
        notes.push("no copy of its value can be read: the verdict will be `attested` at most".to_owned());
    }
    let places = scrub::places(engine, detail, options.scrub).await?;
    match options.scrub && provable {
        true => steps.extend(scrub::steps(&places, AfterPivot)),
        false => notes.extend(places.holding().map(|copy| {
            format!("{copy} holds the same value and will hold a dead one; `--scrub` takes it out")
        })),
    }
    notes.extend(places.notes());
    let manager = detail.credential.attributes.get("managed_by").and_then(serde_json::Value::as_str);
    if let Some(manager) = manager {
        notes.push(format!("{manager} writes it and will make it again: end it at its source too"));
    }
    if let Some(identity) = &detail.identity {
        notes.push(format!("it authenticates {} ({} privilege)", identity.at, identity.privilege));
    }
    let first = steps.iter().find(|step| step.phase == Pivot).map(|step| step.action.name());
    let plan = SagaPlan {
        kind: SagaKind::Revocation,
        definition: "revoke/2".to_owned(),
        credential: detail.credential.id,
        subject: at.clone(),
        strategy: if options.force { FORCED.to_owned() } else { "revoke".to_owned() },
        breaks: readers(detail).into_iter().map(|(consumer, _)| consumer).collect(),
        reversible_until: first.unwrap_or_default().to_owned(),
        steps,
        notes,
    };
    Ok((plan, descent))
}

/// What was obtained with it, where something can outlive it.
pub(super) async fn descent(backend: &dyn Backend, at: &Ref, ending: &Ending) -> Result<Descent, Refusal> {
    let Some(offspring) = backend.offspring().filter(|_| ending.outlived_by.is_some()) else {
        return Ok(Descent::default());
    };
    offspring.derived(at).await.map_err(|error| {
        let text = format!("what was obtained with it could not be asked for: {}", described(&error));
        refuse(at, "issuer-silent", text)
    })
}

/// What an error says, with what can be done about it.
fn described(error: &claviger_backend::Error) -> String {
    let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
    format!("{}{hint}", error.message())
}

/// The step that ends it. It is there also where there is nothing now: until the credential has ended more can come.
pub(super) fn end_derived(at: &Ref, ending: &Ending, descent: &Descent) -> Option<Step> {
    let what = ending.outlived_by?;
    let names: Vec<&str> = descent.derived.iter().take(NAMED).map(|one| one.at.as_str()).collect();
    let shared = descent.derived.iter().filter(|one| !one.certain).count();
    let detail = match descent.derived.len() {
        0 => format!("end the {what} that were obtained with it: its issuer lists none now"),
        count => {
            let unsure = match shared {
                0 => String::new(),
                _ => format!("; {shared} of them may be of another one that cannot be told apart"),
            };
            format!("end the {what} that were obtained with it: {count} now ({}){unsure}", names.join(", "))
        }
    };
    Some(Step::new(Action::EndDerived(descent.mark.clone()), at.clone(), StepPhase::AfterPivot, detail))
}

/// Does the issuer's own object hold this copy? It goes with it.
pub(super) fn is_own(engine: &Engine, detail: &CredentialDetail, copy: &Ref) -> bool {
    let at = &detail.credential.at;
    // Where no issuer is known, the credential is called after one of its copies, which may have no field.
    let issues = engine.estate.member(at.backend()).is_ok_and(|member| {
        member.backend.issuer().is_some_and(|issuer| issuer.ending(at).refused.is_none())
    });
    issues && at.field_name().is_none() && copy.object() == *at
}

/// Copies in force.
pub(super) fn current(detail: &CredentialDetail) -> impl Iterator<Item = &claviger_core::view::CopyView> {
    detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current)
}
