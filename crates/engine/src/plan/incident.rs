//! The rotation of a value that is known to others: its consumers get a new one, and the old one ends without a grace, with what was obtained with
//! it. The definition is the rotation's with `+incident`.

use claviger_backend::Descent;
use claviger_core::{
    saga::{Action, SagaPlan, StepPhase},
    view::CredentialDetail,
};

use super::{Refusal, RevokeOptions, RotateOptions, revocation, root::Engines, rotation, scrub};
use crate::Engine;

pub(super) async fn plan(
    engine: &Engine,
    detail: &CredentialDetail,
    options: &RevokeOptions,
    engines: &Engines,
) -> Result<(SagaPlan, Descent), Refusal> {
    revocation::may_end(engine, detail)?;
    let rotate = RotateOptions { leave_stale: options.force, no_grace: true, ..RotateOptions::default() };
    let mut plan = rotation::plan(engine, detail, &rotate, engines).await.map_err(|refusal| Refusal {
        reason: format!("it cannot be replaced: {}; without `--replace` it is revoked", refusal.reason),
        ..refusal
    })?;
    // Whoever still uses it may be the one who must not: nobody is waited for but the consumers that are known.
    plan.steps.retain(|step| {
        !matches!(step.action, Action::AwaitGrace(_) | Action::AwaitQuiet(_) | Action::AwaitNoSessions(_))
    });
    let at = &plan.subject;
    let member = engine.estate.member(at.backend());
    let ending = member.ok().and_then(|member| Some((member, member.backend.issuer()?.ending(at))));
    let mut descent = Descent::default();
    if let Some((member, ending)) = &ending {
        descent = revocation::descent(member.backend.as_ref(), at, ending).await?;
        plan.notes.extend(descent.notes.iter().cloned());
        if let Some(step) = revocation::end_derived(at, ending, &descent) {
            // Before the last proof, whose receipt tells of it.
            let proof = plan.steps.iter().rposition(|step| {
                matches!(step.action, Action::ProveRefused | Action::Attest | Action::Conclude)
            });
            plan.steps.insert(proof.unwrap_or(plan.steps.len()), step);
        }
    }
    if options.scrub {
        let places = scrub::places(engine, detail, true).await?;
        let former = scrub::steps(&places, StepPhase::AfterPivot);
        plan.steps.extend(former.into_iter().filter(|step| step.action == Action::ScrubFormer));
        plan.notes.extend(places.notes());
    }
    plan.definition = format!("{}+incident", plan.definition);
    plan.notes.push("its old value ends as soon as its consumers have the new one: no grace".to_owned());
    Ok((plan, descent))
}
