use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::webhook::DeliveryId;

use super::Answer;
use crate::Result;

/// What is known of a request that a webhook brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is the caller's to act on, and nobody else's while its lease lasts: nobody had it, or whoever had it died before the answer.
    Ours,
    /// Somebody acts on it.
    UnderWay,
    /// It was acted on.
    Answered(Answer),
}

/// Requests that webhooks brought, so that none is acted on twice.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Takes one, once for each receiver and id: of several at a time one gets [`Taken::Ours`]. `remember_until`: until when a repeat would be let in;
    /// `None` keeps it for good. `lease` is counted by the database's clock, from its milliseconds up to a day.
    async fn take_delivery(
        &self,
        receiver: &str,
        id: &DeliveryId,
        remember_until: Option<DateTime<Utc>>,
        lease: Duration,
    ) -> Result<Taken>;

    /// Keeps what was answered. Repeat: the first answer stays.
    async fn answer_delivery(&self, receiver: &str, id: &DeliveryId, answer: &Answer) -> Result<()>;

    /// Nothing came of it: the next repeat may take it at once. One that was answered stays.
    async fn leave_delivery(&self, receiver: &str, id: &DeliveryId) -> Result<()>;

    /// Forgets those that need be remembered no longer than until then. Gives how many.
    async fn purge_deliveries(&self, before: DateTime<Utc>) -> Result<u64>;
}
