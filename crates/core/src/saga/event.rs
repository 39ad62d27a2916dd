use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{id::SagaId, model::Attributes};

/// What an operator decided about a saga that nobody else can move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Try again what failed: the undo of a stuck saga, the step of a paused one.
    Retry,
    /// Leave everything as it is and end the saga; its sealed values are destroyed.
    Close,
}

/// Did a failed call change the target?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureEffect {
    /// Certainly not.
    NotApplied,
    /// Certainly.
    Applied,
    /// Not known: reconcile before anything else.
    Unknown,
}

/// Why a step failed. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// One sentence.
    pub message: String,
    /// Did it change the target?
    pub effect: FailureEffect,
    /// May the same step be tried again by itself?
    pub temporary: bool,
    /// Until when the target wants to be left alone, where it said that it has no room and changed nothing. Such a try is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

/// What a step left for later steps and for the record. Holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOutput {
    /// One sentence.
    pub detail: String,
    /// Facts: `version`, `fingerprint`, `verdict`, `path`, …
    #[serde(default)]
    pub facts: Attributes,
}

/// What happened to a saga. Payloads are references and redacted errors, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A step is about to run. Its audit intent stands in the same transaction.
    Started {
        /// The step.
        step: String,
        /// Counts from 1.
        attempt: u32,
    },
    /// A step is done.
    Succeeded {
        /// The step.
        step: String,
        /// What it left.
        output: StepOutput,
    },
    /// A step failed.
    Failed {
        /// The step.
        step: String,
        /// Why.
        failure: Failure,
    },
    /// After a crash or an unknown effect: the world was observed.
    Reconciled {
        /// The step.
        step: String,
        /// Had it happened? Then its output.
        happened: Option<StepOutput>,
        /// What was seen.
        detail: String,
    },
    /// The step waits for a point in time; it was started and will be asked again.
    TimerSet {
        /// The step.
        step: String,
        /// Until when.
        until: DateTime<Utc>,
        /// What was seen when it was asked, where that counts for the answer in the end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<String>,
    },
    /// A step's undo is about to run.
    UndoStarted {
        /// The step.
        step: String,
    },
    /// A step was undone.
    UndoFinished {
        /// The step.
        step: String,
    },
    /// A step could not be undone.
    UndoFailed {
        /// The step.
        step: String,
        /// Why.
        reason: String,
    },
    /// The saga stops until an operator decides.
    Paused {
        /// Why.
        reason: String,
    },
    /// An operator lets a paused saga go on.
    Continued {
        /// Who.
        actor: String,
        /// Why.
        reason: String,
    },
    /// An operator gives the saga up before its pivot: what it did is undone.
    Abandoned {
        /// Who.
        actor: String,
        /// Why.
        reason: String,
    },
    /// A rollback has taken over the sealed values, in the same transaction: from here on the other saga answers for the credential.
    RolledBack {
        /// The rollback.
        by: SagaId,
    },
    /// An operator decided about a stuck or paused saga.
    Resolved {
        /// Who.
        actor: String,
        /// Why.
        reason: String,
        /// What.
        decision: Decision,
    },
}
