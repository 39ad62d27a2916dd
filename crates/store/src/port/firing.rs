use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    audit::AuditDraft,
    firing::{FiringCounts, FiringState, FiringView, PauseView},
    id::{CredentialId, Epoch, FiringId, PauseId, SagaId},
    reference::Ref,
    schedule::{Budget, Urgency},
};

use crate::Result;

/// A firing as the scheduler wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The credential.
    pub credential: CredentialId,
    /// When it is due.
    pub due_at: DateTime<Utc>,
    /// Its ref.
    pub subject: Ref,
    /// The backend whose budget it takes from.
    pub backend: String,
    /// The policy.
    pub policy: String,
    /// What nobody else may hold while it runs: names of its identity and its consumers.
    pub holds: Vec<String>,
    /// The first moment at which it may start.
    pub starts_at: DateTime<Utc>,
    /// How exposed it is: within a budget the exposed go first.
    pub urgency: Urgency,
    /// The pause that holds it.
    pub pause: Option<PauseId>,
}

/// A planned firing as it is kept, for comparison with what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFiring {
    /// Its id.
    pub id: FiringId,
    /// Its credential.
    pub credential: CredentialId,
    /// Its policy.
    pub policy: String,
    /// What it holds.
    pub holds: Vec<String>,
    /// The first moment at which it may start by what was wanted, or by the last try that came to nothing, whichever is later.
    pub starts_at: DateTime<Utc>,
    /// Not before this, as an earlier try came to nothing.
    pub retry_at: Option<DateTime<Utc>>,
    /// How exposed it is.
    pub urgency: Urgency,
    /// Somebody asked for it by hand: its start is that moment.
    pub asked: bool,
    /// The pause that holds it.
    pub pause: Option<PauseId>,
}

/// One change of what is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replan {
    /// Plan it, or change what is planned. One that is not planned any more (taken, begun, over) stays as it is.
    Put(Wanted),
    /// It is not wanted any more. One that is not planned any more stays.
    Drop(FiringId),
}

/// A firing that a worker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The firing.
    pub id: FiringId,
    /// The credential.
    pub credential: CredentialId,
    /// When it was due.
    pub due_at: DateTime<Utc>,
    /// Its ref.
    pub subject: Ref,
    /// The backend.
    pub backend: String,
    /// Fences older owners.
    pub epoch: Epoch,
    /// The rotation that was begun for it, by a worker that is gone.
    pub saga: Option<SagaId>,
    /// Tries that came to nothing.
    pub attempts: u32,
    /// Somebody asked for it by hand: windows and blackouts do not hold it.
    pub asked: bool,
}

/// What comes of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FiringEnd {
    /// Its rotation is over and well.
    Done {
        /// The rotation.
        saga: SagaId,
    },
    /// Its rotation is not over, and needs no worker now.
    Open {
        /// The rotation.
        saga: SagaId,
        /// The rotation's state.
        outcome: String,
        /// Why.
        detail: Option<String>,
    },
    /// Nothing came of it. It is planned again for later.
    Again {
        /// Not before this.
        at: DateTime<Utc>,
        /// The rotation's state, `refused`, `needs-approval`, `failed`.
        outcome: String,
        /// Why.
        detail: Option<String>,
    },
    /// Its time has not come after all: a window closed, a pause began. No try is counted.
    Later {
        /// Not before this.
        at: DateTime<Utc>,
        /// The pause.
        pause: Option<PauseId>,
    },
    /// The credential is not due at that instant any more: nothing is left of the firing.
    Superseded,
}

/// A pause to be begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPause {
    /// Its id.
    pub id: PauseId,
    /// What it holds; `None` for everything.
    pub selector: Option<String>,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
}

/// What is scheduled, who has it, and what came of it.
#[async_trait]
pub trait Firings: Send + Sync {
    /// All planned firings.
    async fn planned(&self) -> Result<Vec<PlannedFiring>>;

    /// Changes what is planned, in pieces, each whole. Repeat changes nothing.
    async fn replan(&self, now: DateTime<Utc>, changes: &[Replan]) -> Result<()>;

    /// Takes firings that may start at `now`, at most `most`, each for `lease` of database time; those first whose worker's lease has ended. Of the others
    /// none that would exceed its backend's budget, that holds what a firing under way holds, or that is paused. Of backends without a budget none is taken. Two
    /// workers never get the same one.
    async fn claim(
        &self,
        now: DateTime<Utc>,
        owner: &str,
        lease: Duration,
        budgets: &[Budget],
        most: usize,
    ) -> Result<Vec<Claimed>>;

    /// Has planned firings of these credentials start at once, whatever their window says, and notes who asked. Gives those that it found; one that is taken
    /// already, or paused, stays as it is.
    async fn ask_firings(
        &self,
        now: DateTime<Utc>,
        credentials: &[CredentialId],
        audit: AuditDraft,
    ) -> Result<Vec<CredentialId>>;

    /// Nothing of this backend is taken until then: it throttles us. A later time stands. It is noted where the budget was open before, and not each time that it
    /// is told again.
    async fn close_budget(
        &self,
        now: DateTime<Utc>,
        backend: &str,
        until: DateTime<Utc>,
        audit: AuditDraft,
    ) -> Result<()>;

    /// Extends a claim. [`Error::Fenced`](crate::Error::Fenced) when it is somebody else's by now.
    async fn renew_firing(&self, claim: &Claimed, lease: Duration) -> Result<()>;

    /// Notes the rotation that was begun for it. Fenced as [`Firings::renew_firing`].
    async fn begun(&self, now: DateTime<Utc>, claim: &Claimed, saga: SagaId) -> Result<()>;

    /// Ends claims, in one transaction: of each, whether it was still ours. One that was not is left alone.
    async fn settle(&self, now: DateTime<Utc>, ends: &[(Claimed, FiringEnd)]) -> Result<Vec<bool>>;

    /// Firings whose rotation was begun and was not over when its worker left it.
    async fn open_firings(&self) -> Result<Vec<FiringView>>;

    /// Ends an open one, or says anew why it is open. Repeat and absence are fine.
    async fn settle_open(&self, now: DateTime<Utc>, id: FiringId, end: &FiringEnd) -> Result<()>;

    /// Firings in these states, the first to start first, at most `limit`.
    async fn firings(&self, states: &[FiringState], limit: u64) -> Result<Vec<FiringView>>;

    /// How many are where.
    async fn firing_counts(&self, now: DateTime<Utc>) -> Result<FiringCounts>;

    /// Begins a pause, with its audit entry.
    async fn pause(&self, pause: &NewPause, audit: AuditDraft) -> Result<()>;

    /// Ends a pause, with its audit entry; what it held is free at once. `false`: there is none with this id, or it is over, and nothing was written.
    async fn end_pause(&self, id: PauseId, actor: &str, audit: AuditDraft) -> Result<bool>;

    /// Pauses that hold, oldest first.
    async fn pauses(&self) -> Result<Vec<PauseView>>;

    /// Takes or keeps a duty that only one process has at a time, for `lease` of database time. `false` while another one has it.
    async fn take_duty(&self, name: &str, owner: &str, lease: Duration) -> Result<bool>;

    /// Gives a duty up. Repeat and loss are fine.
    async fn leave_duty(&self, name: &str, owner: &str) -> Result<()>;

    /// Notes that a duty that comes round was done at this time. An earlier time than the one that is kept changes nothing.
    async fn end_round(&self, name: &str, at: DateTime<Utc>) -> Result<()>;

    /// When a duty that comes round was last done; `None`: never.
    async fn last_round(&self, name: &str) -> Result<Option<DateTime<Utc>>>;

    /// Can something be written durably, and the audit log be appended to? Commits a row and takes the lock that an append takes. Gives how far the
    /// database's clock is ahead of `now`, in milliseconds.
    async fn probe(&self, now: DateTime<Utc>) -> Result<i64>;
}
