//! Hints of other processes wake the duties that would look later anyway.

use std::sync::Arc;

use claviger_store::{Hint, Hints};
use tokio::sync::Notify;

use crate::{Metrics, Stage, Stop};

/// What wakes duties. A hint that comes while a duty looks has it look once more.
#[derive(Clone, Default)]
pub(crate) struct Wakes {
    /// There is a firing that may be taken.
    pub(crate) firing: Arc<Notify>,
    /// There is a saga that nobody drives.
    pub(crate) saga: Arc<Notify>,
    /// Everything is to be planned anew.
    pub(crate) plan: Arc<Notify>,
}

impl Wakes {
    fn wake(&self, hint: Hint) {
        match hint {
            Hint::Firing => &self.firing,
            Hint::Saga => &self.saga,
            Hint::Plan => &self.plan,
        }
        .notify_one();
    }
}

pub(crate) async fn run(hints: Arc<dyn Hints>, wakes: Wakes, metrics: Arc<Metrics>, stop: Stop) {
    let heard = |hint: Hint| {
        metrics.hinted(hint.as_str());
        wakes.wake(hint);
    };
    tokio::select! {
        () = hints.listen(&heard) => {}
        () = stop.reached(Stage::Draining) => {}
    }
    // Whoever waits for duties to end takes one that ends by itself for a bug.
    stop.reached(Stage::Draining).await;
}
