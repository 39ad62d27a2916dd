//! Rotations, revocations and swaps that were begun, at a service.

use claviger_engine::saga::SagaOutcome;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Client, typed};
use crate::error::{Exit, Failure, Result};

/// Code of what is not there.
pub(super) const ABSENT: u16 = 622;

/// What became of several.
#[derive(Deserialize)]
pub(super) struct Taken {
    outcomes: Vec<Value>,
    pub(super) failed: Vec<NotTaken>,
}

/// One that could not be taken up.
#[derive(Deserialize)]
pub(super) struct NotTaken {
    pub(super) reason: String,
}

impl Taken {
    pub(super) fn read(document: &Value) -> Result<Self> {
        typed(document, "what was done")
    }

    pub(super) fn outcomes(&self) -> Result<Vec<SagaOutcome>> {
        let outcome = |document: &Value| {
            let mut outcome: SagaOutcome = typed(document, "what was done")?;
            outcome.receipts = typed(&document["receipts"], "receipts")?;
            Ok(outcome)
        };
        self.outcomes.iter().map(outcome).collect()
    }
}

/// Is it a rotation, a revocation or a swap, and which is it? An id or a beginning of one that no other has.
pub(super) async fn find(client: &Client, text: &str) -> Result<(&'static str, String)> {
    for kind in ["rotations", "revocations", "swaps"] {
        match client.get(&[kind, text], &[]).await {
            Ok(document) => {
                let id = document["rotation_id"].as_str().unwrap_or(text);
                return Ok((kind, id.to_owned()));
            }
            Err(failure) if failure.is(ABSENT) => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::new(403, Exit::Failed, format!("there is no rotation, revocation or swap `{text}`"))
        .hint("`claviger list rotations` shows them"))
}
