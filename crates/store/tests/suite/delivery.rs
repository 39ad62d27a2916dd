use std::{sync::Arc, time::Duration};

use anyhow::Result;
use chrono::TimeDelta;
use claviger_core::webhook::DeliveryId;
use claviger_store::{Answer, Deliveries as _, Taken};

use super::Bench;

const LONG: Duration = Duration::from_secs(600);

fn id(byte: u8) -> DeliveryId {
    DeliveryId([byte; 32])
}

fn answer(status: u16) -> Answer {
    Answer { status, headers: Vec::new(), body: "{}".to_owned() }
}

pub(crate) async fn a_delivery_is_acted_on_once_and_answered_alike(bench: Bench) -> Result<()> {
    let store = &bench.store;
    assert_eq!(store.take_delivery("a", &id(1), None, LONG).await?, Taken::Ours);
    assert_eq!(store.take_delivery("a", &id(1), None, LONG).await?, Taken::UnderWay);
    assert_eq!(store.take_delivery("b", &id(1), None, LONG).await?, Taken::Ours, "another receiver's");
    assert_eq!(store.take_delivery("a", &id(2), None, LONG).await?, Taken::Ours);
    store.answer_delivery("a", &id(1), &answer(202)).await?;
    store.answer_delivery("a", &id(1), &answer(500)).await?;
    assert_eq!(store.take_delivery("a", &id(1), None, LONG).await?, Taken::Answered(answer(202)));
    store.leave_delivery("a", &id(1)).await?;
    assert_eq!(store.take_delivery("a", &id(1), None, LONG).await?, Taken::Answered(answer(202)));
    Ok(())
}

pub(crate) async fn a_delivery_whose_process_died_is_taken_over(bench: Bench) -> Result<()> {
    let store = &bench.store;
    assert_eq!(store.take_delivery("a", &id(1), None, Duration::from_millis(50)).await?, Taken::Ours);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(store.take_delivery("a", &id(1), None, LONG).await?, Taken::Ours);
    assert_eq!(store.take_delivery("a", &id(1), None, LONG).await?, Taken::UnderWay);
    store.leave_delivery("a", &id(1)).await?;
    assert_eq!(store.take_delivery("a", &id(1), None, LONG).await?, Taken::Ours, "nothing came of it");
    Ok(())
}

pub(crate) async fn of_many_that_bring_one_delivery_one_acts_on_it(bench: Bench) -> Result<()> {
    let store = Arc::new(bench.another().await?);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.take_delivery("a", &id(7), None, LONG).await });
    }
    let mut ours = 0;
    while let Some(taken) = tasks.join_next().await {
        ours += usize::from(taken?? == Taken::Ours);
    }
    assert_eq!(ours, 1);
    Ok(())
}

pub(crate) async fn what_a_window_keeps_out_is_forgotten_and_nothing_else(bench: Bench) -> Result<()> {
    let (store, now) = (&bench.store, bench.now());
    store.take_delivery("a", &id(1), Some(now), LONG).await?;
    store.take_delivery("a", &id(2), None, LONG).await?;
    assert_eq!(store.purge_deliveries(now).await?, 0);
    assert_eq!(store.purge_deliveries(now + TimeDelta::days(9_999)).await?, 1);
    assert_eq!(store.take_delivery("a", &id(2), None, LONG).await?, Taken::UnderWay, "kept for good");
    Ok(())
}
