//! Plans: what would be done, and whether it may be.

use claviger_core::saga::SagaPlan;
use claviger_engine::{
    approval::{Admission, Proposed},
    plan::{Blast, Plan},
};
use serde_json::{Value, json};

use super::{Result, stamp, value};

/// The plan as in the contract.
pub fn document(plan: &Plan) -> Value {
    let of = |it: &SagaPlan| plan.blast.iter().find(|blast| blast.credential == it.credential);
    let subjects: Vec<_> = plan.subjects.iter().map(|it| subject(it, of(it))).collect();
    json!({ "hash": plan.hash, "subjects": subjects, "refused": plan.refused })
}

fn subject(plan: &SagaPlan, blast: Option<&Blast>) -> Value {
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| json!({ "step": step.action.name(), "target": step.target, "detail": step.detail }))
        .collect();
    let mut document = json!({
        "credential": plan.credential, "ref": plan.subject, "strategy": plan.strategy, "steps": steps, "breaks": plan.breaks,
        "reversible_until": plan.reversible_until, "notes": plan.notes,
    });
    if let Some(blast) = blast {
        document["blast"] = json!(blast);
    }
    document
}

/// A plan with what it wants and has: what `--dry-run` prints. `verb` is `rotate` or `revoke`; of a swap see [`super::swap::judged`].
///
/// # Errors
/// A bug.
pub fn judged(plan: &Plan, admission: &Admission, verb: &str) -> Result<Value> {
    let mut document = document(plan);
    document["approvals"] = value(admission)?;
    stamp(&mut document, &format!("{verb}-plan"));
    Ok(document)
}

/// A plan that waits for approval.
pub fn proposed(proposed: &Proposed) -> Value {
    let proposal = &proposed.proposal;
    json!({
        "plan": document(&proposed.plan), "verb": proposal.verb, "planned_by": proposal.actor, "planned_at": proposal.at,
        "needed": proposal.needed, "reasons": proposal.reasons,
    })
}
