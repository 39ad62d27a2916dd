use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{id::Seq, view::NotificationView};

use crate::Result;

/// Something that a receiver is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// The entry of the audit log that it is made from.
    pub audit_seq: Seq,
    /// The name under which it is sent, each time.
    pub id: String,
    /// The event's word.
    pub event: String,
    /// What is sent, each time.
    pub body: String,
}

/// One that a worker has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Whose it is.
    pub receiver: String,
    /// What.
    pub queued: Queued,
    /// When it was queued.
    pub queued_at: DateTime<Utc>,
    /// Attempts, this one too.
    pub attempts: u32,
    /// Of its claim.
    pub epoch: i64,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotificationEnd {
    /// The receiver has it.
    Sent,
    /// It is tried again then.
    Again {
        /// When.
        at: DateTime<Utc>,
        /// Why this attempt came to nothing. Holds no secret.
        error: String,
    },
    /// It is given up.
    Dead {
        /// Why.
        error: String,
    },
}

/// What others are told: an outbox that is filled from the audit log.
#[async_trait]
pub trait Notifications: Send + Sync {
    /// The last entry of the audit log that was looked at for this receiver. One that is not known yet begins at the log's end: it is told what happens from
    /// now on.
    async fn told_until(&self, receiver: &str) -> Result<Seq>;

    /// Queues what the entries after `from` up to `to` give, and remembers `to`, in one transaction. `false`: another process was there before, and nothing
    /// was written.
    async fn queue(&self, receiver: &str, from: Seq, to: Seq, new: Vec<Queued>) -> Result<bool>;

    /// Claims up to `most` of a receiver's that are due and that nobody else has, the oldest first. `lease` is counted by the database's clock; whoever dies
    /// within it leaves them to the next claim.
    async fn claim_notifications(
        &self,
        receiver: &str,
        now: DateTime<Utc>,
        lease: Duration,
        most: u32,
    ) -> Result<Vec<Notification>>;

    /// Notes what came of one. `false`: its lease ended, somebody else has claimed it, and nothing was written.
    async fn settle_notification(
        &self,
        claimed: &Notification,
        end: NotificationEnd,
        now: DateTime<Utc>,
    ) -> Result<bool>;

    /// Those that are pending or dead, the oldest first.
    async fn open_notifications(&self) -> Result<Vec<NotificationView>>;

    /// How many are in each state, `pending` and `dead`.
    async fn notification_counts(&self) -> Result<BTreeMap<String, u64>>;

    /// Forgets those that were sent before that. Gives how many.
    async fn purge_notifications(&self, before: DateTime<Utc>) -> Result<u64>;
}
