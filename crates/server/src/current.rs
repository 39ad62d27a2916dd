//! The scheduler that holds now: what a configuration that was read anew comes to takes the place of the one before, and what was begun is carried out by
//! the one that began it.

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
