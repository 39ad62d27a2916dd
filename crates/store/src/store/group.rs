//! Group commit: appends that wait for the same writer share one transaction, and so one wait for the disk.
//!
//! Whoever finds the writer free takes everything that waits with it and answers each. Nothing runs in the background: a caller that goes away takes
//! only its own append with it, and if it was the one that wrote, the others' are written by the next.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use claviger_core::{
    id::{SagaId, Seq},
    saga::{Progress, SagaPlan},
};
use tokio::sync::oneshot;

use super::SeaStore;
use crate::{Append, Claim, Error, Result, port::Appended};

/// Appends of one transaction. More would only make the first of them wait longer.
const MOST: usize = 64;
/// Histories that are remembered. One more, and all are forgotten: they can be read again.
const REMEMBERED: usize = 4096;

/// One append that waits.
pub(super) struct Request {
    pub(super) claim: Claim,
    pub(super) append: Append,
    /// It was in a transaction that failed.
    alone: bool,
    answer: oneshot::Sender<Result<Appended>>,
}

/// A saga's history up to an event's number. As events are never changed, and an append requires that number, it cannot be out of date.
#[derive(Clone)]
pub(super) struct Folded {
    pub(super) next_seq: Seq,
    pub(super) plan: Arc<SagaPlan>,
    pub(super) progress: Progress,
}

/// What the clones of one store share.
#[derive(Default)]
pub(super) struct Group {
    waiting: Mutex<Vec<Request>>,
    turn: tokio::sync::Mutex<()>,
    folded: Mutex<HashMap<SagaId, Folded>>,
}

impl Group {
    /// The history as it was when this number was next.
    pub(super) fn recall(&self, claim: &Claim) -> Option<Folded> {
        let folded = self.folded.lock().unwrap_or_else(PoisonError::into_inner);
        folded.get(&claim.saga).filter(|folded| folded.next_seq == claim.next_seq).cloned()
    }

    /// Remembers a history whose last event is committed. One at rest is not asked for again.
    pub(super) fn remember(&self, saga: SagaId, after: Folded) {
        let mut folded = self.folded.lock().unwrap_or_else(PoisonError::into_inner);
        if after.progress.state.is_rest() {
            folded.remove(&saga);
            return;
        }
        if folded.len() >= REMEMBERED {
            folded.clear();
        }
        folded.insert(saga, after);
    }

    fn push(&self, request: Request) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    /// What waits, oldest first, without what nobody waits for any more.
    fn take(&self) -> Vec<Request> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|request| !request.answer.is_closed());
        let together = waiting.iter().take(MOST).take_while(|request| !request.alone).count();
        let end = together.max(usize::from(!waiting.is_empty()));
        waiting.drain(..end).collect()
    }
}

/// The batch of the one that writes. Dropped halfway, before the commit was asked for, it goes back into the queue.
struct Batch<'g> {
    group: &'g Group,
    requests: Vec<Request>,
    committing: bool,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let mut left = std::mem::take(&mut self.requests);
        if left.is_empty() {
            return;
        }
        if self.committing {
            for request in left {
                let _ = request.answer.send(Err(given_up()));
            }
            return;
        }
        let mut waiting = self.group.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        left.append(&mut waiting);
        *waiting = left;
    }
}

fn given_up() -> Error {
    Error::Unavailable("the commit was given up: whether it happened is not known".to_owned())
}

impl SeaStore {
    /// Appends, in one transaction with what else waits.
    pub(super) async fn append_grouped(&self, claim: &mut Claim, append: Append) -> Result<Appended> {
        let events = i64::from(append.event.is_some());
        let (answer, mut answered) = oneshot::channel();
        self.group.push(Request { claim: claim.clone(), append, alone: false, answer });
        let result = loop {
            let turn = tokio::select! {
                biased;
                answer = &mut answered => break answer.unwrap_or_else(|_| Err(given_up())),
                turn = self.group.turn.lock() => turn,
            };
            self.commit_waiting().await;
            drop(turn);
        };
        if result.is_ok() {
            claim.next_seq.0 += events;
        }
        result
    }

    /// Commits what waits. What cannot be committed together is tried one by one, so that each fails alone.
    async fn commit_waiting(&self) {
        let mut batch = Batch { group: &self.group, requests: self.group.take(), committing: false };
        // Two writers that want rows of the same sagas take them in the same order.
        batch.requests.sort_by_key(|request| request.claim.saga);
        let Batch { requests, committing, .. } = &mut batch;
        match self.together(requests, committing).await {
            Ok(results) => {
                for (request, result) in batch.requests.drain(..).zip(results) {
                    let _ = request.answer.send(result);
                }
            }
            Err(error) if batch.committing => {
                for request in batch.requests.drain(..) {
                    let _ = request.answer.send(Err(Error::Unavailable(error.to_string())));
                }
            }
            Err(error) if batch.requests.len() == 1 => {
                if let Some(request) = batch.requests.pop() {
                    let _ = request.answer.send(Err(error));
                }
            }
            // Dropped, it goes back into the queue.
            Err(_) => batch.requests.iter_mut().for_each(|request| request.alone = true),
        }
    }
}
