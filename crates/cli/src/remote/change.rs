//! What `rotate`, `revoke` and `swap` have in common at a service.

use std::time::Duration;

use claviger_core::{
    clock::{Clock as _, SystemClock},
    id::CredentialId,
    reference::Ref,
};
use claviger_engine::{approval::Admission, saga::SagaOutcome};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Client, typed};
use crate::{
    args::{ChangeArgs, Format, Global},
    commands::{
        guard::Gate,
        plan::{self, Answer},
    },
    error::{Exit, Result},
    output,
};

/// Between two looks at what is under way.
const LOOK: Duration = Duration::from_millis(400);
/// Longest wait of one that waits for a time: as at the database.
const LINGER: Duration = Duration::from_secs(120);

/// A plan as it is shown and given back.
pub(super) struct Planned {
    /// As the service gave it.
    pub(super) judged: Value,
    /// Without what it wants and has: as it stands in what is printed at the end.
    pub(super) plan: Value,
    pub(super) gate: Gate,
}

impl Planned {
    pub(super) fn new(judged: Value) -> Result<Self> {
        let admission: Admission = typed(&judged["approvals"], "what a plan wants")?;
        let mut plan = judged.clone();
        if let Value::Object(plan) = &mut plan {
            plan.remove("approvals");
            plan.remove("schema");
        }
        // Whether somebody has shown who they are the service knows.
        let gate = Gate { admission, incident: None, nameless: false };
        Ok(Self { judged, plan, gate })
    }

    pub(super) fn hash(&self) -> &str {
        self.plan["hash"].as_str().unwrap_or_default()
    }

    pub(super) fn subjects(&self) -> usize {
        self.plan["subjects"].as_array().map_or(0, Vec::len)
    }

    pub(super) fn refused(&self) -> &[Value] {
        self.plan["refused"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Shows it and asks. `None`: go on.
    pub(super) fn ask(&self, global: &Global, change: &ChangeArgs, verb: &str) -> Result<Option<Exit>> {
        plan::show(global, &self.plan);
        self.gate.show(global);
        if !change.dry_run {
            self.gate.stop(global, &self.plan, verb)?;
        }
        let Answer::Stop(exit) = plan::ask(self.subjects(), change, verb)? else { return Ok(None) };
        if !matches!(global.output, Format::Table | Format::Wide) {
            output::document(global, &self.judged)?;
        }
        Ok(Some(exit))
    }
}

/// What the service has begun, and what it could not begin.
#[derive(Deserialize)]
pub(super) struct Begun {
    pub(super) ids: Vec<Recorded>,
    pub(super) failed: Vec<NotBegun>,
}

#[derive(Deserialize)]
pub(super) struct Recorded {
    pub(super) rotation_id: String,
}

#[derive(Deserialize)]
pub(super) struct NotBegun {
    pub(super) credential: CredentialId,
    #[serde(rename = "ref")]
    pub(super) at: Ref,
    pub(super) reason: String,
}

impl Begun {
    pub(super) fn read(document: &Value) -> Result<Self> {
        typed(document, "what was begun")
    }

    /// Looks at all of them until nothing more comes by itself, or once where nobody waits. `kind` is `rotations`, `revocations` or `swaps`.
    pub(super) async fn outcomes(&self, client: &Client, kind: &str, wait: bool) -> Result<Vec<SagaOutcome>> {
        let mut outcomes = Vec::new();
        for recorded in &self.ids {
            let mut waiting = None::<Instant>;
            loop {
                let document = client.get(&[kind, &recorded.rotation_id], &[]).await?;
                let mut outcome: SagaOutcome = typed(&document, "what was done")?;
                outcome.receipts = typed(&document["receipts"], "receipts")?;
                let rests = match outcome.state.as_str() {
                    "done" | "unwound" | "rolled-back" | "closed" | "paused" | "stuck" => true,
                    "waiting" => waiting.get_or_insert_with(Instant::now).elapsed() >= LINGER,
                    _ => {
                        waiting = None;
                        false
                    }
                };
                if rests || !wait {
                    outcomes.push(outcome);
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(outcomes)
    }

    /// The receipts of those that were not begun.
    pub(super) fn not_begun(&self) -> Vec<Value> {
        let now = SystemClock.now();
        let receipt = |one: &NotBegun| {
            claviger_server::document::change::not_begun(one.credential, &one.at, &one.reason, now)
        };
        self.failed.iter().map(receipt).collect()
    }
}

/// What was given; where only a condition was, it is asked of everything.
pub(super) fn chosen(words: &[String], condition: Option<&str>) -> Value {
    let words = words.join(" ");
    let words = Some(words.trim()).filter(|words| !words.is_empty()).unwrap_or("*");
    json!({ "selector": words, "where": condition })
}
