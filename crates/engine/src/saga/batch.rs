//! Many revocations as one work that can be taken up again: all are recorded before the first is begun, and whoever asks for the same once more
//! takes up what is unfinished.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use chrono::{DateTime, Utc};
use claviger_core::{
    id::SagaId,
    saga::{Action, Cause, SagaKind, SagaPlan},
};
use futures::{
    StreamExt as _,
    stream::{self, FuturesUnordered},
};

use super::{executor::RunOptions, outcome::SagaOutcome};
use crate::{Engine, Error, Result, progress::Progress};

/// Recorded at the same time: appends that wait for the writer share a transaction.
const RECORDED_AT_ONCE: usize = 16;
/// Driven at the same time. How many calls a backend gets at once its own layer limits.
const AT_ONCE: usize = 64;
/// A wait that is sat out. Who waits for longer, as for a cache, leaves its place to another one, and comes back when its time has come.
const SAT_OUT: Duration = Duration::from_secs(1);
/// Longest time until those who all wait look whether they should stop.
const NAP: Duration = Duration::from_millis(500);

impl Engine {
    /// Records and drives one revocation per plan, past failures. One of the same credential that is unfinished is taken up instead, a paused one
    /// too. Objects that tokens are bound to come when the rest is over: with them ends what the rest has to show to be dead by itself. The answers
    /// are in the order of the plans.
    pub async fn revoke_all(
        &self,
        plans: &[SagaPlan],
        cause: Cause,
        reason: Option<&str>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Vec<Result<SagaOutcome>> {
        let recorded = self.record_revocations(plans, cause, reason).await;
        self.drive_revocations(plans, recorded, options, progress).await
    }

    /// Records one revocation per plan, or finds the unfinished one of the same credential. Nothing is changed at any target yet. The answers are in
    /// the order of the plans.
    pub async fn record_revocations(
        &self,
        plans: &[SagaPlan],
        cause: Cause,
        reason: Option<&str>,
    ) -> Vec<Result<SagaId>> {
        // Made before the stream: a closure over references within it would make all of this unfit to be spawned.
        let recorded: Vec<_> = plans.iter().map(|plan| self.record(plan, cause, reason)).collect();
        stream::iter(recorded).buffered(RECORDED_AT_ONCE).collect().await
    }

    /// Drives what [`Engine::record_revocations`] gave for these plans.
    pub async fn drive_revocations(
        &self,
        plans: &[SagaPlan],
        recorded: Vec<Result<SagaId>>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Vec<Result<SagaOutcome>> {
        let (last, first): (Vec<_>, Vec<_>) =
            recorded.into_iter().enumerate().partition(|(index, _)| ends_object(&plans[*index]));
        let mut answers = Vec::with_capacity(plans.len());
        for wave in [first, last] {
            answers.extend(self.in_turn(wave, options, progress).await);
        }
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn record(&self, plan: &SagaPlan, cause: Cause, reason: Option<&str>) -> Result<SagaId> {
        match self.begin(plan.clone(), cause, reason.map(str::to_owned)).await {
            Err(error @ Error::Refused { code: "unfinished", .. }) => {
                self.unfinished_of(plan).await?.ok_or(error)
            }
            other => other,
        }
    }

    /// Drives them to their end, as many at a time as there are places. The answers come as they end.
    async fn in_turn(
        &self,
        wave: Vec<(usize, Result<SagaId>)>,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Vec<(usize, Result<SagaOutcome>)> {
        let short = RunOptions { linger: options.linger.min(SAT_OUT), ..*options };
        let patient = chrono::TimeDelta::from_std(options.linger).unwrap_or(chrono::TimeDelta::MAX);
        let (mut answers, mut fresh) = (Vec::with_capacity(wave.len()), VecDeque::new());
        for (index, recorded) in wave {
            match recorded {
                Ok(id) => fresh.push_back((index, id)),
                Err(error) => answers.push((index, Err(error))),
            }
        }
        let mut waiting: BTreeSet<(DateTime<Utc>, usize, SagaId)> = BTreeSet::new();
        let mut driven = FuturesUnordered::new();
        loop {
            while driven.len() < AT_ONCE {
                // Whose time has come goes first: what is begun is brought to its end.
                let due = waiting.first().copied().filter(|(until, ..)| *until <= self.clock.now());
                let (index, id, begun) = match due {
                    Some(first @ (_, index, id)) => {
                        waiting.remove(&first);
                        (index, id, true)
                    }
                    None => match fresh.pop_front() {
                        Some((index, id)) => (index, id, false),
                        None => break,
                    },
                };
                driven.push(async move {
                    let answer = match begun {
                        true => self.drive(id, &short, progress).await,
                        false => self.resume_one(id, &short, progress).await,
                    };
                    (index, id, answer)
                });
            }
            let stops = progress.should_stop();
            let ended = match (driven.is_empty(), waiting.is_empty() || stops) {
                (true, true) => break,
                (true, false) => {
                    tokio::time::sleep(NAP).await;
                    continue;
                }
                (false, _) => tokio::select! {
                    ended = driven.next() => ended,
                    () = tokio::time::sleep(NAP) => None,
                },
            };
            let Some((index, id, answer)) = ended else { continue };
            match answer.as_ref().ok().and_then(|outcome| outcome.wakes_at) {
                Some(until) if !stops && until - self.clock.now() <= patient => {
                    waiting.insert((until, index, id));
                }
                _ => answers.push((index, answer)),
            }
        }
        drop(driven);
        for (_, index, id) in waiting {
            answers.push((index, self.outcome(id).await));
        }
        answers
    }

    /// The unfinished saga of a plan's credential, if it is of the plan's kind.
    async fn unfinished_of(&self, plan: &SagaPlan) -> Result<Option<SagaId>> {
        let open = self.ports.journal.unfinished().await?;
        let of_kind = self.ports.journal.list(plan.kind, Some(plan.credential)).await?;
        let found = of_kind.iter().find(|saga| open.contains(&saga.rotation_id));
        Ok(found.map(|saga| saga.rotation_id).filter(|_| plan.kind == SagaKind::Revocation))
    }
}

fn ends_object(plan: &SagaPlan) -> bool {
    plan.steps.iter().any(|step| matches!(step.action, Action::EndAnchor(_)))
}
