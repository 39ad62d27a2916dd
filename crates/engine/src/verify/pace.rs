use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use claviger_core::{
    clock::Clock,
    schedule::{Bucket, Budget},
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long to wait before it is asked again whether there is room.
const LOOK: Duration = Duration::from_millis(100);

/// The budgets of backends, for what reads and logs in: no more at a time, and no more in a minute, than may be rotated there. They are this process's
/// own; one process verifies at a time.
pub(super) struct Paces {
    paces: HashMap<String, Pace>,
    clock: Arc<dyn Clock>,
}

struct Pace {
    places: Semaphore,
    rate: Option<(u32, Mutex<Bucket>)>,
}

impl Paces {
    pub(super) fn new(budgets: &[Budget], clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let pace = |budget: &Budget| Pace {
            places: Semaphore::new(budget.concurrency.max(1)),
            rate: budget.per_minute.map(|rate| (rate, Mutex::new(Bucket::empty(now)))),
        };
        let paces = budgets.iter().map(|budget| (budget.backend.clone(), pace(budget))).collect();
        Self { paces, clock }
    }

    /// Waits for room at a backend. The place is held until the answer is dropped.
    pub(super) async fn turn(&self, backend: &str) -> Option<SemaphorePermit<'_>> {
        let pace = self.paces.get(backend)?;
        let place = pace.places.acquire().await.ok();
        if let Some((rate, bucket)) = &pace.rate {
            while !self.take(*rate, bucket) {
                tokio::time::sleep(LOOK).await;
            }
        }
        place
    }

    fn take(&self, rate: u32, bucket: &Mutex<Bucket>) -> bool {
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let (drained, room) = bucket.room(rate, self.clock.now());
        *bucket = if room > 0 { drained.after(rate, 1) } else { drained };
        room > 0
    }
}

#[cfg(test)]
mod tests {
    use claviger_core::clock::ManualClock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_backend_is_asked_no_more_than_its_budget() {
        let clock = Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH));
        let budget = Budget { concurrency: 1, per_minute: Some(4), ..Budget::usual("db") };
        let paces = Paces::new(&[budget], clock.clone());
        let first = paces.turn("db").await;
        assert!(
            tokio::time::timeout(Duration::from_secs(1), paces.turn("db")).await.is_err(),
            "one at a time"
        );
        drop(first);
        drop(paces.turn("db").await);
        assert!(
            tokio::time::timeout(Duration::from_secs(5), paces.turn("db")).await.is_err(),
            "two at once, of four"
        );
        clock.advance(chrono::Duration::seconds(60));
        assert!(tokio::time::timeout(Duration::from_secs(5), paces.turn("db")).await.is_ok());
        assert!(paces.turn("elsewhere").await.is_none(), "one without a budget");
    }
}
