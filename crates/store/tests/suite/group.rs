//! Appends that share a transaction.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use claviger_core::id::{Epoch, SagaId, Seq};
use claviger_store::{Append, Claim, Error, Journal, SealedRow, port::Appended};
use claviger_testkit::database::Kind;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, TransactionTrait as _};
use uuid::Uuid;

use super::{
    Bench,
    audit::verify,
    journal::{LEASE, event, new_saga, started, succeeded},
};

/// Sagas 1 to `count`, each of its own credential, claimed.
async fn claims(bench: &Bench, count: u128) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for id in 1..=count {
        let saga = bench.store.create(new_saga(id, id)).await?.expect("created");
        claims.push(bench.store.claim(saga, "worker:1", LEASE).await?.expect("claimed"));
    }
    Ok(claims)
}

/// Keeps every writer waiting until it is rolled back.
async fn hold(bench: &Bench) -> Result<DatabaseTransaction> {
    let options = sea_orm::TransactionOptions {
        sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let held = bench.raw().await?.begin_with_options(options).await?;
    if bench.kind == Kind::Postgres {
        held.execute_unprepared("lock table saga in access exclusive mode").await?;
    }
    Ok(held)
}

type Task = tokio::task::JoinHandle<Result<Appended, Error>>;

fn append(bench: &Bench, claim: &Claim, append: Append) -> Task {
    let (store, mut claim) = (Arc::new(bench.store.clone()), claim.clone());
    tokio::spawn(async move { Journal::append(&*store, &mut claim, append).await })
}

async fn events(bench: &Bench, saga: SagaId) -> Result<usize> {
    Ok(bench.store.load(saga).await?.expect("there").events.len())
}

pub(crate) async fn appends_that_wait_together_keep_each_its_own_fate(bench: Bench) -> Result<()> {
    let mut claims = claims(&bench, 12).await?;
    let row = |slot: &str| SealedRow { slot: slot.to_owned(), sealed: vec![1] };
    // The third saga has a sealed value already, and has moved on.
    let sealed = Append { seal: vec![row("old")], ..event(started(0)) };
    bench.journal().append(&mut claims[2], sealed).await?;
    let held = hold(&bench).await?;
    let mut tasks = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        tasks.push(match index {
            0 => append(&bench, &Claim { epoch: Epoch(0), ..claim.clone() }, event(started(0))),
            1 => append(&bench, claim, event(succeeded(1))),
            2 => append(&bench, claim, Append { seal: vec![row("old")], ..event(succeeded(0)) }),
            _ => append(&bench, claim, event(started(0))),
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(tasks.iter().filter(|task| task.is_finished()).count() <= 1, "they wait for the writer");
    held.rollback().await?;
    let mut numbers = Vec::new();
    for (index, task) in tasks.into_iter().enumerate() {
        match (index, task.await?) {
            (0, Err(Error::Fenced)) | (1, Err(Error::Illegal(_))) | (2, Err(Error::Inconsistent { .. })) => {}
            (3.., Ok(appended)) => numbers.extend(appended.audit),
            (_, other) => anyhow::bail!("saga {}: {:?}", index + 1, other.map(drop)),
        }
    }
    numbers.sort();
    assert_eq!(numbers, (14..=22).map(Seq).collect::<Vec<_>>(), "each has its own audit entry");
    for id in 1..=12 {
        let expected = usize::from(id > 2);
        assert_eq!(events(&bench, SagaId(Uuid::from_u128(id))).await?, expected, "saga {id}");
    }
    assert_eq!(bench.count("sealed_value").await?, 1, "nothing of a refused append stays");
    assert_eq!(verify(&bench).await?, (22, true));
    Ok(())
}

pub(crate) async fn the_others_are_written_when_the_one_that_writes_goes_away(bench: Bench) -> Result<()> {
    let claims = claims(&bench, 8).await?;
    let held = hold(&bench).await?;
    let first = append(&bench, &claims[0], event(started(0)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let others: Vec<_> = claims[1..].iter().map(|claim| append(&bench, claim, event(started(0)))).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    first.abort();
    held.rollback().await?;
    for task in others {
        task.await??;
    }
    assert!(first.await.is_err_and(|error| error.is_cancelled()), "it was dropped under way");
    let whole = events(&bench, claims[0].saga).await?;
    for claim in &claims[1..] {
        assert_eq!(events(&bench, claim.saga).await?, 1);
    }
    let entries = 8 + 7 + u64::try_from(whole)?;
    assert_eq!(verify(&bench).await?, (entries, true));
    Ok(())
}
