use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    id::{OperationKey, SagaId},
    model::{ConsumerHow, Scope},
    reference::Ref,
    secret::SecretValue,
};
use tokio::time::{Instant, sleep};

use super::{Guarded, LayerConfig, RetryPolicy};
use crate::{
    Adoption, Backend, BackendInfo, Capability, Effect, Error, ErrorKind, Expect, Field, Held, Identified,
    Issued, Issuer, Offer, Operation, Overlap, Permission, Phase, Presence, Probe, Prospect, Restore, Result,
    Retry, Runtime, ScanSink, Sibling, Store, StoreState, StoredValue, Turns, ValueForm, Verdict,
};

/// What the next call does.
enum Act {
    Succeed,
    Fail(Error),
    Hang,
    Take(Duration),
}

/// A backend that plays a script and counts.
struct Scripted {
    info: BackendInfo,
    capability: Capability,
    script: Mutex<VecDeque<Act>>,
    calls: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Scripted {
    async fn act(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let act = self.script.lock().unwrap().pop_front().unwrap_or(Act::Succeed);
        match act {
            Act::Succeed => Ok(()),
            Act::Fail(error) => Err(error),
            Act::Hang => std::future::pending().await,
            Act::Take(duration) => {
                let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(running, Ordering::SeqCst);
                sleep(duration).await;
                self.running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Backend for Scripted {
    fn info(&self) -> &BackendInfo {
        &self.info
    }
    fn capability(&self) -> Capability {
        self.capability
    }
    fn may_hide(&self, unread: &Scope, missing: &Scope) -> bool {
        unread.area == missing.area
    }
    async fn check(&self) -> Result<Vec<Permission>> {
        self.act().await.map(|()| Vec::new())
    }
    async fn inventory(&self, _: Phase, _: &mut ScanSink) -> Result<()> {
        self.act().await
    }
    fn issuer(&self) -> Option<&dyn Issuer> {
        Some(self)
    }
    fn turns(&self) -> Option<&dyn Turns> {
        None
    }
    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }
    fn runtime(&self) -> Option<&dyn Runtime> {
        None
    }
}

#[async_trait]
impl Issuer for Scripted {
    fn offer(&self, _: &Ref) -> Option<Offer> {
        Some(Offer::set_by_us(Overlap::None, ValueForm::Password))
    }
    async fn prospect(&self, _: &Ref) -> Result<Prospect> {
        self.act().await.map(|()| Prospect::default())
    }
    async fn issue(&self, _: &Operation, subject: &Ref, _: Option<&SecretValue>) -> Result<Issued> {
        self.act().await.map(|()| Issued { at: subject.clone(), minted: None, public_half: None })
    }
    async fn issued(&self, _: &Operation, _: &Ref) -> Result<Option<Issued>> {
        self.act().await.map(|()| None)
    }
    async fn verify(&self, _: &Ref, _: &SecretValue) -> Result<Probe> {
        self.act().await.map(|()| Probe { verdict: Verdict::Accepted, path: "test".into() })
    }
    async fn identify(&self, _: &SecretValue) -> Result<Option<Identified>> {
        self.act().await.map(|()| None)
    }
    async fn snapshot(&self, _: &Ref) -> Result<Option<Restore>> {
        self.act().await.map(|()| None)
    }
    async fn restore(&self, _: &Operation, _: &Ref, _: &Restore) -> Result<()> {
        self.act().await
    }
    async fn presence(&self, _: &Ref) -> Result<Presence> {
        self.act().await.map(|()| Presence::Absent)
    }
    async fn siblings(&self, _: &Ref) -> Result<Vec<Sibling>> {
        self.act().await.map(|()| Vec::new())
    }
    async fn made_by(&self, _: &Operation, _: &Ref) -> Result<Vec<Ref>> {
        self.act().await.map(|()| Vec::new())
    }
    async fn held(&self, _: &Ref) -> Result<Option<Held>> {
        self.act().await.map(|()| None)
    }
    async fn disable(&self, _: &Operation, _: &Ref) -> Result<()> {
        self.act().await
    }
    async fn enable(&self, _: &Operation, _: &Ref) -> Result<()> {
        self.act().await
    }
    async fn revoke(&self, _: &Operation, _: &Ref, _: Option<&str>) -> Result<()> {
        self.act().await
    }
    async fn last_used(&self, _: &Ref) -> Result<Option<DateTime<Utc>>> {
        self.act().await.map(|()| None)
    }
}

#[async_trait]
impl Store for Scripted {
    async fn read(&self, _: &Ref) -> Result<Option<StoredValue>> {
        self.act().await.map(|()| None)
    }
    async fn writable(&self, _: &Ref) -> Result<StoreState> {
        self.act().await.map(|()| StoreState::Writable)
    }
    async fn write(&self, _: &Operation, _: &Ref, _: &SecretValue, _: &Expect) -> Result<String> {
        self.act().await.map(|()| "1".into())
    }
    async fn write_together(&self, _: &Operation, _: &[Field<'_>], _: &Expect) -> Result<String> {
        self.act().await.map(|()| "1".into())
    }
}

#[async_trait]
impl Runtime for Scripted {
    async fn refresh(&self, _: &Operation, _: &Ref, _: ConsumerHow) -> Result<()> {
        self.act().await
    }
    async fn adopted(&self, _: &Operation, _: &Ref) -> Result<Adoption> {
        self.act().await.map(|()| Adoption::Adopted(String::new()))
    }
    async fn repointable(&self, _: &Ref, _: &Ref) -> Result<StoreState> {
        self.act().await.map(|()| StoreState::Writable)
    }
    async fn repoint(&self, _: &Operation, _: &Ref, _: &Ref, _: &Ref) -> Result<()> {
        self.act().await
    }
    async fn standing(&self, _: &Ref) -> Result<Adoption> {
        self.act().await.map(|()| Adoption::Adopted(String::new()))
    }
    async fn repointed(&self, _: &Operation, _: &Ref) -> Result<bool> {
        self.act().await.map(|()| true)
    }
}

const ALL: Capability = Capability {
    inventory: true,
    issue: true,
    issue_mints: true,
    issue_by_name: true,
    issue_marks: true,
    issue_adds: true,
    issue_asked: true,
    issue_hidden: true,
    siblings: true,
    disable: true,
    verify: true,
    identify: true,
    restore: true,
    revoke: true,
    alternate: true,
    revoke_cache_seconds: 0,
    read: true,
    write: true,
    write_with_expect: true,
    write_together: true,
    pending: false,
    write_keeps_former: true,
    post: true,
    post_unmarked: false,
    refresh: true,
    adopted: true,
    repoint: true,
    federate: true,
    bind: true,
    vouch: true,
};

fn guarded(capability: Capability, script: Vec<Act>) -> (Guarded, Arc<Scripted>) {
    let inner = Arc::new(Scripted {
        info: BackendInfo { name: "test".into(), kind: "scripted", endpoint: "nowhere".into() },
        capability,
        script: Mutex::new(script.into()),
        calls: AtomicUsize::new(0),
        running: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    });
    let config = LayerConfig {
        concurrency: 2,
        retry: RetryPolicy {
            attempts: 3,
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_millis(150),
        },
        read_timeout: Duration::from_secs(10),
        read_deadline: Duration::from_secs(25),
    };
    (Guarded::new(inner.clone(), config), inner)
}

fn subject() -> Ref {
    Ref::from_text("test/subject")
}

fn op() -> Operation {
    let key = OperationKey::derive(SagaId(uuid::Uuid::nil()), "step", "target", 1);
    Operation { key, deadline: Duration::from_secs(4) }
}

fn unavailable() -> Act {
    Act::Fail(Error::new(ErrorKind::Unavailable, "test", "down"))
}

#[tokio::test(start_paused = true)]
async fn temporary_errors_without_effect_are_retried_with_doubling_waits() {
    let (guarded, inner) = guarded(ALL, vec![unavailable(), unavailable(), Act::Succeed]);
    let begin = Instant::now();
    guarded.revoke(&op(), &subject(), None).await.unwrap();
    assert_eq!(inner.calls.load(Ordering::SeqCst), 3);
    // 100 ms, then 200 ms cut to the longest wait of 150 ms.
    assert_eq!(begin.elapsed().as_millis(), 250);
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_leaves_a_persistent_error() {
    let (guarded, inner) = guarded(ALL, vec![unavailable(), unavailable(), unavailable(), unavailable()]);
    let error = guarded.presence(&subject()).await.unwrap_err();
    assert_eq!((error.retry(), error.kind()), (Retry::Persistent, ErrorKind::Unavailable));
    assert_eq!(inner.calls.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_is_unknown_or_applied_is_never_retried() {
    for effect in [Effect::Unknown, Effect::Applied] {
        let error = Error::new(ErrorKind::Unavailable, "test", "cut").with_effect(effect);
        let (guarded, inner) = guarded(ALL, vec![Act::Fail(error)]);
        let error = guarded.revoke(&op(), &subject(), None).await.unwrap_err();
        assert_eq!((error.effect(), error.retry()), (effect, Retry::Temporary));
        assert_eq!(inner.calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn permanent_errors_are_not_retried() {
    let (guarded, inner) = guarded(ALL, vec![Act::Fail(Error::new(ErrorKind::Conflict, "test", "lost"))]);
    let error = guarded.revoke(&op(), &subject(), None).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, Retry::Permanent));
    assert_eq!(inner.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_target_asks_for_is_kept_or_the_call_ends() {
    let limited = |seconds| {
        let error = Error::new(ErrorKind::RateLimited, "test", "slow down");
        Act::Fail(error.with_retry_after(Duration::from_secs(seconds)))
    };
    let (patient, _) = guarded(ALL, vec![limited(3), Act::Succeed]);
    let begin = Instant::now();
    patient.revoke(&op(), &subject(), None).await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 3);

    let (hurried, inner) = guarded(ALL, vec![limited(5), Act::Succeed]);
    let begin = Instant::now();
    let error = hurried.revoke(&op(), &subject(), None).await.unwrap_err();
    assert_eq!((error.retry(), begin.elapsed().as_secs()), (Retry::Persistent, 0));
    // Until then nothing of its budget is taken.
    assert_eq!(crate::Backend::throttled(&hurried), Some(Duration::from_secs(5)));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(crate::Backend::throttled(&hurried), None);
    assert_eq!(inner.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_hangs_ends_at_its_deadline_with_unknown_effect() {
    let (guarded, inner) = guarded(ALL, vec![unavailable(), Act::Hang]);
    let begin = Instant::now();
    let error = guarded.revoke(&op(), &subject(), None).await.unwrap_err();
    assert_eq!(
        (error.effect(), error.kind(), error.operation()),
        (Effect::Unknown, ErrorKind::Unavailable, "revoke")
    );
    assert_eq!(begin.elapsed().as_secs(), 4);
    assert_eq!(inner.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_is_tried_again_within_its_own_deadline() {
    let (guarded, inner) = guarded(ALL, vec![Act::Hang, Act::Hang, Act::Hang]);
    let begin = Instant::now();
    let error = guarded.read(&subject()).await.err().unwrap();
    assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Persistent));
    assert_eq!((begin.elapsed().as_secs(), inner.calls.load(Ordering::SeqCst)), (25, 3));
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_at_a_time_than_allowed() {
    let script = (0..6).map(|_| Act::Take(Duration::from_secs(1))).collect();
    let (guarded, inner) = guarded(ALL, script);
    let begin = Instant::now();
    let subject = subject();
    let results = futures::future::join_all((0..6).map(|_| guarded.presence(&subject))).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!((inner.most.load(Ordering::SeqCst), begin.elapsed().as_secs()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_turn_counts_and_had_no_effect() {
    let script = vec![Act::Take(Duration::from_secs(9)), Act::Take(Duration::from_secs(9))];
    let (guarded, inner) = guarded(ALL, script);
    let (subject, op) = (subject(), op());
    let (_, _, third) =
        tokio::join!(guarded.read(&subject), guarded.read(&subject), guarded.revoke(&op, &subject, None));
    let error = third.unwrap_err();
    assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Persistent));
    assert_eq!(inner.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_is_not_claimed_is_refused_before_any_request() {
    let (guarded, inner) = guarded(Capability::default(), vec![]);
    let (at, op, value) = (subject(), op(), SecretValue::from_text("v".into()));
    let (mut sink, _receiver) = crate::channel(1);
    let errors = [
        guarded.inventory(Phase::Issuers, &mut sink).await.err(),
        guarded.issue(&op, &at, Some(&value)).await.err(),
        guarded.verify(&at, &value).await.err(),
        guarded.identify(&value).await.err(),
        guarded.added(&at, &value).await.err(),
        guarded.snapshot(&at).await.err(),
        guarded.restore(&op, &at, &Restore(SecretValue::from_text("r".into()))).await.err(),
        guarded.siblings(&at).await.err(),
        guarded.disable(&op, &at).await.err(),
        guarded.enable(&op, &at).await.err(),
        guarded.revoke(&op, &at, None).await.err(),
        guarded.read(&at).await.err(),
        guarded.writable(&at).await.err(),
        guarded.write(&op, &at, &value, &Expect::Absent).await.err(),
        guarded.write_together(&op, &[Field { at: &at, value: &value }], &Expect::Absent).await.err(),
        guarded.refresh(&op, &at, ConsumerHow::Env).await.err(),
        guarded.adopted(&op, &at).await.err(),
    ];
    for (index, error) in errors.into_iter().enumerate() {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Unsupported), "call {index}");
    }
    assert_eq!(inner.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn arguments_that_the_backend_would_misread_are_refused() {
    let (guarded, inner) = guarded(Capability { write_with_expect: false, ..ALL }, vec![]);
    let value = SecretValue::from_text("v".into());
    let expect = Expect::Version("1".into());
    let kind = |error: Option<Error>| error.map(|error| error.kind());
    assert_eq!(
        kind(guarded.write(&op(), &subject(), &value, &expect).await.err()),
        Some(ErrorKind::Unsupported)
    );
    assert_eq!(kind(guarded.issue(&op(), &subject(), None).await.err()), Some(ErrorKind::Invalid));
    let foreign = Ref::from_text("other/subject");
    let (one, two) = (Ref::from_text("test/a#x"), Ref::from_text("test/b#x"));
    for fields in [&[&one, &two][..], &[&one, &one], &[]] {
        let fields: Vec<_> = fields.iter().map(|at| Field { at, value: &value }).collect();
        let error = guarded.write_together(&op(), &fields, &Expect::Absent).await.err();
        assert_eq!(kind(error), Some(ErrorKind::Invalid), "{} fields", fields.len());
    }
    assert_eq!(kind(guarded.revoke(&op(), &foreign, None).await.err()), Some(ErrorKind::Invalid));
    // It claims to refresh, and is no runtime.
    assert!(guarded.runtime().is_none());
    assert_eq!(
        kind(guarded.refresh(&op(), &subject(), ConsumerHow::Env).await.err()),
        Some(ErrorKind::Unsupported)
    );
    assert_eq!(inner.calls.load(Ordering::SeqCst), 0);
    guarded.write(&op(), &subject(), &value, &Expect::Absent).await.unwrap();
    assert_eq!(inner.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_inventory_has_no_deadline_and_is_not_repeated() {
    let (guarded, inner) = guarded(ALL, vec![Act::Take(Duration::from_secs(3600)), unavailable()]);
    let (mut sink, _receiver) = crate::channel(1);
    guarded.inventory(Phase::Stores, &mut sink).await.unwrap();
    let error = guarded.inventory(Phase::Stores, &mut sink).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Temporary);
    assert_eq!(inner.calls.load(Ordering::SeqCst), 2);
}
