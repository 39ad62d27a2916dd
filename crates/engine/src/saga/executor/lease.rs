//! Ownership of a saga: taken, kept while a call is under way, and lost to whoever came after.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    id::SagaId,
    saga::{Event, Progress as Fold},
};
use claviger_store::port::{Append, Claim, SagaRecord};
use tokio::time::Instant;

use super::RunOptions;
use crate::{
    Engine, Error, Result,
    progress::{Progress, Silent},
};

/// Longest time until somebody who waits looks whether it should stop.
const NAP: Duration = Duration::from_millis(500);

/// Ownership with the local end of the lease.
pub(in crate::saga) struct Owned {
    pub(in crate::saga) claim: Claim,
    until: Instant,
    /// What this owner appended since it read the saga.
    since: Vec<(DateTime<Utc>, Event)>,
}

impl Owned {
    /// Brings a record that was read before up to what was appended since.
    pub(in crate::saga) fn catch_up(&mut self, record: &mut SagaRecord) -> Result<()> {
        for (at, event) in self.since.drain(..) {
            record.follow(at, event).map_err(claviger_store::Error::from)?;
        }
        Ok(())
    }

    /// Where the saga is, by a record that was read before.
    pub(super) fn present(&self, record: &SagaRecord) -> Result<Fold> {
        let mut progress = record.progress.clone();
        for (_, event) in &self.since {
            progress = progress.apply(&record.plan, event).map_err(claviger_store::Error::from)?;
        }
        Ok(progress)
    }
}

impl Engine {
    /// The saga as it is now, if it still is ours. Whoever was overtaken says so, even where the new owner has left nothing to be done: a
    /// worker never reports another one's work as its own.
    pub(in crate::saga) async fn load_owned(&self, owned: &mut Owned) -> Result<SagaRecord> {
        let record = self.load(owned.claim.saga).await?;
        if record.epoch != owned.claim.epoch {
            return Err(claviger_store::Error::Fenced.into());
        }
        owned.since.clear();
        Ok(record)
    }

    /// Appends as the owner. [`Owned::catch_up`] brings a record that was read before up to it.
    pub(super) async fn append_owned(&self, owned: &mut Owned, append: Append) -> Result<()> {
        let event = append.event.clone();
        let appended = self.ports.journal.append(&mut owned.claim, append).await?;
        owned.since.extend(event.map(|event| (appended.at, event)));
        Ok(())
    }

    /// Takes a saga over, waiting for whoever owns it. `None`: it came to rest meanwhile.
    ///
    /// # Errors
    /// Its owner holds it for longer than `patience`; there is no such saga; the database.
    pub(in crate::saga) async fn own(
        &self,
        id: SagaId,
        options: &RunOptions,
        patience: Duration,
    ) -> Result<Option<Owned>> {
        let begun = Instant::now();
        loop {
            let asked = Instant::now();
            if let Some(claim) = self.ports.journal.claim(id, &self.actor, options.lease).await? {
                // Counted from before the question, so that our view of the lease ends before the database's.
                let until = asked + claim.lease;
                return Ok(Some(Owned { claim, until, since: Vec::new() }));
            }
            if self.load(id).await?.progress.state.is_rest() {
                return Ok(None);
            }
            if begun.elapsed() >= patience {
                return Err(Error::Busy(id.to_string()));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// The same where rest would be an error: an operator decides about what is under way.
    pub(in crate::saga) async fn own_open(&self, id: SagaId, options: &RunOptions) -> Result<Owned> {
        let owned = self.own(id, options, options.patience).await?;
        owned.ok_or_else(|| Error::NoSaga(format!("{id} to be decided about: it is at rest")))
    }

    /// Makes sure that the lease outlasts one external call.
    pub(super) async fn hold(&self, owned: &mut Owned, options: &RunOptions) -> Result<()> {
        if owned.until.saturating_duration_since(Instant::now()) <= options.deadline() {
            let asked = Instant::now();
            self.ports.journal.renew(&mut owned.claim, options.lease).await?;
            owned.until = asked + owned.claim.lease;
        }
        Ok(())
    }

    pub(super) async fn wait(
        &self,
        owned: &mut Owned,
        options: &RunOptions,
        until: chrono::DateTime<chrono::Utc>,
    ) -> Result<()> {
        self.wait_unless(owned, options, until, &Silent).await.map(drop)
    }

    /// Waits, unless it is told to stop before: `false`.
    pub(super) async fn wait_unless(
        &self,
        owned: &mut Owned,
        options: &RunOptions,
        until: chrono::DateTime<chrono::Utc>,
        progress: &dyn Progress,
    ) -> Result<bool> {
        loop {
            let left = until - self.clock.now();
            if left <= TimeDelta::zero() {
                return Ok(true);
            }
            if progress.should_stop() {
                return Ok(false);
            }
            let nap = left.to_std().unwrap_or_default().min(options.lease / 4).min(NAP);
            tokio::time::sleep(nap).await;
            self.hold(owned, options).await?;
        }
    }
}
