mod anchor;
mod authority;
mod decoy;
mod ending;
mod eraser;
mod federation;
mod letterbox;
mod own_login;
mod trusting;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    id::OperationKey,
    model::{ConsumerHow, Scope},
    reference::Ref,
    secret::SecretValue,
};
use tokio::{sync::Semaphore, time::Instant};

use super::{Call, LayerConfig, check, limit, retry, timeout, trace};
use crate::{
    Adoption, Anchors, Authority, Backend, BackendInfo, Capability, Decoys, Ending, Eraser, Error, ErrorKind,
    Expect, Federation, Field, Held, Identified, Issued, Issuer, Letterbox, Likeness, Offer, Offspring,
    Operation, OwnLogin, PendingValue, Permission, Phase, Presence, Probe, Prospect, Restore, Result,
    Runtime, ScanSink, Sessions, Sibling, Store, StoreState, StoredValue, Trusting, Turn, Turns, ValueOrigin,
    Workloads,
};

/// A backend behind the layers. It has the roles of the backend within.
pub struct Guarded {
    inner: Arc<dyn Backend>,
    config: LayerConfig,
    permits: Semaphore,
    /// Until when it wants to be left alone.
    closed: Mutex<Option<Instant>>,
}

impl Guarded {
    /// Puts the layers around a backend.
    pub fn new(inner: Arc<dyn Backend>, config: LayerConfig) -> Self {
        Self { inner, config, permits: Semaphore::new(config.concurrency.max(1)), closed: Mutex::default() }
    }

    async fn call<T, F>(&self, call: Call<'_>, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        trace::traced(self.inner.info(), &call, async {
            let deadline = Instant::now() + call.total;
            let _permit = limit::permit(&self.permits, &call, deadline).await?;
            retry::retried(&self.config.retry, &call, deadline, || {
                let attempt = timeout::bounded(&call, deadline, attempt());
                async move {
                    let answer = attempt.await;
                    if let Err(error) = &answer {
                        self.heed(error);
                    }
                    answer
                }
            })
            .await
        })
        .await
    }

    /// A system that has no room says for how long, or is left alone for a while.
    fn heed(&self, error: &Error) {
        if let Some(rest) = error.rest() {
            let until = Instant::now() + rest;
            let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
            *closed = Some(closed.map_or(until, |known| known.max(until)));
        }
    }

    fn checked(&self, claimed: bool, at: Option<&Ref>, operation: &'static str) -> Result<()> {
        let info = self.inner.info();
        check::supported(claimed, info, operation)?;
        at.map_or(Ok(()), |at| check::ours(at, info, operation))
    }

    fn inner_issuer(&self, claimed: bool, at: Option<&Ref>, operation: &'static str) -> Result<&dyn Issuer> {
        self.checked(claimed, at, operation)?;
        self.inner.issuer().ok_or_else(|| self.no_role("issuer", operation))
    }

    fn inner_turns(&self, at: &Ref, operation: &'static str) -> Result<&dyn Turns> {
        self.checked(self.capability().alternate, Some(at), operation)?;
        self.inner.turns().ok_or_else(|| self.no_role("issuer to users that take turns", operation))
    }

    fn inner_store(&self, claimed: bool, at: &Ref, operation: &'static str) -> Result<&dyn Store> {
        self.checked(claimed, Some(at), operation)?;
        self.inner.store().ok_or_else(|| self.no_role("store", operation))
    }

    fn inner_runtime(&self, claimed: bool, at: &Ref, operation: &'static str) -> Result<&dyn Runtime> {
        self.checked(claimed, Some(at), operation)?;
        self.inner.runtime().ok_or_else(|| self.no_role("runtime", operation))
    }

    fn no_role(&self, role: &str, operation: &'static str) -> Error {
        let message = format!("`{}` is no {role}", self.inner.info().name);
        Error::new(ErrorKind::Unsupported, operation, message)
    }

    /// A value is brought exactly where the offer says that we make it.
    fn value_fits_offer(
        &self,
        issuer: &dyn Issuer,
        subject: &Ref,
        value: Option<&SecretValue>,
    ) -> Result<()> {
        let Some(offer) = issuer.offer(subject) else {
            let message = format!("no new value can be issued for {subject}");
            return Err(Error::new(ErrorKind::Unsupported, "issue", message));
        };
        let set_by_us = offer.origin == ValueOrigin::SetByUs;
        if set_by_us == value.is_some() {
            return Ok(());
        }
        let message =
            if set_by_us { "the value has to be given" } else { "the issuer makes the value itself" };
        Err(Error::new(ErrorKind::Invalid, "issue", message))
    }
}

#[async_trait]
impl Backend for Guarded {
    fn info(&self) -> &BackendInfo {
        self.inner.info()
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    async fn check(&self) -> Result<Vec<Permission>> {
        self.call(Call::reads("backend.check", &self.config), || self.inner.check()).await
    }

    async fn inventory(&self, phase: Phase, sink: &mut ScanSink) -> Result<()> {
        let call = Call::reads("backend.inventory", &self.config);
        trace::traced(self.inner.info(), &call, async {
            self.checked(self.inner.capability().inventory, None, "inventory")?;
            self.inner.inventory(phase, sink).await
        })
        .await
    }

    fn may_hide(&self, unread: &Scope, missing: &Scope) -> bool {
        self.inner.may_hide(unread, missing)
    }

    fn issuer(&self) -> Option<&dyn Issuer> {
        self.inner.issuer().map(|_| self as &dyn Issuer)
    }

    fn turns(&self) -> Option<&dyn Turns> {
        self.inner.turns().map(|_| self as &dyn Turns)
    }

    fn offspring(&self) -> Option<&dyn Offspring> {
        self.inner.offspring().map(|_| self as &dyn Offspring)
    }

    fn throttled(&self) -> Option<Duration> {
        let until = *self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        until.and_then(|until| until.checked_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    fn own_login(&self) -> Option<&dyn OwnLogin> {
        self.inner.own_login().map(|_| self as &dyn OwnLogin)
    }

    fn decoys(&self) -> Option<&dyn Decoys> {
        self.inner.decoys().map(|_| self as &dyn Decoys)
    }

    fn store(&self) -> Option<&dyn Store> {
        self.inner.store().map(|_| self as &dyn Store)
    }

    fn eraser(&self) -> Option<&dyn Eraser> {
        self.inner.eraser().map(|_| self as &dyn Eraser)
    }

    fn letterbox(&self) -> Option<&dyn Letterbox> {
        self.inner.letterbox().map(|_| self as &dyn Letterbox)
    }

    fn trusting(&self) -> Option<&dyn Trusting> {
        self.inner.trusting().map(|_| self as &dyn Trusting)
    }

    fn runtime(&self) -> Option<&dyn Runtime> {
        self.inner.runtime().map(|_| self as &dyn Runtime)
    }

    fn anchors(&self) -> Option<&dyn Anchors> {
        self.inner.anchors().map(|_| self as &dyn Anchors)
    }

    fn authority(&self) -> Option<&dyn Authority> {
        self.inner.authority().map(|_| self as &dyn Authority)
    }

    fn federation(&self) -> Option<&dyn Federation> {
        self.inner.federation().map(|_| self as &dyn Federation)
    }

    fn workloads(&self) -> Option<&dyn Workloads> {
        self.inner.workloads().map(|_| self as &dyn Workloads)
    }
}

#[async_trait]
impl Issuer for Guarded {
    fn offer(&self, subject: &Ref) -> Option<Offer> {
        self.inner.issuer().filter(|_| self.capability().issue)?.offer(subject)
    }

    async fn prospect(&self, subject: &Ref) -> Result<Prospect> {
        self.call(Call::reads("issuer.prospect", &self.config).at(subject), || async move {
            self.inner_issuer(self.capability().issue, Some(subject), "prospect")?.prospect(subject).await
        })
        .await
    }

    async fn issue(&self, op: &Operation, subject: &Ref, value: Option<&SecretValue>) -> Result<Issued> {
        self.call(Call::changes("issuer.issue", op).at(subject), || async move {
            let issuer = self.inner_issuer(self.capability().issue, Some(subject), "issue")?;
            self.value_fits_offer(issuer, subject, value)?;
            issuer.issue(op, subject, value).await
        })
        .await
    }

    async fn issued(&self, op: &Operation, subject: &Ref) -> Result<Option<Issued>> {
        self.call(Call::reads("issuer.issued", &self.config).at(subject), || async move {
            let claimed = self.capability().issue_by_name;
            self.inner_issuer(claimed, Some(subject), "issued")?.issued(op, subject).await
        })
        .await
    }

    async fn verify(&self, subject: &Ref, value: &SecretValue) -> Result<Probe> {
        self.call(Call::reads("issuer.verify", &self.config).at(subject), || async move {
            self.inner_issuer(self.capability().verify, Some(subject), "verify")?.verify(subject, value).await
        })
        .await
    }

    async fn identify(&self, value: &SecretValue) -> Result<Option<Identified>> {
        self.call(Call::reads("issuer.identify", &self.config), || async move {
            self.inner_issuer(self.capability().identify, None, "identify")?.identify(value).await
        })
        .await
    }

    async fn added(&self, subject: &Ref, value: &SecretValue) -> Result<Option<Identified>> {
        self.call(Call::reads("issuer.added", &self.config).at(subject), || async move {
            let claimed = self.capability().issue_adds || self.capability().identify;
            self.inner_issuer(claimed, Some(subject), "added")?.added(subject, value).await
        })
        .await
    }

    async fn snapshot(&self, subject: &Ref) -> Result<Option<Restore>> {
        self.call(Call::reads("issuer.snapshot", &self.config).at(subject), || async move {
            self.inner_issuer(self.capability().restore, Some(subject), "snapshot")?.snapshot(subject).await
        })
        .await
    }

    async fn restore(&self, op: &Operation, subject: &Ref, saved: &Restore) -> Result<()> {
        self.call(Call::changes("issuer.restore", op).at(subject), || async move {
            self.inner_issuer(self.capability().restore, Some(subject), "restore")?
                .restore(op, subject, saved)
                .await
        })
        .await
    }

    async fn presence(&self, subject: &Ref) -> Result<Presence> {
        self.call(Call::reads("issuer.presence", &self.config).at(subject), || async move {
            self.inner_issuer(true, Some(subject), "presence")?.presence(subject).await
        })
        .await
    }

    fn ending(&self, subject: &Ref) -> Ending {
        self.inner.issuer().map(|issuer| issuer.ending(subject)).unwrap_or_default()
    }

    async fn revoke(&self, op: &Operation, subject: &Ref, expect: Option<&str>) -> Result<()> {
        self.call(Call::changes("issuer.revoke", op).at(subject), || async move {
            let claimed = self.capability().revoke || self.capability().alternate;
            self.inner_issuer(claimed, Some(subject), "revoke")?.revoke(op, subject, expect).await
        })
        .await
    }

    async fn revoke_held(
        &self,
        op: &Operation,
        subject: &Ref,
        value: &SecretValue,
        expect: Option<&str>,
    ) -> Result<()> {
        self.call(Call::changes("issuer.revoke_held", op).at(subject), || async move {
            let issuer = self.inner_issuer(self.capability().revoke, Some(subject), "revoke_held")?;
            issuer.revoke_held(op, subject, value, expect).await
        })
        .await
    }

    async fn siblings(&self, subject: &Ref) -> Result<Vec<Sibling>> {
        self.call(Call::reads("issuer.siblings", &self.config).at(subject), || async move {
            let claimed = self.capability().siblings || self.capability().alternate;
            self.inner_issuer(claimed, Some(subject), "siblings")?.siblings(subject).await
        })
        .await
    }

    async fn made_by(&self, op: &Operation, subject: &Ref) -> Result<Vec<Ref>> {
        self.call(Call::reads("issuer.made_by", &self.config).at(subject), || async move {
            let claimed = self.capability().issue_marks;
            self.inner_issuer(claimed, Some(subject), "made_by")?.made_by(op, subject).await
        })
        .await
    }

    async fn held(&self, subject: &Ref) -> Result<Option<Held>> {
        self.call(Call::reads("issuer.held", &self.config).at(subject), || async move {
            let claimed = self.capability().issue_asked;
            self.inner_issuer(claimed, Some(subject), "held")?.held(subject).await
        })
        .await
    }

    async fn connects(&self, op: &Operation, subject: &Ref) -> Result<Probe> {
        self.call(Call::changes("issuer.connects", op).at(subject), || async move {
            let claimed = self.capability().issue_hidden;
            self.inner_issuer(claimed, Some(subject), "connects")?.connects(op, subject).await
        })
        .await
    }

    async fn disable(&self, op: &Operation, subject: &Ref) -> Result<()> {
        self.call(Call::changes("issuer.disable", op).at(subject), || async move {
            let claimed = self.capability().disable || self.capability().alternate;
            self.inner_issuer(claimed, Some(subject), "disable")?.disable(op, subject).await
        })
        .await
    }

    async fn enable(&self, op: &Operation, subject: &Ref) -> Result<()> {
        self.call(Call::changes("issuer.enable", op).at(subject), || async move {
            let claimed = self.capability().disable || self.capability().alternate;
            self.inner_issuer(claimed, Some(subject), "enable")?.enable(op, subject).await
        })
        .await
    }

    async fn last_used(&self, subject: &Ref) -> Result<Option<DateTime<Utc>>> {
        self.call(Call::reads("issuer.last_used", &self.config).at(subject), || async move {
            self.inner_issuer(true, Some(subject), "last_used")?.last_used(subject).await
        })
        .await
    }
}

#[async_trait]
impl Turns for Guarded {
    async fn pair(&self, active: &Ref) -> Result<Turn> {
        self.call(Call::reads("turns.pair", &self.config).at(active), || async move {
            self.inner_turns(active, "pair")?.pair(active).await
        })
        .await
    }

    async fn wake(&self, op: &Operation, active: &Ref, standby: &Ref, value: &SecretValue) -> Result<()> {
        self.call(Call::changes("turns.wake", op).at(standby), || async move {
            check::ours(active, self.inner.info(), "wake")?;
            self.inner_turns(standby, "wake")?.wake(op, active, standby, value).await
        })
        .await
    }

    async fn unwake(
        &self,
        op: &Operation,
        standby: &Ref,
        value: &SecretValue,
        made_by: OperationKey,
    ) -> Result<String> {
        self.call(Call::changes("turns.unwake", op).at(standby), || async move {
            self.inner_turns(standby, "unwake")?.unwake(op, standby, value, made_by).await
        })
        .await
    }

    async fn compare(&self, active: &Ref, standby: &Ref, value: &SecretValue) -> Result<Likeness> {
        self.call(Call::reads("turns.compare", &self.config).at(standby), || async move {
            check::ours(active, self.inner.info(), "compare")?;
            self.inner_turns(standby, "compare")?.compare(active, standby, value).await
        })
        .await
    }

    async fn sessions(&self, user: &Ref) -> Result<Option<Sessions>> {
        self.call(Call::reads("turns.sessions", &self.config).at(user), || async move {
            self.inner_turns(user, "sessions")?.sessions(user).await
        })
        .await
    }
}

#[async_trait]
impl Store for Guarded {
    async fn read(&self, at: &Ref) -> Result<Option<StoredValue>> {
        self.call(Call::reads("store.read", &self.config).at(at), || async move {
            self.inner_store(self.capability().read, at, "read")?.read(at).await
        })
        .await
    }

    async fn writable(&self, at: &Ref) -> Result<StoreState> {
        self.call(Call::reads("store.writable", &self.config).at(at), || async move {
            self.inner_store(self.capability().write, at, "writable")?.writable(at).await
        })
        .await
    }

    async fn write(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<String> {
        self.call(Call::changes("store.write", op).at(at), || async move {
            let capability = self.capability();
            // An expectation that the store would ignore is a lost update waiting to happen.
            let claimed =
                capability.write && (capability.write_with_expect || !matches!(expect, Expect::Version(_)));
            self.inner_store(claimed, at, "write")?.write(op, at, value, expect).await
        })
        .await
    }

    async fn write_together(&self, op: &Operation, fields: &[Field<'_>], expect: &Expect) -> Result<String> {
        let Some(first) = fields.first() else {
            return Err(Error::new(ErrorKind::Invalid, "write_together", "there is nothing to write"));
        };
        self.call(Call::changes("store.write_together", op).at(first.at), || async move {
            let capability = self.capability();
            let claimed = capability.write_together
                && (capability.write_with_expect || !matches!(expect, Expect::Version(_)));
            let store = self.inner_store(claimed, first.at, "write_together")?;
            check::one_object(fields, "write_together")?;
            store.write_together(op, fields, expect).await
        })
        .await
    }

    async fn pending(&self, at: &Ref) -> Result<Option<PendingValue>> {
        if !self.capability().pending {
            return Ok(None);
        }
        self.call(Call::reads("store.pending", &self.config).at(at), || async move {
            self.inner_store(true, at, "pending")?.pending(at).await
        })
        .await
    }

    async fn clear_pending(&self, op: &Operation, at: &Ref, version: &str) -> Result<()> {
        self.call(Call::changes("store.clear_pending", op).at(at), || async move {
            self.inner_store(self.capability().pending, at, "clear_pending")?
                .clear_pending(op, at, version)
                .await
        })
        .await
    }
}

#[async_trait]
impl Runtime for Guarded {
    async fn refresh(&self, op: &Operation, consumer: &Ref, how: ConsumerHow) -> Result<()> {
        self.call(Call::changes("runtime.refresh", op).at(consumer), || async move {
            self.inner_runtime(self.capability().refresh, consumer, "refresh")?
                .refresh(op, consumer, how)
                .await
        })
        .await
    }

    async fn adopted(&self, op: &Operation, consumer: &Ref) -> Result<Adoption> {
        self.call(Call::reads("runtime.adopted", &self.config).at(consumer), || async move {
            self.inner_runtime(self.capability().adopted, consumer, "adopted")?.adopted(op, consumer).await
        })
        .await
    }

    async fn repointable(&self, consumer: &Ref, from: &Ref) -> Result<StoreState> {
        self.call(Call::reads("runtime.repointable", &self.config).at(consumer), || async move {
            let runtime = self.inner_runtime(self.capability().repoint, consumer, "repointable")?;
            check::ours(from, self.inner.info(), "repointable")?;
            runtime.repointable(consumer, from).await
        })
        .await
    }

    async fn repoint(&self, op: &Operation, consumer: &Ref, from: &Ref, to: &Ref) -> Result<()> {
        self.call(Call::changes("runtime.repoint", op).at(consumer), || async move {
            let runtime = self.inner_runtime(self.capability().repoint, consumer, "repoint")?;
            check::ours(from, self.inner.info(), "repoint")?;
            check::ours(to, self.inner.info(), "repoint")?;
            runtime.repoint(op, consumer, from, to).await
        })
        .await
    }

    async fn standing(&self, consumer: &Ref) -> Result<Adoption> {
        self.call(Call::reads("runtime.standing", &self.config).at(consumer), || async move {
            let runtime = self.inner_runtime(self.capability().adopted, consumer, "standing")?;
            runtime.standing(consumer).await
        })
        .await
    }

    async fn repointed(&self, op: &Operation, consumer: &Ref) -> Result<bool> {
        self.call(Call::reads("runtime.repointed", &self.config).at(consumer), || async move {
            let runtime = self.inner_runtime(self.capability().repoint, consumer, "repointed")?;
            runtime.repointed(op, consumer).await
        })
        .await
    }
}
