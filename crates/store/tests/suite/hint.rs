use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    id::{CredentialId, PauseId, SagaId},
    reference::Ref,
    schedule::Urgency,
};
use claviger_store::{Firings as _, Hint, Hints as _, Journal as _, NewPause, Replan, SeaStore, Wanted};
use claviger_testkit::database::Kind;
use sea_orm::ConnectionTrait as _;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
    time::timeout,
};
use uuid::Uuid;

use super::{Bench, audit::draft, journal, start};

const LEASE: Duration = Duration::from_secs(60);
/// Longer than any hint takes on a machine that has much to do.
const SOON: Duration = Duration::from_secs(30);
/// After this what was not heard was not told.
const QUIET: Duration = Duration::from_millis(700);

fn at(seconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(seconds)
}

fn put(number: u128, starts: i64) -> Replan {
    Replan::Put(Wanted {
        urgency: Urgency::Usual,
        credential: CredentialId(Uuid::from_u128(number)),
        due_at: at(starts),
        subject: Ref::from_text(format!("db/role/{number}")),
        backend: "db".to_owned(),
        policy: "p".to_owned(),
        holds: vec![format!("credential {number}")],
        starts_at: at(starts),
        pause: None,
    })
}

struct Ear {
    heard: UnboundedReceiver<Hint>,
    task: JoinHandle<()>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ear {
    fn of(store: &SeaStore) -> Self {
        let (sender, heard) = unbounded_channel();
        let store = Arc::new(store.clone());
        let task = tokio::spawn(async move {
            store
                .listen(&|hint| {
                    let _ = sender.send(hint);
                })
                .await;
        });
        Self { heard, task }
    }

    /// All that is heard until nothing more is. `least`: so many are waited for.
    async fn hears(&mut self, least: usize) -> Result<Vec<Hint>> {
        let mut all = Vec::new();
        loop {
            let patience = if all.len() < least { SOON } else { QUIET };
            match timeout(patience, self.heard.recv()).await {
                Ok(Some(hint)) => all.push(hint),
                Ok(None) => anyhow::bail!("it listens no more"),
                Err(_) => break,
            }
        }
        ensure!(all.len() >= least, "{all:?}");
        all.sort_unstable();
        Ok(all)
    }
}

pub(crate) async fn what_leaves_work_is_told_to_others_with_its_commit(bench: Bench) -> Result<()> {
    let (store, other) = (&bench.store, bench.another().await?);
    let (mut own, mut ear) = (Ear::of(store), Ear::of(&other));
    if bench.kind == Kind::Sqlite {
        store.tell(Hint::Saga).await?;
        ensure!(own.hears(0).await?.is_empty() && ear.hears(0).await?.is_empty(), "SQLite tells nobody");
        return Ok(());
    }
    // Nobody knows what was told before.
    ensure!(ear.hears(3).await? == Hint::ALL && own.hears(3).await? == Hint::ALL);
    // One whose time has not come is no work.
    store.replan(at(0), &[put(1, 10)]).await?;
    ensure!(ear.hears(0).await?.is_empty(), "it has not come");
    store.replan(at(0), &[put(2, -10), put(3, -10)]).await?;
    ensure!(ear.hears(1).await? == [Hint::Firing], "once for all of a commit");
    ensure!(own.hears(1).await? == [Hint::Firing], "work is everybody's");
    let ids = [CredentialId(Uuid::from_u128(1))];
    store.ask_firings(at(1), &ids, draft("asked")).await?;
    ensure!(ear.hears(1).await? == [Hint::Firing], "asked for");
    store.ask_firings(at(1), &[CredentialId(Uuid::from_u128(9))], draft("asked")).await?;
    ensure!(ear.hears(0).await?.is_empty(), "there is none");

    let pause = PauseId(Uuid::from_u128(5));
    let (reason, actor) = ("release".to_owned(), "dana".to_owned());
    store.pause(&NewPause { id: pause, selector: None, reason, actor }, draft("pause")).await?;
    ensure!(ear.hears(1).await? == [Hint::Plan], "paused");
    ensure!(store.end_pause(pause, "dana", draft("resumed")).await?);
    ensure!(ear.hears(2).await? == [Hint::Firing, Hint::Plan], "resumed");
    ensure!(!store.end_pause(pause, "dana", draft("resumed")).await?);
    ensure!(ear.hears(0).await?.is_empty(), "it was over");

    // Who begins one drives it. Who gives it up unfinished tells the others, and not itself.
    own.hears(0).await?;
    let id = store.create(journal::new_saga(1, 1)).await?.expect("created");
    let book = bench.journal();
    let claim = book.claim(id, "w", LEASE).await?.expect("claimed");
    ensure!(ear.hears(0).await?.is_empty(), "it is driven");
    store.release(&claim).await?;
    ensure!(ear.hears(1).await? == [Hint::Saga], "given up");
    ensure!(own.hears(0).await?.is_empty(), "what made it give up holds still");
    ensure!(book.claim(id, "v", LEASE).await?.is_some(), "it is free");
    // An older owner gives nothing up.
    store.release(&claim).await?;
    ensure!(ear.hears(0).await?.is_empty(), "it is somebody else's");
    ensure!(book.claim(id, "u", LEASE).await?.is_none(), "the lease of the newer one stands");
    store.tell(Hint::Saga).await?;
    ensure!(
        ear.hears(1).await? == [Hint::Saga] && own.hears(1).await? == [Hint::Saga],
        "recorded for anybody"
    );
    Ok(())
}

pub(crate) async fn a_lost_connection_is_made_anew_and_nothing_is_missed(bench: Bench) -> Result<()> {
    if bench.kind == Kind::Sqlite {
        return Ok(());
    }
    let (store, other) = (&bench.store, bench.another().await?);
    let mut ear = Ear::of(&other);
    ensure!(ear.hears(3).await? == Hint::ALL);
    let raw = bench.raw().await?;
    for _ in 0..2 {
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ilike 'listen%'";
        let ended = raw.execute_unprepared(cut).await?.rows_affected();
        ensure!(ended == 1, "{ended} listen");
        // Told while nobody listens.
        store.tell(Hint::Saga).await?;
        let heard = ear.hears(3).await?;
        ensure!(Hint::ALL.iter().all(|hint| heard.contains(hint)), "{heard:?}");
        store.tell(Hint::Firing).await?;
        ensure!(ear.hears(1).await? == [Hint::Firing], "it listens again");
    }
    // The ledger's own calls never noticed.
    ensure!(store.load(SagaId(Uuid::from_u128(1))).await?.is_none());
    Ok(())
}
