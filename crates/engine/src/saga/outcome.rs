//! What a saga did, in the shape that the command line prints.

use chrono::{DateTime, Utc};
use claviger_core::{
    id::{CredentialId, SagaId},
    reference::Ref,
    saga::{Event, Next, Progress, SagaPlan, StepState},
    view::ReceiptView,
};
use claviger_store::port::SagaRecord;
use serde::{Deserialize, Serialize};

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    /// Its action.
    pub step: String,
    /// Where.
    pub target: Ref,
    /// `pending`, `started`, `waiting`, `succeeded`, `failed`, `undoing`, `undone`, `undo-failed`.
    pub status: String,
    /// When it was first begun.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What it left, or why it failed.
    pub detail: String,
}

/// A place that still holds a dead value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Where.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// Why.
    pub reason: String,
}

/// One saga.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SagaOutcome {
    /// The saga.
    pub rotation_id: SagaId,
    /// The credential.
    pub credential: CredentialId,
    /// Its ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// The state's word.
    pub state: String,
    /// Why it is where it is.
    pub reason: Option<String>,
    /// Its steps.
    pub steps: Vec<StepView>,
    /// Fingerprint of the old value and what a login with it showed.
    pub old: serde_json::Value,
    /// Fingerprint of the new value, and its own ref where it has one.
    pub new: serde_json::Value,
    /// Places that still hold a dead value which was to be taken out, with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
    /// When it goes on, where nothing but a time is waited for.
    #[serde(skip)]
    pub wakes_at: Option<DateTime<Utc>>,
    /// Receipts.
    #[serde(skip)]
    pub receipts: Vec<ReceiptView>,
}

impl SagaOutcome {
    /// The outcome of a stored saga.
    pub fn of(record: &SagaRecord, receipts: Vec<ReceiptView>) -> Self {
        let fact = |action: &str, key: &str| {
            record
                .progress
                .output(&record.plan, |step| step.action.name() == action)
                .and_then(|output| output.facts.get(key).cloned())
        };
        let sealed = |key: &str| {
            let seals = [
                "seal-values",
                "seal-copies",
                "seal-pair",
                "seal-named",
                "seal-user",
                "seal-accepted",
                "seal-held",
                "seal-old",
                "mint-at-issuer",
                "mint-by-name",
                "mint-marked",
                "take-over",
                "seal-certificate",
                "note-root",
            ];
            seals.into_iter().find_map(|action| fact(action, key))
        };
        // The value that was sealed first may have been refused and replaced.
        let any = |actions: &[&str], key: &str| actions.iter().find_map(|action| fact(action, key));
        let new = any(&["set-at-issuer", "ask-issuer", "add-at-issuer", "wake-user"], "new");
        let made = ["mint-at-issuer", "mint-by-name", "mint-marked", "add-at-issuer", "wake-user"];
        let added = any(&made, "at");
        Self {
            rotation_id: record.id,
            credential: record.plan.credential,
            at: record.plan.subject.clone(),
            state: record.progress.state.word().to_owned(),
            reason: put_off(record).or_else(|| record.progress.state.reason()),
            steps: steps(record),
            old: serde_json::json!({ "handle": sealed("old"), "verdict": verdict(&record.plan, &record.progress) }),
            new: serde_json::json!({ "handle": new.or_else(|| sealed("new")), "ref": added }),
            left: super::step::left_in(record).into_iter().map(|(at, reason)| Left { at, reason }).collect(),
            wakes_at: match record.progress.next(&record.plan) {
                Next::Wait(_, until) => Some(until),
                _ => None,
            },
            receipts,
        }
    }
}

/// What a target said that wants to be left alone for a while.
fn put_off(record: &SagaRecord) -> Option<String> {
    let Next::Wait(index, _) = record.progress.next(&record.plan) else { return None };
    match record.progress.steps.get(index)? {
        StepState::Failed { failure, .. } => Some(failure.message.clone()),
        _ => None,
    }
}

/// What the trial of the old value came to, by the step that tried it.
pub(super) fn verdict(plan: &SagaPlan, progress: &Progress) -> Option<serde_json::Value> {
    const TRIALS: [&str; 8] = [
        "prove-refused",
        "conclude",
        "attest",
        "attest-root",
        "conclude-scrub",
        "prove-anchor",
        "prove-cut",
        "attest-ended",
    ];
    TRIALS.into_iter().find_map(|trial| {
        let output = progress.output(plan, |step| step.action.name() == trial)?;
        output.facts.get("verdict").cloned()
    })
}

fn steps(record: &SagaRecord) -> Vec<StepView> {
    let times = |id: &str| {
        let of = |event: &Event| match event {
            Event::Started { step, .. }
            | Event::Succeeded { step, .. }
            | Event::Failed { step, .. }
            | Event::Reconciled { step, .. }
            | Event::UndoFinished { step } => step == id,
            _ => false,
        };
        let mut events = record.events.iter().filter(|(_, event)| of(event));
        (events.next().map(|(at, _)| *at), events.next_back().map(|(at, _)| *at))
    };
    record
        .plan
        .steps
        .iter()
        .zip(&record.progress.steps)
        .map(|(step, state)| {
            let (started_at, finished_at) = times(&step.id);
            let (status, detail) = match state {
                StepState::Pending => ("pending", step.detail.clone()),
                StepState::Started { .. } => ("started", step.detail.clone()),
                StepState::Waiting { until, .. } => {
                    ("waiting", format!("until {}", until.format("%Y-%m-%dT%H:%M:%SZ")))
                }
                StepState::Succeeded { output } => ("succeeded", output.detail.clone()),
                StepState::Failed { failure, .. } if failure.until.is_some() => {
                    ("waiting", failure.message.clone())
                }
                StepState::Failed { failure, .. } => ("failed", failure.message.clone()),
                StepState::Undoing => ("undoing", step.detail.clone()),
                StepState::Undone => ("undone", "taken back".to_owned()),
                StepState::UndoFailed => ("undo-failed", "could not be taken back".to_owned()),
            };
            let ended =
                matches!(state, StepState::Succeeded { .. } | StepState::Failed { .. } | StepState::Undone);
            StepView {
                step: step.action.name().to_owned(),
                target: step.target.clone(),
                status: status.to_owned(),
                started_at,
                finished_at: finished_at.filter(|_| ended),
                detail,
            }
        })
        .collect()
}
