use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    firing::{FiringCounts, FiringState},
    id::{CredentialId, FiringId, PauseId, SagaId, Seq},
    reference::Ref,
    schedule::{Budget, Urgency},
};
use claviger_store::{
    AuditLog as _, Claimed, Error, FiringEnd, Firings as _, NewPause, Replan, SeaStore, Wanted, port::NewSaga,
};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use uuid::Uuid;

use super::{Bench, audit::draft, journal::new_saga, start};

const LEASE: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(seconds)
}

fn wanted(number: u128, due: i64) -> Wanted {
    Wanted {
        urgency: Urgency::Usual,
        credential: CredentialId(Uuid::from_u128(number)),
        due_at: at(due),
        subject: Ref::from_text(format!("db/role/{number}")),
        backend: "db".to_owned(),
        policy: "p".to_owned(),
        holds: vec![format!("credential {number}")],
        starts_at: at(due),
        pause: None,
    }
}

fn put(all: impl IntoIterator<Item = Wanted>) -> Vec<Replan> {
    all.into_iter().map(Replan::Put).collect()
}

fn budget(concurrency: usize) -> [Budget; 1] {
    [Budget { backend: "db".to_owned(), concurrency, per_minute: None }]
}

async fn claim(store: &SeaStore, now: i64, concurrency: usize, most: usize) -> Result<Vec<Claimed>> {
    Ok(store.claim(at(now), "w", LEASE, &budget(concurrency), most).await?)
}

fn numbers(claims: &[Claimed]) -> Vec<u128> {
    claims.iter().map(|claim| claim.credential.0.as_u128()).collect()
}

fn saga() -> SagaId {
    SagaId(Uuid::from_u128(99))
}

fn done(claims: &[Claimed]) -> Vec<(Claimed, FiringEnd)> {
    claims.iter().map(|claim| (claim.clone(), FiringEnd::Done { saga: saga() })).collect()
}

pub(crate) async fn a_pair_fires_once_and_not_before_its_time(bench: Bench) -> Result<()> {
    let store = &bench.store;
    let all = put([wanted(1, 10), wanted(2, 20), wanted(3, 30)]);
    store.replan(at(0), &all).await?;
    store.replan(at(0), &all).await?;
    assert_eq!(bench.count("firing").await?, 3);
    assert_eq!(claim(store, 9, 8, 8).await?, []);
    let taken = claim(store, 20, 8, 8).await?;
    assert_eq!(numbers(&taken), [1, 2], "the first due first");
    assert_eq!(claim(store, 20, 8, 8).await?, [], "they are taken");
    // Planning again what is taken, or over, changes nothing of it.
    store.replan(at(20), &all).await?;
    assert_eq!(claim(store, 20, 8, 8).await?, []);
    assert_eq!(store.settle(at(21), &done(&taken)).await?, [true, true]);
    store.replan(at(22), &all).await?;
    assert_eq!(claim(store, 29, 8, 8).await?, [], "it was over");
    let gone = [
        Replan::Drop(FiringId::derive(taken[0].credential, at(10))),
        Replan::Drop(FiringId::derive(wanted(3, 30).credential, at(30))),
    ];
    store.replan(at(22), &gone).await?;
    assert_eq!(bench.count("firing").await?, 2, "only what is planned is taken off");
    let over = store.firings(&[FiringState::Done], 10).await?;
    assert_eq!(over.iter().map(|one| one.rotation_id).collect::<Vec<_>>(), [Some(saga()); 2]);
    // Another instant of the same credential is another firing.
    store.replan(at(22), &put([wanted(1, 40)])).await?;
    assert_eq!(numbers(&claim(store, 40, 8, 8).await?), [1]);
    Ok(())
}

pub(crate) async fn workers_that_come_at_once_share_without_exceeding_a_budget(bench: Bench) -> Result<()> {
    bench.store.replan(at(0), &put((1..=200).map(|number| wanted(number, 0)))).await?;
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..4 {
        let store = bench.another().await?;
        workers.spawn(async move {
            let (mut mine, mut most) = (Vec::new(), 0);
            for _ in 0..200 {
                let taken = store.claim(at(1), &format!("w{worker}"), LEASE, &budget(6), 3).await?;
                let running = store.firing_counts(at(1)).await?.claimed;
                most = most.max(running);
                assert!(store.settle(at(1), &done(&taken)).await?.iter().all(|ours| *ours));
                mine.extend(taken.into_iter().map(|claim| claim.id));
                if mine.len() >= 200 || store.firing_counts(at(1)).await? == FiringCounts::default() {
                    break;
                }
            }
            anyhow::Ok((mine, most))
        });
    }
    let (mut seen, mut sum, mut shares) = (BTreeSet::new(), 0, 0);
    while let Some(worker) = workers.join_next().await {
        let (mine, most) = worker??;
        assert!(most <= 6, "{most} at a time");
        sum += mine.len();
        shares += usize::from(!mine.is_empty());
        seen.extend(mine);
    }
    assert_eq!((seen.len(), sum), (200, 200), "each once");
    assert!(shares >= 2, "one worker had all of them");
    Ok(())
}

pub(crate) async fn a_rate_holds_however_many_ask(bench: Bench) -> Result<()> {
    let store = &bench.store;
    store.replan(at(0), &put((1..=300).map(|number| wanted(number, 0)))).await?;
    let budget = [Budget { backend: "db".to_owned(), concurrency: 1000, per_minute: Some(20) }];
    let mut starts = Vec::new();
    for second in 0..180 {
        // The clock goes back by an hour for a while.
        let shown = if (60..70).contains(&second) { second - 3600 } else { second };
        let other = store.claim(at(shown), "x", LEASE, &[], 100).await?;
        assert_eq!(other, [], "a backend without a budget");
        let taken = store.claim(at(shown), "w", LEASE, &budget, 100).await?;
        starts.extend(taken.iter().map(|_| second));
    }
    for first in &starts {
        let within = starts.iter().filter(|start| (*first..first + 60).contains(*start)).count();
        assert!(within <= 20, "{within} within a minute of {first}");
    }
    assert!(starts.len() >= 30, "{}", starts.len());
    Ok(())
}

pub(crate) async fn two_of_one_service_are_never_under_way_together(bench: Bench) -> Result<()> {
    let store = &bench.store;
    let web = "consumer k/ns/Deployment/web".to_owned();
    let mut all: Vec<Wanted> = (1..=80).map(|number| wanted(number, 0)).collect();
    all.iter_mut().for_each(|one| one.holds.push(web.clone()));
    let mut elsewhere = wanted(81, 0);
    (elsewhere.backend, elsewhere.holds) = ("vault".to_owned(), vec![web]);
    all.extend([elsewhere, wanted(82, 5)]);
    store.replan(at(0), &put(all)).await?;
    let budgets = [Budget::usual("db"), Budget::usual("vault")];
    let first = store.claim(at(5), "w", LEASE, &budgets, 8).await?;
    assert_eq!(numbers(&first).len(), 2, "one of the service, and the one beyond all of them");
    assert_eq!(numbers(&first)[1], 82);
    let waits =
        [(first[0].clone(), FiringEnd::Open { saga: saga(), outcome: "waiting".to_owned(), detail: None })];
    store.settle(at(5), &waits).await?;
    let second = store.claim(at(5), "w", LEASE, &budgets, 8).await?;
    assert_eq!(second.len(), 1, "one that waits for the end of an old value holds nobody");
    let stuck =
        [(second[0].clone(), FiringEnd::Open { saga: saga(), outcome: "stuck".to_owned(), detail: None })];
    store.settle(at(5), &stuck).await?;
    assert_eq!(store.claim(at(5), "w", LEASE, &budgets, 8).await?, [], "it is in trouble");
    store.settle_open(at(6), second[0].id, &FiringEnd::Done { saga: saga() }).await?;
    assert_eq!(store.claim(at(6), "w", LEASE, &budgets, 8).await?.len(), 1);
    Ok(())
}

pub(crate) async fn a_dead_worker_s_firing_is_taken_over_and_it_is_fenced(bench: Bench) -> Result<()> {
    let store = &bench.store;
    store.replan(at(0), &put([wanted(1, 0)])).await?;
    let dead = store.claim(at(1), "dead", Duration::from_millis(300), &budget(1), 1).await?;
    store.begun(at(1), &dead[0], saga()).await?;
    assert_eq!(claim(store, 1, 1, 1).await?, [], "its lease runs");
    store.renew_firing(&dead[0], Duration::from_millis(300)).await?;
    tokio::time::sleep(Duration::from_millis(400)).await;
    // A pause stops what would begin, not what was begun.
    let pause = NewPause {
        id: PauseId(Uuid::from_u128(7)),
        selector: None,
        reason: "r".to_owned(),
        actor: "a".to_owned(),
    };
    store.pause(&pause, draft("*")).await?;
    let heir = claim(store, 1, 1, 1).await?;
    assert_eq!((heir.len(), heir[0].saga, heir[0].id), (1, Some(saga()), dead[0].id));
    assert!(matches!(store.renew_firing(&dead[0], LEASE).await, Err(Error::Fenced)));
    assert!(matches!(store.begun(at(2), &dead[0], saga()).await, Err(Error::Fenced)));
    assert_eq!(store.settle(at(2), &done(&dead)).await?, [false]);
    assert_eq!(store.settle(at(2), &done(&heir)).await?, [true]);
    assert_eq!(store.settle(at(2), &done(&heir)).await?, [false], "it is over");
    Ok(())
}

pub(crate) async fn a_rotation_is_begun_for_a_firing_that_is_ours_or_not_at_all(bench: Bench) -> Result<()> {
    let store = &bench.store;
    store.replan(at(0), &put([wanted(1, 0)])).await?;
    let lost = store.claim(at(1), "lost", Duration::from_millis(1), &budget(1), 1).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let ours = claim(store, 1, 1, 1).await?;
    assert_eq!(ours[0].id, lost[0].id);
    let of = |number: u128, firing: &Claimed| NewSaga { firing: Some(firing.clone()), ..new_saga(number, 1) };
    assert!(matches!(claviger_store::Journal::create(store, of(1, &lost[0])).await, Err(Error::Fenced)));
    assert_eq!(
        claviger_store::Journal::unfinished(store).await?,
        [],
        "it was recorded for somebody who has lost the firing"
    );
    let begun = claviger_store::Journal::create(store, of(2, &ours[0])).await?;
    assert_eq!(begun, Some(SagaId(Uuid::from_u128(2))));
    assert_eq!(claviger_store::Journal::create(store, of(3, &ours[0])).await?, None, "one is unfinished");
    let named = store.firings(&[FiringState::Claimed], 9).await?;
    assert_eq!(named[0].rotation_id, begun, "what was refused has taken its name off again");
    Ok(())
}

pub(crate) async fn what_came_to_nothing_is_put_off_and_stays_so(bench: Bench) -> Result<()> {
    let store = &bench.store;
    let all = put([wanted(1, 0), wanted(2, 0)]);
    store.replan(at(0), &all).await?;
    let taken = claim(store, 1, 8, 8).await?;
    let again =
        FiringEnd::Again { at: at(300), outcome: "refused".to_owned(), detail: Some("why\0".to_owned()) };
    let later = FiringEnd::Later { at: at(50), pause: None };
    store.settle(at(1), &[(taken[0].clone(), again), (taken[1].clone(), later)]).await?;
    let planned = store.planned().await?;
    assert!(planned.iter().any(|one| one.starts_at == at(300) && one.retry_at == Some(at(300))));
    store.replan(at(2), &all).await?;
    assert_eq!(
        claim(store, 299, 8, 8).await?.len(),
        1,
        "planning again brought back only the one that was not tried"
    );
    let second = claim(store, 300, 8, 8).await?;
    assert_eq!((second.len(), second[0].attempts, second[0].saga), (1, 1, None));
    let shown = store.firings(&[FiringState::Claimed], 10).await?;
    assert!(
        shown
            .iter()
            .any(|one| one.outcome.as_deref() == Some("refused")
                && one.detail.as_deref() == Some("why\u{fffd}"))
    );
    store.settle(at(301), &[(second[0].clone(), FiringEnd::Superseded)]).await?;
    assert_eq!(bench.count("firing").await?, 1);
    Ok(())
}

pub(crate) async fn a_pause_holds_until_it_ends_and_both_are_told(bench: Bench) -> Result<()> {
    let store = &bench.store;
    let id = PauseId(Uuid::from_u128(5));
    let pause = NewPause {
        id,
        selector: Some("db/role/1".to_owned()),
        reason: "release".to_owned(),
        actor: "dana@desk".to_owned(),
    };
    store.pause(&pause, draft("db/role/1")).await?;
    let mut held = wanted(1, 0);
    held.pause = Some(id);
    store.replan(at(0), &put([held, wanted(2, 0)])).await?;
    assert_eq!(numbers(&claim(store, 1, 8, 8).await?), [2]);
    let counts = store.firing_counts(at(1)).await?;
    assert_eq!(
        (counts.planned, counts.paused, counts.startable, counts.claimed, counts.oldest),
        (1, 1, 0, 1, None)
    );
    let told = store.pauses().await?;
    assert_eq!(
        (told.len(), told[0].id, told[0].selector.as_deref(), told[0].since),
        (1, id, Some("db/role/1"), bench.now())
    );
    assert!(store.end_pause(id, "eve@desk", draft("db/role/1")).await?);
    assert!(!store.end_pause(id, "eve@desk", draft("db/role/1")).await?, "it is over");
    assert_eq!(numbers(&claim(store, 1, 8, 8).await?), [1]);
    assert_eq!((store.pauses().await?.len(), store.head().await?.0.0), (0, 2));
    Ok(())
}

pub(crate) async fn a_duty_has_one_owner_at_a_time(bench: Bench) -> Result<()> {
    let store = &bench.store;
    assert_eq!(store.last_round("drilling/db").await?, None);
    let at = |micros| DateTime::from_timestamp_micros(micros).expect("an instant");
    for micros in [5_000_001, 3, 5_000_000] {
        store.end_round("drilling/db", at(micros)).await?;
        assert_eq!(store.last_round("drilling/db").await?, Some(at(5_000_001)), "the newest one counts");
    }
    assert_eq!(store.last_round("reprobing").await?, None, "another one's");
    assert!(store.take_duty("planning", "a", LEASE).await?);
    assert!(store.take_duty("planning", "a", LEASE).await?, "it is kept");
    assert!(!store.take_duty("planning", "b", LEASE).await?);
    assert!(store.take_duty("scanning", "b", Duration::from_millis(200)).await?);
    store.leave_duty("planning", "b").await?;
    assert!(!store.take_duty("planning", "b", LEASE).await?, "it was not b's");
    store.leave_duty("planning", "a").await?;
    assert!(store.take_duty("planning", "b", LEASE).await?);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(store.take_duty("scanning", "a", LEASE).await?, "whoever had it is gone");
    Ok(())
}

pub(crate) async fn a_probe_waits_for_what_an_append_waits_for(bench: Bench) -> Result<()> {
    let store = &bench.store;
    let skew = store.probe(claviger_core::clock::Clock::now(&claviger_core::clock::SystemClock)).await?;
    assert!(skew.abs() < 5_000, "{skew} ms");
    let raw = bench.raw().await?;
    let holder = raw.begin().await?;
    holder.execute_unprepared("update audit_head set seq = seq").await?;
    let probe = tokio::time::timeout(Duration::from_secs(2), store.probe(at(0))).await;
    assert!(probe.is_err(), "somebody holds the log, and the probe said that it could be appended to");
    holder.rollback().await?;
    let begun = std::time::Instant::now();
    store.probe(at(0)).await?;
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
    Ok(())
}

pub(crate) async fn the_exposed_go_first_within_a_budget(bench: Bench) -> Result<()> {
    let store = &bench.store;
    let urgent = |number, due, urgency| Wanted { urgency, ..wanted(number, due) };
    let all = [
        wanted(1, 0),
        urgent(2, 30, Urgency::Raised),
        urgent(3, 40, Urgency::Leaked),
        urgent(4, 35, Urgency::High),
        // Not yet due, however urgent.
        urgent(5, 500, Urgency::Leaked),
    ];
    store.replan(at(0), &put(all.clone())).await?;
    let planned = store.planned().await?;
    let kept =
        |number: u128| planned.iter().find(|one| one.credential.0.as_u128() == number).map(|one| one.urgency);
    assert_eq!((kept(1), kept(3)), (Some(Urgency::Usual), Some(Urgency::Leaked)), "it is read back");
    let mut order = Vec::new();
    for _ in 0..4 {
        let claims = claim(store, 50, 1, 1).await?;
        order.extend(numbers(&claims));
        for one in claims {
            store.settle(at(50), &[(one, FiringEnd::Superseded)]).await?;
        }
    }
    assert_eq!(order, [3, 4, 2, 1]);
    assert!(claim(store, 50, 1, 1).await?.is_empty(), "what is not due is not due");
    // One that has waited for longer than the other is worth more goes first.
    let old = wanted(6, -86_400 * 2);
    store.replan(at(50), &put([old, urgent(7, 0, Urgency::Raised)])).await?;
    assert_eq!(numbers(&claim(store, 50, 1, 1).await?), [6]);
    Ok(())
}

pub(crate) async fn a_backend_that_throttles_is_left_alone_until_then(bench: Bench) -> Result<()> {
    let store = &bench.store;
    store.replan(at(0), &put([wanted(1, 0), wanted(2, 0)])).await?;
    let noted = async || Ok::<_, anyhow::Error>(store.read(Seq(0), 1000).await?.len());
    let before = noted().await?;
    store.close_budget(at(0), "db", at(60), draft("closed")).await?;
    store.close_budget(at(1), "db", at(30), draft("closed")).await?;
    store.close_budget(at(1), "elsewhere", at(600), draft("closed")).await?;
    assert_eq!(noted().await?, before + 2, "told again is not noted again");
    assert!(claim(store, 59, 4, 4).await?.is_empty(), "the later time stands");
    assert_eq!(claim(store, 60, 4, 4).await?.len(), 2);
    store.close_budget(at(61), "db", at(90), draft("closed")).await?;
    store.close_budget(at(62), "db", at(95), draft("closed")).await?;
    assert_eq!(noted().await?, before + 3, "closed anew is noted anew");
    Ok(())
}

pub(crate) async fn what_is_asked_for_starts_at_once(bench: Bench) -> Result<()> {
    let store = &bench.store;
    let all = [wanted(1, 10_000), wanted(2, 20_000), wanted(3, 0)];
    store.replan(at(0), &put(all.clone())).await?;
    let ids: Vec<_> = [2, 9].map(|number| CredentialId(Uuid::from_u128(number))).to_vec();
    assert_eq!(store.ask_firings(at(5), &ids, draft("asked")).await?, ids[..1]);
    assert!(store.ask_firings(at(5), &ids[1..], draft("asked")).await?.is_empty());
    // Planning anew does not take it back.
    store.replan(at(6), &put(all)).await?;
    let claims = claim(store, 7, 1, 1).await?;
    assert_eq!((numbers(&claims), claims[0].asked), (vec![2], true), "before what waits");
    let again = FiringEnd::Again { at: at(100), outcome: "failed".to_owned(), detail: None };
    store.settle(at(8), &[(claims[0].clone(), again)]).await?;
    let claims = claim(store, 200, 4, 4).await?;
    assert!(claims.iter().any(|one| one.credential.0.as_u128() == 2 && !one.asked), "once");
    Ok(())
}
