use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    audit::AuditDraft,
    id::{CredentialId, Epoch, SagaId, Seq},
    saga::{Cause, Event, IllegalEvent, Progress, SagaKind, SagaPlan},
    seal::SagaSalt,
    view::{ReceiptView, SagaView},
};

use crate::{Claimed, Result};

/// A saga to be begun.
pub struct NewSaga {
    /// Its id.
    pub id: SagaId,
    /// What will be done.
    pub plan: SagaPlan,
    /// Why.
    pub cause: Cause,
    /// Who.
    pub actor: String,
    /// The reason that a person gave.
    pub reason: Option<String>,
    /// The salt of its sealed values.
    pub salt: SagaSalt,
    /// Values that it begins with: a rollback's, handed over by the saga that it takes back.
    pub seal: Vec<SealedRow>,
    /// Appended in the same transaction.
    pub audit: Vec<AuditDraft>,
    /// The firing that it is begun for, whose row names it from the same transaction on. Somebody else's by now: nothing is recorded.
    pub firing: Option<Claimed>,
}

/// Ownership of a saga for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The saga.
    pub saga: SagaId,
    /// Fences older owners.
    pub epoch: Epoch,
    /// The next event's number; the append moves it on.
    pub next_seq: Seq,
    /// How much of the lease was left when the database answered, by the database's clock.
    pub lease: Duration,
}

/// A sealed value's row.
pub struct SealedRow {
    /// The slot's word.
    pub slot: String,
    /// What `SealingKey::seal` made.
    pub sealed: Vec<u8>,
}

/// One append: everything in it commits together or not at all.
#[derive(Default)]
pub struct Append {
    /// The event.
    pub event: Option<Event>,
    /// Audit entries, chained behind the head in this transaction.
    pub audit: Vec<AuditDraft>,
    /// Values to be sealed: written before the first external effect.
    pub seal: Vec<SealedRow>,
    /// Destroys all sealed values and the salt of this saga.
    pub shred: bool,
    /// A receipt to be kept; its audit entry is the one of `audit` of kind `receipt`, whose number is put into it.
    pub receipt: Option<ReceiptView>,
}

/// What an append came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The time that it was stored with.
    pub at: DateTime<Utc>,
    /// The numbers of its audit entries.
    pub audit: Vec<Seq>,
}

/// A saga as stored.
pub struct SagaRecord {
    /// Its id.
    pub id: SagaId,
    /// The newest owner's epoch: an older owner that reads it has been overtaken.
    pub epoch: Epoch,
    /// The plan.
    pub plan: SagaPlan,
    /// Why.
    pub cause: Cause,
    /// Who began it.
    pub actor: String,
    /// The reason that a person gave.
    pub reason: Option<String>,
    /// Salt of its sealed values; `None` once shredded.
    pub salt: Option<SagaSalt>,
    /// All events, in order, with the time of their commit.
    pub events: Vec<(DateTime<Utc>, Event)>,
    /// The fold of the events.
    pub progress: Progress,
    /// When it was planned.
    pub created_at: DateTime<Utc>,
    /// When it came to rest.
    pub finished_at: Option<DateTime<Utc>>,
}

impl SagaRecord {
    /// The same after one more event that was appended at this time.
    ///
    /// # Errors
    /// The event must not follow: nothing was changed then.
    pub fn follow(&mut self, at: DateTime<Utc>, event: Event) -> Result<(), IllegalEvent> {
        self.progress = self.progress.clone().apply(&self.plan, &event)?;
        self.events.push((at, event));
        Ok(())
    }
}

/// The journal of sagas.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Records a new saga, with its audit entries. A second unfinished saga for the same credential is refused with `None`, one of a firing that is somebody
    /// else's by now with [`Error::Fenced`](crate::Error::Fenced).
    async fn create(&self, saga: NewSaga) -> Result<Option<SagaId>>;

    /// Takes the saga over if nobody's lease holds it: raises the epoch and sets a lease of `lease`, in database time. `None` while another
    /// owner's lease runs or when the saga is at rest or absent. `owner` is for people.
    async fn claim(&self, saga: SagaId, owner: &str, lease: Duration) -> Result<Option<Claim>>;

    /// Extends the lease. [`Error::Fenced`](crate::Error::Fenced) when the epoch is no longer the newest.
    async fn renew(&self, claim: &mut Claim, lease: Duration) -> Result<()>;

    /// Gives the saga up without waiting for the lease to end. Repeat and loss of ownership are fine.
    async fn release(&self, claim: &Claim) -> Result<()>;

    /// The fenced append, one transaction (`BEGIN IMMEDIATE` on SQLite): update the saga's row on (id, epoch, next_seq) *first* and require
    /// one row, else [`Error::Fenced`](crate::Error::Fenced); insert the event, which `Progress::apply` must allow; chain the audit entries; commit. Durable
    /// when it returns. Appends of one process that wait for the writer may share a transaction: what holds of one append holds of each of them.
    /// Dropped before it returns, it happened or not, as a whole.
    async fn append(&self, claim: &mut Claim, append: Append) -> Result<Appended>;

    /// Ends a saga and begins another one of the same credential in one transaction, so that there is no moment in which neither, or both,
    /// answer for it: fenced like [`Journal::append`], which it is for the first saga. Its event must bring it to rest. Nothing is changed on an error.
    async fn hand_over(&self, claim: &mut Claim, last: Append, successor: NewSaga) -> Result<SagaId>;

    /// Reads a saga. Absence is an answer.
    async fn load(&self, saga: SagaId) -> Result<Option<SagaRecord>>;

    /// The sealed bytes of a slot, if they were not shredded.
    async fn sealed(&self, saga: SagaId, slot: &str) -> Result<Option<Vec<u8>>>;

    /// Unfinished sagas, oldest first.
    async fn unfinished(&self) -> Result<Vec<SagaId>>;

    /// Rows of `list rotations` or `list revocations`, newest first.
    async fn list(&self, kind: SagaKind, credential: Option<CredentialId>) -> Result<Vec<SagaView>>;

    /// Receipts, newest first.
    async fn receipts(&self, saga: Option<SagaId>) -> Result<Vec<ReceiptView>>;
}
