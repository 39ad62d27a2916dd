//! Firings of schedules. What is compared in a query is a whole number: microseconds for instants, milliseconds of the database's clock for leases.

mod ask;
mod claim;
mod duty;
mod pause;
mod plan;
mod settle;
mod view;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    audit::AuditDraft,
    firing::{FiringCounts, FiringState, FiringView, PauseView},
    id::{CredentialId, FiringId, PauseId, SagaId},
    schedule::Budget,
};

pub(super) use self::settle::note_begun;
use super::SeaStore;
use crate::{Claimed, Error, FiringEnd, Firings, NewPause, PlannedFiring, Replan, Result};

const FIRING: &str = "firing";

#[async_trait]
impl Firings for SeaStore {
    async fn planned(&self) -> Result<Vec<PlannedFiring>> {
        self.database.watched(self.planned_firings()).await
    }

    async fn replan(&self, now: DateTime<Utc>, changes: &[Replan]) -> Result<()> {
        self.database.watched(self.replan_firings(now, changes)).await
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        owner: &str,
        lease: Duration,
        budgets: &[Budget],
        most: usize,
    ) -> Result<Vec<Claimed>> {
        self.database.watched(self.claim_firings(now, owner, lease, budgets, most)).await
    }

    async fn ask_firings(
        &self,
        now: DateTime<Utc>,
        credentials: &[CredentialId],
        audit: AuditDraft,
    ) -> Result<Vec<CredentialId>> {
        self.ask_for(now, credentials, audit).await
    }

    async fn close_budget(
        &self,
        now: DateTime<Utc>,
        backend: &str,
        until: DateTime<Utc>,
        audit: AuditDraft,
    ) -> Result<()> {
        self.close_until(now, backend, until, audit).await
    }

    async fn renew_firing(&self, claim: &Claimed, lease: Duration) -> Result<()> {
        self.database.watched(self.renew_claim(claim, lease)).await
    }

    async fn begun(&self, now: DateTime<Utc>, claim: &Claimed, saga: SagaId) -> Result<()> {
        self.database.watched(note_begun(&self.database.write, now, claim, saga)).await
    }

    async fn settle(&self, now: DateTime<Utc>, ends: &[(Claimed, FiringEnd)]) -> Result<Vec<bool>> {
        self.database.watched(self.settle_claims(now, ends)).await
    }

    async fn open_firings(&self) -> Result<Vec<FiringView>> {
        self.database.watched(self.list_firings(&[FiringState::Open], u64::MAX)).await
    }

    async fn settle_open(&self, now: DateTime<Utc>, id: FiringId, end: &FiringEnd) -> Result<()> {
        self.database.watched(self.settle_opened(now, id, end)).await
    }

    async fn firings(&self, states: &[FiringState], limit: u64) -> Result<Vec<FiringView>> {
        self.database.watched(self.list_firings(states, limit)).await
    }

    async fn firing_counts(&self, now: DateTime<Utc>) -> Result<FiringCounts> {
        self.database.watched(self.count_firings(now)).await
    }

    async fn pause(&self, pause: &NewPause, audit: AuditDraft) -> Result<()> {
        self.database.watched(self.begin_pause(pause, audit)).await
    }

    async fn end_pause(&self, id: PauseId, actor: &str, audit: AuditDraft) -> Result<bool> {
        self.database.watched(self.finish_pause(id, actor, audit)).await
    }

    async fn pauses(&self) -> Result<Vec<PauseView>> {
        self.database.watched(self.open_pauses()).await
    }

    async fn take_duty(&self, name: &str, owner: &str, lease: Duration) -> Result<bool> {
        self.database.watched(self.hold_duty(name, owner, lease)).await
    }

    async fn leave_duty(&self, name: &str, owner: &str) -> Result<()> {
        self.database.watched(self.drop_duty(name, owner)).await
    }

    async fn end_round(&self, name: &str, at: DateTime<Utc>) -> Result<()> {
        self.database.watched(self.keep_round(name, at)).await
    }

    async fn last_round(&self, name: &str) -> Result<Option<DateTime<Utc>>> {
        self.database.watched(self.newest_round(name)).await
    }

    async fn probe(&self, now: DateTime<Utc>) -> Result<i64> {
        self.database.watched(self.probe_writing(now)).await
    }
}

/// Whole microseconds since the Unix epoch.
fn number(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

fn instant(micros: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| Error::inconsistent(FIRING, "an instant out of range"))
}

fn millis(lease: Duration) -> i64 {
    i64::try_from(lease.as_millis()).unwrap_or(i64::MAX).min(86_400_000)
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
