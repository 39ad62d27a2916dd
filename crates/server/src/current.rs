//! The scheduler that holds now: what a configuration that was read anew comes to takes the place of the one before, and what was begun is carried out by
//! the one that began it.

use std::sync::Arc;

use claviger_engine::firing::Scheduler;
use tokio::sync::watch;

/// Gives duties the scheduler of the moment.
#[derive(Clone)]
pub struct Current(watch::Receiver<Scheduler>);

impl Current {
    /// The one of this moment.
    pub fn now(&self) -> Scheduler {
        self.0.borrow().clone()
    }

    /// Waits until there is another one. One whose [`Renewal`] is gone never has one.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Puts another scheduler in the place of the one that holds.
pub struct Renewal(watch::Sender<Scheduler>);

impl Renewal {
    /// Begins with this one.
    pub fn new(scheduler: Scheduler) -> (Self, Current) {
        let (sender, receiver) = watch::channel(scheduler);
        (Self(sender), Current(receiver))
    }

    /// From now on this one. It keeps the name of the one before, so that the duties of this process stay its own.
    pub fn renew(&self, scheduler: Scheduler) {
        self.0.send_modify(|current| {
            let owner = current.owner.clone();
            *current = Scheduler { owner, ..scheduler };
        });
    }
}

/// Who is told, or who may report: a list that a configuration that is read anew replaces as a whole.
pub struct Listing<T>(watch::Receiver<Arc<Vec<T>>>);

impl<T> Clone for Listing<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Listing<T> {
    /// Those of this moment.
    pub fn now(&self) -> Arc<Vec<T>> {
        Arc::clone(&self.0.borrow())
    }

    /// Those of this moment, which are then no news any more.
    pub(crate) fn taken(&mut self) -> Arc<Vec<T>> {
        Arc::clone(&self.0.borrow_and_update())
    }

    /// Waits until there are others. One whose [`Relisting`] is gone never has any.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Puts others in the place of those that hold.
pub struct Relisting<T>(watch::Sender<Arc<Vec<T>>>);

impl<T> Relisting<T> {
    /// Begins with these.
    pub fn new(all: Vec<T>) -> (Self, Listing<T>) {
        let (sender, receiver) = watch::channel(Arc::new(all));
        (Self(sender), Listing(receiver))
    }

    /// From now on these. What was begun for the ones before ends by itself.
    pub fn put(&self, all: Vec<T>) {
        self.0.send_replace(Arc::new(all));
    }
}
