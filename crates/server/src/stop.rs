//! Stopping in two stages: first nothing new is begun and what runs comes to the next boundary between two steps; then it is cut off, as by a crash, and
//! whoever comes next takes it up.

use claviger_engine::progress::Progress;
use tokio::sync::watch;

/// How far a service is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It runs.
    Running,
    /// Nothing new is begun.
    Draining,
    /// What runs is cut off.
    Aborting,
}

/// Tells a service to stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<Stage>);

impl Default for Stopper {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Running))
    }
}

impl Stopper {
    /// One stage on. Beyond the last one nothing happens.
    pub fn next(&self) {
        self.0.send_modify(|stage| {
            *stage = match stage {
                Stage::Running => Stage::Draining,
                Stage::Draining | Stage::Aborting => Stage::Aborting,
            }
        });
    }

    /// What listens to it.
    pub fn listener(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

/// Listens to a [`Stopper`]. One whose stopper is gone goes on until its end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Stage>);

impl Stop {
    /// The stage now.
    pub fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    /// Waits for this stage or a later one.
    pub async fn reached(&self, stage: Stage) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|now| *now >= stage).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Progress for Stop {
    fn step_finished(&self, subject: &str, step: &str, outcome: &str) {
        tracing::info!(subject, step, outcome, "step finished");
    }

    fn should_stop(&self) -> bool {
        self.stage() >= Stage::Draining
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_comes_in_two_stages() {
        let stopper = Stopper::default();
        let stop = stopper.listener();
        assert!(!stop.should_stop());
        stopper.next();
        assert_eq!(stop.stage(), Stage::Draining);
        assert!(stop.should_stop());
        stop.reached(Stage::Draining).await;
        stopper.next();
        stopper.next();
        stop.reached(Stage::Aborting).await;
        assert_eq!(stopper.listener().stage(), Stage::Aborting);
    }
}
