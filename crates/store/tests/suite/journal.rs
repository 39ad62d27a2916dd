use std::{sync::Arc, time::Duration};

use anyhow::Result;
use claviger_core::{
    audit::{AuditDraft, AuditKind},
    id::{CredentialId, Epoch, SagaId, Seq},
    reference::Ref,
    saga::{Action, Cause, Event, Progress, SagaKind, SagaPlan, SagaState, Step, StepOutput, StepPhase},
    seal::SagaSalt,
    view::ReceiptView,
};
use claviger_store::{Append, AuditLog as _, Claim, Error, Journal, NewSaga, SealedRow};
use claviger_testkit::database::Kind;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use uuid::Uuid;

use super::{
    Bench,
    audit::{draft, verify},
};

pub(super) const LEASE: Duration = Duration::from_secs(30);

fn plan(credential: u128) -> SagaPlan {
    let target = Ref::new("db", ["role", "app"]);
    let steps = vec![
        Step::new(Action::SealValues, target.clone(), StepPhase::BeforePivot, "seal"),
        Step::new(Action::SetAtIssuer, target.clone(), StepPhase::Pivot, "set"),
    ];
    SagaPlan {
        kind: SagaKind::Rotation,
        definition: "rotate/v1".to_owned(),
        credential: CredentialId(Uuid::from_u128(credential)),
        subject: target,
        strategy: "replace".to_owned(),
        steps,
        breaks: Vec::new(),
        reversible_until: "set-at-issuer".to_owned(),
        notes: vec!["a note".to_owned()],
    }
}

pub(super) fn new_saga(id: u128, credential: u128) -> NewSaga {
    NewSaga {
        id: SagaId(Uuid::from_u128(id)),
        plan: plan(credential),
        cause: Cause::Manual,
        actor: "dana@desk".to_owned(),
        reason: Some("leaked".to_owned()),
        salt: SagaSalt([3; 32]),
        seal: Vec::new(),
        audit: vec![draft("planned")],
        firing: None,
    }
}

pub(super) fn event(event: Event) -> Append {
    Append { event: Some(event), audit: vec![draft("event")], ..Append::default() }
}

pub(super) fn started(step: usize) -> Event {
    Event::Started { step: plan(1).steps[step].id.clone(), attempt: 1 }
}

pub(super) fn succeeded(step: usize) -> Event {
    Event::Succeeded { step: plan(1).steps[step].id.clone(), output: StepOutput::default() }
}

async fn begin(bench: &Bench) -> Result<(SagaId, Claim)> {
    let id = bench.store.create(new_saga(1, 1)).await?.expect("created");
    let claim = bench.store.claim(id, "worker:1", LEASE).await?.expect("claimed");
    Ok((id, claim))
}

pub(crate) async fn a_saga_is_read_back_as_it_was_written(bench: Bench) -> Result<()> {
    assert!(bench.store.load(SagaId(Uuid::from_u128(5))).await?.is_none());
    let (id, mut claim) = begin(&bench).await?;
    assert_eq!((claim.epoch, claim.next_seq), (Epoch(1), Seq(1)));
    assert_eq!(bench.store.unfinished().await?, [id]);
    let events = [started(0), succeeded(0), started(1), succeeded(1)];
    for one in &events {
        bench.clock.advance(chrono::Duration::seconds(1));
        bench.journal().append(&mut claim, event(one.clone())).await?;
    }
    let record = bench.store.load(id).await?.expect("there");
    assert_eq!(record.plan, plan(1));
    assert_eq!((record.actor.as_str(), record.reason.as_deref()), ("dana@desk", Some("leaked")));
    assert!(record.salt == Some(SagaSalt([3; 32])));
    assert_eq!(record.created_at, super::start());
    assert_eq!(
        record.events.iter().map(|(_, event)| event).collect::<Vec<_>>(),
        events.iter().collect::<Vec<_>>()
    );
    assert_eq!(record.events[3].0, bench.now());
    assert_eq!(record.progress, Progress::replay(&plan(1), &events)?);
    assert_eq!(record.progress.state, SagaState::Done);
    assert_eq!(record.finished_at, Some(bench.now()));
    assert!(bench.store.unfinished().await?.is_empty());
    assert!(bench.store.claim(id, "worker:2", LEASE).await?.is_none(), "a saga at rest is not claimed");
    let listed = bench.store.list(SagaKind::Rotation, None).await?;
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].state.as_str(), listed[0].finished_at), ("done", Some(bench.now())));
    assert!(bench.store.list(SagaKind::Revocation, None).await?.is_empty());
    assert!(bench.store.list(SagaKind::Rotation, Some(CredentialId(Uuid::from_u128(2)))).await?.is_empty());
    assert_eq!(verify(&bench).await?, (5, true));
    Ok(())
}

pub(crate) async fn one_credential_has_one_unfinished_saga(bench: Bench) -> Result<()> {
    let (_, mut claim) = begin(&bench).await?;
    assert!(bench.store.create(new_saga(2, 1)).await?.is_none());
    assert_eq!(bench.store.head().await?.0, Seq(1), "a refused saga leaves no audit entry");
    assert!(bench.store.create(new_saga(3, 2)).await?.is_some(), "another credential");
    for one in [started(0), succeeded(0), started(1), succeeded(1)] {
        bench.journal().append(&mut claim, event(one)).await?;
    }
    assert!(bench.store.create(new_saga(4, 1)).await?.is_some(), "after the first came to rest");
    let mut racers = tokio::task::JoinSet::new();
    for id in 10..16 {
        let store = bench.another().await?;
        racers.spawn(async move { store.create(new_saga(id, 77)).await });
    }
    let mut won = 0;
    while let Some(racer) = racers.join_next().await {
        won += usize::from(racer??.is_some());
    }
    assert_eq!(won, 1);
    Ok(())
}

pub(crate) async fn a_claim_holds_until_its_lease_ends(bench: Bench) -> Result<()> {
    assert!(bench.store.claim(SagaId(Uuid::from_u128(5)), "w", LEASE).await?.is_none(), "no such saga");
    let (id, mut first) = begin(&bench).await?;
    assert!(first.lease <= LEASE && first.lease > LEASE - Duration::from_secs(5), "{:?}", first.lease);
    assert!(bench.store.claim(id, "worker:2", LEASE).await?.is_none());
    // The store's clock says that a day has gone by. Leases do not look at it.
    bench.clock.advance(chrono::Duration::days(1));
    assert!(bench.store.claim(id, "worker:2", LEASE).await?.is_none());
    bench.store.renew(&mut first, Duration::from_millis(300)).await?;
    assert!(first.lease <= Duration::from_millis(300));
    assert!(bench.store.claim(id, "worker:2", LEASE).await?.is_none(), "300 ms are not over");
    tokio::time::sleep(Duration::from_millis(350)).await;
    let second = bench.store.claim(id, "worker:2", LEASE).await?.expect("the lease ended");
    assert_eq!(second.epoch, Epoch(2));
    assert!(matches!(bench.store.renew(&mut first, LEASE).await, Err(Error::Fenced)));
    bench.store.release(&first).await?;
    assert!(bench.store.claim(id, "worker:3", LEASE).await?.is_none(), "a stale release frees nothing");
    bench.store.release(&second).await?;
    bench.store.release(&second).await?;
    assert!(bench.store.claim(id, "worker:3", LEASE).await?.is_some());
    Ok(())
}

pub(crate) async fn a_stale_claim_appends_nothing(bench: Bench) -> Result<()> {
    let (id, mut first) = begin(&bench).await?;
    bench.store.release(&first).await?;
    let mut second = bench.store.claim(id, "worker:2", LEASE).await?.expect("free");
    let sealed = SealedRow { slot: "old".to_owned(), sealed: vec![1] };
    let stale = Append { seal: vec![sealed], shred: true, ..event(started(0)) };
    assert!(matches!(bench.journal().append(&mut first, stale).await, Err(Error::Fenced)));
    assert_eq!(first.next_seq, Seq(1));
    assert_eq!(bench.count("saga_event").await?, 0);
    assert_eq!(bench.count("sealed_value").await?, 0);
    assert_eq!(bench.store.head().await?.0, Seq(1));
    bench.journal().append(&mut second, event(started(0))).await?;
    let mut copy = Claim { next_seq: Seq(1), ..second.clone() };
    assert!(
        matches!(bench.journal().append(&mut copy, event(succeeded(0))).await, Err(Error::Fenced)),
        "old number"
    );
    Ok(())
}

pub(crate) async fn a_takeover_that_is_still_open_fences_the_stale_worker(bench: Bench) -> Result<()> {
    let (id, mut stale) = begin(&bench).await?;
    let other = bench.raw().await?;
    let takeover = other
        .begin_with_options(sea_orm::TransactionOptions {
            sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
            ..Default::default()
        })
        .await?;
    takeover.execute_unprepared("update saga set epoch = epoch + 1").await?;
    let store = Arc::new(bench.another().await?);
    let worker = tokio::spawn(async move { Journal::append(&*store, &mut stale, event(started(0))).await });
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(!worker.is_finished(), "the stale worker has to wait for the takeover's outcome");
    takeover.commit().await?;
    assert!(matches!(worker.await?, Err(Error::Fenced)));
    assert!(bench.store.load(id).await?.expect("there").events.is_empty());
    assert_eq!(verify(&bench).await?, (1, true));
    Ok(())
}

pub(crate) async fn an_illegal_event_leaves_nothing_behind(bench: Bench) -> Result<()> {
    let (id, mut claim) = begin(&bench).await?;
    for illegal in [succeeded(0), started(1), Event::Continued { actor: "d".into(), reason: "r".into() }] {
        let sealed = SealedRow { slot: "old".to_owned(), sealed: vec![1] };
        let append = Append { seal: vec![sealed], ..event(illegal) };
        assert!(matches!(bench.journal().append(&mut claim, append).await, Err(Error::Illegal(_))));
    }
    assert_eq!(claim.next_seq, Seq(1));
    assert_eq!(bench.count("sealed_value").await?, 0);
    assert_eq!(bench.store.head().await?.0, Seq(1));
    assert!(bench.store.load(id).await?.expect("there").events.is_empty());
    bench.journal().append(&mut claim, event(started(0))).await?;
    assert_eq!(verify(&bench).await?, (2, true));
    Ok(())
}

/// The last table that an append writes refuses its row, after the event and the sealed value were written.
pub(crate) async fn an_append_that_fails_halfway_leaves_nothing_behind(bench: Bench) -> Result<()> {
    let (id, mut claim) = begin(&bench).await?;
    let (fault, repair) = match bench.kind {
        Kind::Sqlite => (
            "create trigger fault before insert on audit_entry begin select raise(abort, 'fault'); end",
            "drop trigger fault",
        ),
        Kind::Postgres => (
            "create function fault() returns trigger language plpgsql as $$ begin raise 'fault'; end $$; \
             create trigger fault before insert on audit_entry for each row execute function fault()",
            "drop trigger fault on audit_entry",
        ),
    };
    let raw = bench.raw().await?;
    raw.execute_unprepared(fault).await?;
    let sealed = || SealedRow { slot: "old".to_owned(), sealed: vec![1] };
    let append = Append { seal: vec![sealed()], ..event(started(0)) };
    let refused = bench.journal().append(&mut claim, append).await.expect_err("the fault").to_string();
    assert!(refused.contains("fault"), "{refused}");
    assert_eq!((bench.count("saga_event").await?, bench.count("sealed_value").await?), (0, 0));
    assert_eq!(bench.store.load(id).await?.expect("there").progress.state, SagaState::Planned);
    raw.execute_unprepared(repair).await?;
    let append = Append { seal: vec![sealed()], ..event(started(0)) };
    bench.journal().append(&mut claim, append).await?;
    assert_eq!(verify(&bench).await?, (2, true));
    Ok(())
}

/// Drops the append after each possible number of polls, as a crash would, until it comes through.
pub(crate) async fn an_append_that_is_dropped_halfway_leaves_nothing_behind(bench: Bench) -> Result<()> {
    let (id, claim) = begin(&bench).await?;
    for polls in 0..500 {
        let mut mine = claim.clone();
        let sealed = SealedRow { slot: "old".to_owned(), sealed: vec![1] };
        let append = Append { seal: vec![sealed], ..event(started(0)) };
        let mut future = Box::pin(bench.journal().append(&mut mine, append));
        let mut left = polls;
        let outcome = std::future::poll_fn(|cx| {
            if left == 0 {
                return std::task::Poll::Ready(None);
            }
            left -= 1;
            future.as_mut().poll(cx).map(Some)
        })
        .await;
        drop(future);
        let events = bench.store.load(id).await?.expect("there").events.len();
        let rows = (bench.count("saga_event").await?, bench.count("sealed_value").await?);
        let head = bench.store.head().await?.0.0;
        let whole = (events, rows, head) == (1, (1, 1), 2);
        let nothing = (events, rows, head) == (0, (0, 0), 1);
        assert!(whole || nothing, "half of it after {polls} polls: {events} {rows:?} {head}");
        if outcome.is_some() || whole {
            assert!(whole, "{:?}", outcome.map(|outcome| outcome.map_err(|error| error.to_string())));
            assert!(polls > 0, "it was never dropped under way");
            assert_eq!(verify(&bench).await?, (2, true));
            return Ok(());
        }
    }
    anyhow::bail!("the append never came through")
}

pub(crate) async fn a_slot_is_sealed_once_and_shredded_for_good(bench: Bench) -> Result<()> {
    let (id, mut claim) = begin(&bench).await?;
    let row = |slot: &str, byte| SealedRow { slot: slot.to_owned(), sealed: vec![byte; 40] };
    let append = Append { seal: vec![row("old", 1), row("new:0", 2)], ..event(started(0)) };
    bench.journal().append(&mut claim, append).await?;
    assert_eq!(bench.store.sealed(id, "new:0").await?, Some(vec![2; 40]));
    assert_eq!(bench.store.sealed(id, "new:1").await?, None);
    let again = Append { seal: vec![row("new:1", 9), row("new:0", 3)], ..event(succeeded(0)) };
    assert!(matches!(bench.journal().append(&mut claim, again).await, Err(Error::Inconsistent { .. })));
    assert_eq!(bench.store.sealed(id, "new:0").await?, Some(vec![2; 40]), "never written over");
    assert_eq!(bench.store.sealed(id, "new:1").await?, None, "nothing of a refused append stays");
    let raw = bench.raw().await?;
    assert!(raw.execute_unprepared("update sealed_value set sealed = ''").await.is_err(), "never emptied");
    for one in [succeeded(0), started(1)] {
        bench.journal().append(&mut claim, event(one)).await?;
    }
    bench.journal().append(&mut claim, Append { shred: true, ..event(succeeded(1)) }).await?;
    assert_eq!(bench.store.sealed(id, "old").await?, None);
    assert_eq!(bench.count("sealed_value").await?, 0);
    let record = bench.store.load(id).await?.expect("there");
    assert!(record.salt.is_none() && record.progress.state == SagaState::Done);
    Ok(())
}

pub(crate) async fn a_receipt_knows_its_audit_entry(bench: Bench) -> Result<()> {
    let (id, mut claim) = begin(&bench).await?;
    let receipt = ReceiptView {
        credential: CredentialId(Uuid::from_u128(1)),
        at: Ref::new("db", ["role", "app"]),
        verdict: "proven".to_owned(),
        control: Some("a login was accepted".to_owned()),
        probe: None,
        observed_at: bench.now(),
        detail: "refused".to_owned(),
        audit_seq: None,
        saga: id.0,
    };
    let entry = AuditDraft { kind: AuditKind::Receipt, ..draft("b") };
    let append = Append {
        audit: vec![draft("a"), entry, draft("c")],
        receipt: Some(receipt.clone()),
        ..Append::default()
    };
    assert_eq!(bench.journal().append(&mut claim, append).await?.audit, [Seq(2), Seq(3), Seq(4)]);
    assert_eq!(claim.next_seq, Seq(1), "no event, no number");
    let kept = bench.store.receipts(Some(id)).await?;
    assert_eq!(kept, [ReceiptView { audit_seq: Some(3), ..receipt.clone() }]);
    assert_eq!(bench.store.receipts(None).await?, kept);
    assert!(bench.store.receipts(Some(SagaId(Uuid::from_u128(8)))).await?.is_empty());
    let orphan = Append { audit: vec![draft("d")], receipt: Some(receipt), ..Append::default() };
    assert!(matches!(bench.journal().append(&mut claim, orphan).await, Err(Error::Inconsistent { .. })));
    Ok(())
}
