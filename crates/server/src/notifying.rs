//! Receivers are told what the audit log says: what is new in it is queued for each of them, and what is queued is sent until they have it.
//!
//! Where a configuration that was read anew names others, those of before end what is under way, and the new ones begin at once: what is queued belongs to a
//! receiver's name, and a claim keeps both from sending the same.
//!
//! Each receiver has a task of its own, so that one that hangs keeps nobody else. Of several processes each claims what nobody else has. Something that was sent
//! and not noted, because the process was killed in between, is sent again under the same name.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use claviger_engine::firing::Scheduler;
use claviger_store::{Notification, NotificationEnd};
use futures::future::join_all;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    Current, Listing, Metrics, Settings, Stage, Stop,
    notify::{Receiver, backoff},
};

/// Entries of the log that are looked at together.
const PAGE: u64 = 500;
/// Sent at the same time to one receiver.
const AT_ONCE: u32 = 8;
/// Longest wait for an answer, and longest lease.
const PATIENCE: Duration = Duration::from_secs(10);
const LEASE: Duration = Duration::from_secs(60);
/// What happened longer ago than this is not told any more to somebody who was not there meanwhile.
const STALE: TimeDelta = TimeDelta::days(30);
/// How long what was sent is remembered.
const KEPT: TimeDelta = TimeDelta::days(30);
/// How long attempts that are under way have to end when the service stops.
const LAST: Duration = Duration::from_secs(3);
/// Between two times that it is forgotten.
const FORGET: Duration = Duration::from_secs(3600);

pub(crate) async fn run(
    mut listing: Listing<Receiver>,
    settings: Settings,
    current: Current,
    metrics: Arc<Metrics>,
    stop: Stop,
) {
    let mut tasks = JoinSet::new();
    while stop.stage() == Stage::Running {
        let receivers = listing.taken();
        let (replace, replaced) = watch::channel(false);
        for at in 0..receivers.len() {
            let teller = Teller {
                receivers: Arc::clone(&receivers),
                at,
                lease: LEASE.min(settings.run.lease),
                tick: settings.tick,
                current: current.clone(),
                metrics: Arc::clone(&metrics),
                replaced: replaced.clone(),
                stop: stop.clone(),
            };
            tasks.spawn(teller.run());
        }
        loop {
            tokio::select! {
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => report(ended),
                () = listing.changed() => break,
                // Without receivers there is nothing to do until the end.
                () = stop.reached(Stage::Draining) => break,
            }
        }
        replace.send_replace(true);
    }
    while let Some(ended) = tasks.join_next().await {
        report(ended);
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a receiver is told nothing any more");
    }
}

struct Teller {
    receivers: Arc<Vec<Receiver>>,
    at: usize,
    lease: Duration,
    tick: Duration,
    current: Current,
    metrics: Arc<Metrics>,
    /// Another one has its place.
    replaced: watch::Receiver<bool>,
    stop: Stop,
}

impl Teller {
    async fn run(mut self) {
        let receivers = Arc::clone(&self.receivers);
        let receiver = &receivers[self.at];
        let mut forget = Instant::now();
        while self.stop.stage() == Stage::Running && !*self.replaced.borrow() {
            let scheduler = self.current.now();
            let worked = async {
                queue(receiver, &scheduler).await?;
                if Instant::now() >= forget {
                    let before = scheduler.engine.clock.now() - KEPT;
                    scheduler.engine.ports.notifications.purge_notifications(before).await?;
                    forget = Instant::now() + FORGET;
                }
                self.send(receiver, &scheduler).await
            };
            let sent = tokio::select! {
                worked = worked => worked,
                // What is under way then is sent again by whoever comes next, under the same name.
                () = self.cut_off() => break,
            };
            match sent {
                Ok(0) => {}
                // There may be more.
                Ok(_) => continue,
                Err(error) => tracing::warn!(%error, receiver = receiver.name, "nothing can be told now"),
            }
            tokio::select! {
                () = tokio::time::sleep(self.tick) => {}
                _ = self.replaced.changed() => {}
                () = self.stop.reached(Stage::Draining) => {}
            }
        }
    }

    async fn cut_off(&self) {
        self.stop.reached(Stage::Draining).await;
        tokio::time::sleep(LAST).await;
    }

    /// Sends what is due. Gives how much.
    async fn send(&self, receiver: &Receiver, scheduler: &Scheduler) -> claviger_store::Result<usize> {
        let (engine, notifications) = (&scheduler.engine, &scheduler.engine.ports.notifications);
        let now = engine.clock.now();
        let claimed = notifications.claim_notifications(&receiver.name, now, self.lease, AT_ONCE).await?;
        // An attempt is over before its claim is.
        let patience = PATIENCE.min(self.lease / 2);
        let attempts = claimed.iter().map(|one| async {
            let told = receiver.tell(one, engine.clock.now(), patience).await;
            let end = match told {
                Ok(()) => NotificationEnd::Sent,
                Err(failed) => self.failed(receiver, scheduler, one, failed),
            };
            self.metrics.notified(&end);
            notifications.settle_notification(one, end, engine.clock.now()).await
        });
        for settled in join_all(attempts).await {
            if !settled? {
                tracing::debug!(receiver = receiver.name, "another process has it by now");
            }
        }
        Ok(claimed.len())
    }

    fn failed(
        &self,
        receiver: &Receiver,
        scheduler: &Scheduler,
        one: &Notification,
        failed: crate::notify::Failed,
    ) -> NotificationEnd {
        let now = scheduler.engine.clock.now();
        let mut draw = [0];
        scheduler.engine.random.fill(&mut draw);
        let wait = backoff(one.attempts, draw[0]).max(failed.wait.unwrap_or_default());
        let at = now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
        let (id, event) = (&one.queued.id, &one.queued.event);
        if failed.is_final || at - one.queued_at > receiver.give_up {
            tracing::error!(
                receiver = receiver.name,
                id,
                event,
                why = failed.why,
                attempts = one.attempts,
                "it is given up to tell this"
            );
            return NotificationEnd::Dead { error: failed.why };
        }
        tracing::warn!(
            receiver = receiver.name,
            id,
            event,
            why = failed.why,
            attempts = one.attempts,
            "not told yet"
        );
        NotificationEnd::Again { at, error: failed.why }
    }
}

/// Queues what the log has that this receiver was not told.
async fn queue(receiver: &Receiver, scheduler: &Scheduler) -> claviger_store::Result<()> {
    let ports = &scheduler.engine.ports;
    loop {
        let from = ports.notifications.told_until(&receiver.name).await?;
        let entries = ports.audit.read(from, PAGE).await?;
        let Some(to) = entries.last().map(|entry| entry.seq) else { return Ok(()) };
        let oldest = scheduler.engine.clock.now() - STALE;
        let new =
            entries.iter().filter(|entry| entry.at >= oldest).filter_map(|entry| receiver.queued(entry));
        // Where another process was there before, what it left is looked at.
        ports.notifications.queue(&receiver.name, from, to, new.collect()).await?;
        if entries.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
            return Ok(());
        }
    }
}
