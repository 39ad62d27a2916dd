//! Rotations, revocations and swaps that were begun.

use claviger_core::{
    id::SagaId,
    saga::{SagaKind, SagaPlan},
    view::SagaView,
};
use claviger_engine::{Engine, saga::SagaOutcome};
use serde_json::{Value, json};

use super::{Context, Problem, caller::Caller, problem::Answer};
use crate::{
    access::Verb,
    document::{self, change},
};

/// The one whose id begins so, among those of which that may be done. What may not is not there.
pub(super) async fn find(
    context: &Context,
    caller: &Caller,
    kind: SagaKind,
    beginning: &str,
    verb: Verb,
) -> Answer<SagaView> {
    let engine = &context.scheduler().engine;
    let mut found = engine.ports.journal.list(kind, None).await?;
    found.retain(|saga| saga.rotation_id.to_string().starts_with(beginning));
    let absent = || Problem::absent(kind.word(), beginning);
    let (Some(saga), true) = (found.pop(), found.is_empty()) else { return Err(absent()) };
    match caller.covers(engine, verb, saga.credential, &saga.at).await? {
        true => Ok(saga),
        false => Err(absent()),
    }
}

/// The one whose id begins so, whatever it is. For whoever sees everything.
pub(super) async fn any(engine: &Engine, beginning: &str) -> Answer<SagaId> {
    let mut found = Vec::new();
    for kind in SagaKind::ALL {
        let all = engine.ports.journal.list(kind, None).await?;
        found.extend(all.into_iter().map(|saga| saga.rotation_id));
    }
    found.retain(|id| id.to_string().starts_with(beginning));
    match found.as_slice() {
        [one] => Ok(*one),
        _ => Err(Problem::absent("rotation", beginning)),
    }
}

/// One whole. Steps at places that are not seen are left out, and counted.
pub(super) async fn whole(
    context: &Context,
    caller: &Caller,
    kind: SagaKind,
    id: SagaId,
) -> Answer<(SagaOutcome, Value)> {
    let engine = &context.scheduler().engine;
    let mut outcome = engine.outcome(id).await?;
    let sight = caller.reads();
    let mut withheld = 0;
    if !sight.is_whole() {
        let now = engine.clock.now();
        let labels = engine.ports.inventory.credential(now, outcome.credential).await?;
        let labels = labels.map(|detail| detail.credential.labels);
        let sees = |at: &claviger_core::reference::Ref| match &labels {
            Some(labels) => sight.sees(at.backend(), labels),
            None => sight.sees_ref(at),
        };
        let before = outcome.steps.len() + outcome.left.len();
        outcome.steps.retain(|step| sees(&step.target));
        outcome.left.retain(|left| sees(&left.at));
        withheld = before - outcome.steps.len() - outcome.left.len();
    }
    let mut document = change::saga(&outcome, kind.word())?;
    if withheld > 0 {
        document["withheld"] = json!(withheld);
    }
    Ok((outcome, caller.told(context, document)))
}

/// Is nothing going to happen to it without somebody?
pub(super) fn rests(state: &str) -> bool {
    matches!(state, "done" | "unwound" | "rolled-back" | "closed" | "paused" | "stuck")
}

/// What is told of those that were recorded, and of those that were not.
pub(super) fn begun(plans: &[SagaPlan], recorded: &[claviger_engine::Result<SagaId>]) -> Value {
    let (mut ids, mut failed) = (Vec::new(), Vec::new());
    for (plan, recorded) in plans.iter().zip(recorded) {
        match recorded {
            Ok(id) => {
                ids.push(json!({ "rotation_id": id, "credential": plan.credential, "ref": plan.subject }));
            }
            Err(error) => failed.push(json!({
                "credential": plan.credential, "ref": plan.subject, "reason": error.to_string(),
            })),
        }
    }
    let mut document = json!({ "ids": ids, "failed": failed });
    document::stamp(&mut document, "begun");
    document
}

/// Where one can be looked at; of several, where all can.
pub(super) fn place(kind: SagaKind, begun: &Value) -> String {
    let base = format!("/api/v1/{}s", kind.word());
    match begun["ids"].as_array().map(Vec::as_slice) {
        Some([one]) => format!("{base}/{}", one["rotation_id"].as_str().unwrap_or_default()),
        _ => base,
    }
}
