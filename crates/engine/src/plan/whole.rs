//! What is no credential itself, and with which many end at once: all leases below a prefix, an entity with its tokens. Definition
//! `end-derived/1`. Nobody holds what they are, so that its issuer's word is what there is: `attested`.

use claviger_backend::{Descent, ErrorKind, Offspring};
use claviger_core::{
    reference::Ref,
    saga::{Action, SagaKind, SagaPlan, Step, StepPhase},
};
use claviger_store::port::Selection;

use super::{FORCED, Refusal, RevokeOptions, anchor, blast, blast::Blast, refuse, revocation};
use crate::{Engine, Result, selector::Selector};

/// So many are named in a step.
const NAMED: usize = 10;

/// The ref that a selector names and nothing else, if its backend ends such a thing, and what ends with it.
pub(super) fn named(engine: &Engine, selector: &Selector) -> Option<(Ref, &'static str)> {
    let at = selector.named()?;
    let what = offspring(engine, &at)?.whole(&at)?;
    Some((at, what))
}

fn offspring<'e>(engine: &'e Engine, at: &Ref) -> Option<&'e dyn Offspring> {
    engine.estate.member(at.backend()).ok()?.backend.offspring()
}

pub(super) async fn plan(
    engine: &Engine,
    (at, what): (&Ref, &str),
    options: &RevokeOptions,
) -> Result<std::result::Result<(SagaPlan, Blast), Refusal>> {
    let Some(offspring) = offspring(engine, at) else {
        return Ok(Err(refuse(at, "no-backend", "its backend could not be built")));
    };
    let descent = match offspring.derived(at).await {
        Ok(descent) => descent,
        Err(error) => {
            let code = match error.kind() {
                ErrorKind::NotFound => "already-gone",
                ErrorKind::Invalid => "not-ended",
                _ => "issuer-silent",
            };
            return Ok(Err(refuse(at, code, error.message())));
        }
    };
    let detail = anchor::detail(engine, at, None).await?;
    if let Err(refusal) = revocation::may_end(engine, &detail) {
        return Ok(Err(refusal));
    }
    if let Some(refusal) = held(engine, at, &descent).await? {
        return Ok(Err(refusal));
    }
    let plan = assembled(at, what, &descent, options);
    let blast = blast::of(engine, &detail, &plan, descent, false).await?;
    Ok(Ok((plan, blast)))
}

/// Nothing of it that must stay.
async fn held(engine: &Engine, at: &Ref, descent: &Descent) -> Result<Option<Refusal>> {
    for credential in engine.ports.inventory.credentials(engine.clock.now(), &Selection::default()).await? {
        if !descent.derived.iter().any(|one| one.at == credential.at) {
            continue;
        }
        let Some(other) = engine.detail(credential.id).await? else { continue };
        if let Err(refusal) = revocation::may_end(engine, &other) {
            let text = format!("{} would end with it, and must not: {}", credential.at, refusal.reason);
            return Ok(Some(refuse(at, &refusal.code, text)));
        }
    }
    Ok(None)
}

fn assembled(at: &Ref, what: &str, descent: &Descent, options: &RevokeOptions) -> SagaPlan {
    let names: Vec<_> = descent.derived.iter().take(NAMED).map(|one| one.at.as_str()).collect();
    let detail = match descent.derived.len() {
        0 => format!("end {what}: its issuer lists none now"),
        count => format!("end {what}: {count} now ({})", names.join(", ")),
    };
    let end = Step::new(Action::EndDerived(descent.mark.clone()), at.clone(), StepPhase::Pivot, detail);
    let text = "take its issuer's word: nobody here held what has ended";
    let attest = Step::new(Action::AttestEnded, at.clone(), StepPhase::AfterPivot, text);
    SagaPlan {
        kind: SagaKind::Revocation,
        definition: "end-derived/1".to_owned(),
        credential: anchor::id(at),
        subject: at.clone(),
        strategy: if options.force { FORCED.to_owned() } else { "end-derived".to_owned() },
        breaks: Vec::new(),
        reversible_until: end.id.clone(),
        steps: vec![end, attest],
        notes: descent.notes.clone(),
    }
}
