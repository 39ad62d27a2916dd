//! What was changed: rotations, revocations with their receipts, a rotation that was taken back.

use chrono::{DateTime, Utc};
use claviger_core::{id::CredentialId, reference::Ref};
use claviger_engine::saga::SagaOutcome;
use serde_json::{Value, json};

use super::{Result, stamp, values};

/// What `rotate` prints of a plan's document and what came of it; `verb` names the shape.
pub fn rotations(plan: &Value, outcomes: &[SagaOutcome], verb: &str) -> Value {
    let mut document = json!({ "plan": plan, "rotations": outcomes });
    stamp(&mut document, verb);
    document
}

/// One saga whole, with its receipts.
///
/// # Errors
/// A bug.
pub fn saga(outcome: &SagaOutcome, kind: &str) -> Result<Value> {
    let mut document = super::value(outcome)?;
    document["receipts"] = values(&outcome.receipts)?.into();
    stamp(&mut document, kind);
    Ok(document)
}

/// A receipt of what could not even be begun.
pub fn not_begun(credential: CredentialId, at: &Ref, why: &str, now: DateTime<Utc>) -> Value {
    json!({
        "credential": credential, "ref": at, "verdict": "failed", "control": null, "probe": null,
        "observed_at": now, "detail": why, "audit_seq": null,
    })
}

/// The receipts of revocations: one of each, whatever came of it. `failed` are those that were not begun.
///
/// # Errors
/// A bug.
pub fn receipts(outcomes: &[SagaOutcome], failed: &[Value], now: DateTime<Utc>) -> Result<Vec<Value>> {
    let mut receipts = Vec::new();
    for outcome in outcomes {
        // Where only copies are cleaned, there is nothing to be proven.
        if outcome.receipts.is_empty() && outcome.state == "done" {
            continue;
        }
        if outcome.receipts.is_empty() {
            receipts.push(json!({
                "credential": outcome.credential, "ref": outcome.at, "verdict": "failed", "control": null, "probe": null,
                "observed_at": now, "detail": outcome.reason.clone().unwrap_or_else(|| outcome.state.clone()), "audit_seq": null,
            }));
        } else {
            receipts.extend(values(&outcome.receipts)?);
        }
    }
    receipts.extend(failed.iter().cloned());
    Ok(receipts)
}

/// What `revoke` prints of a plan's document and what came of it.
pub fn revocations(plan: &Value, outcomes: &[SagaOutcome], receipts: &[Value]) -> Value {
    let items: Vec<_> = outcomes
        .iter()
        .map(|outcome| json!({ "id": outcome.rotation_id, "ref": outcome.at, "state": outcome.state, "reason": outcome.reason }))
        .collect();
    let left: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.left).collect();
    let mut document = json!({
        "plan": plan, "receipts": receipts, "left": left, "revocations": items,
    });
    stamp(&mut document, "revoke");
    document
}
