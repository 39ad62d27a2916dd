//! Swaps: a plan with the changes of manifests in it and what it makes where identities are accepted, and what came of it.

use claviger_engine::{approval::Admission, plan::SwapPlan, saga::SagaOutcome};
use serde_json::Value;

use super::{Result, change, stamp, value, values};

/// The plan as in the contract, with `patches` and `arrangements`.
///
/// # Errors
/// A bug.
pub fn document(planned: &SwapPlan) -> Result<Value> {
    let mut document = super::plan::document(&planned.plan);
    document["patches"] = values(&planned.patches)?.into();
    document["arrangements"] = values(&planned.arrangements())?.into();
    Ok(document)
}

/// The same with what it wants and has: what `--dry-run` prints.
///
/// # Errors
/// A bug.
pub fn judged(planned: &SwapPlan, admission: &Admission) -> Result<Value> {
    let mut document = document(planned)?;
    document["approvals"] = value(admission)?;
    stamp(&mut document, "swap-plan");
    Ok(document)
}

/// What `swap` prints of a plan's document and what came of it.
///
/// # Errors
/// A bug.
pub fn swaps(plan: &Value, outcomes: &[SagaOutcome]) -> Result<Value> {
    let receipts: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.receipts).collect();
    let mut document = change::rotations(plan, outcomes, "swap");
    document["receipts"] = values(&receipts)?.into();
    if let Some(fields) = document.as_object_mut()
        && let Some(swaps) = fields.remove("rotations")
    {
        fields.insert("swaps".to_owned(), swaps);
    }
    Ok(document)
}
