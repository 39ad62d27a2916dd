//! Firings of schedules: a credential, and the instant at which its policy has it rotated.
//!
//! Of each pair there is one firing, ever: that is why nothing fires twice, whoever plans it and however often.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    id::{CredentialId, FiringId, PauseId, SagaId},
    reference::Ref,
};

/// Where a firing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FiringState {
    /// Its time has not come, or it waits to be taken.
    Planned,
    /// A worker has it.
    Claimed,
    /// Its rotation was begun and is not over: it waits for a timer or for an operator, and no worker holds it.
    Open,
    /// Over: nothing comes of it any more.
    Done,
}

impl FiringState {
    /// The word that is stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Claimed => "claimed",
            Self::Open => "open",
            Self::Done => "done",
        }
    }
}

/// A row of `schedule list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FiringView {
    /// Its id, derived from the two below.
    pub id: FiringId,
    /// The credential.
    pub credential: CredentialId,
    /// When it is due.
    pub due_at: DateTime<Utc>,
    /// The credential's ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// Name of the backend, whose budget it takes from.
    pub backend: String,
    /// The policy that has it rotated.
    pub policy: String,
    /// The first moment at which it may start.
    pub starts_at: DateTime<Utc>,
    /// Where it is.
    pub state: FiringState,
    /// The pause that holds it.
    pub pause: Option<PauseId>,
    /// Tries that came to nothing.
    pub attempts: u32,
    /// Who has it.
    pub claimed_by: Option<String>,
    /// The rotation that it began.
    pub rotation_id: Option<SagaId>,
    /// What came of the last try: the rotation's state, or `refused`, `needs-approval`, `failed`.
    pub outcome: Option<String>,
    /// More of that.
    pub detail: Option<String>,
}

/// A pause of what is scheduled. What was begun goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseView {
    /// Its id.
    pub id: PauseId,
    /// What it holds: a selector; `None` for everything.
    pub selector: Option<String>,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub actor: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// How many firings are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FiringCounts {
    /// Planned, whenever they are due.
    pub planned: u64,
    /// Of these: may start now.
    pub startable: u64,
    /// Of these: held by a pause.
    pub paused: u64,
    /// At a worker.
    pub claimed: u64,
    /// Begun, and waiting.
    pub open: u64,
    /// The earliest `starts_at` of those that may start now.
    pub oldest: Option<DateTime<Utc>>,
}
