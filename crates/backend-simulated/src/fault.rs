//! Faults at the boundaries of an estate, and how a crash is played.
//!
//! **Boundary**: a call that *would change* the estate. A call that finds its end state already there is none. Before each boundary the
//! [`FaultPlan`] is asked with its index, counted from 0 by one backend instance; a failed call that is made again is the next boundary.
//!
//! **Crash**: a dead process does nothing any more, so a crash is neither an error (somebody would handle it) nor a panic (somebody could catch it):
//! the call **never returns**, nor does any later call of the same instance, and its [`CrashSignal`] is raised. The harness runs the engine next to
//! the signal, drops the engine's future when the signal wins, and starts again with a new backend on the same file:
//!
//! ```ignore
//! tokio::select! {
//!     biased;
//!     () = signal.crashed() => { /* dropped in the middle: recover with a new instance */ }
//!     outcome = engine.run() => { /* the fault did not fire */ }
//! }
//! ```
//!
//! Tasks that the engine spawned are not dropped with it: give each "process" its own runtime and shut that down.

use claviger_core::reference::Ref;
use tokio::sync::watch;

/// What happens at a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing: the change takes place and is acknowledged.
    #[default]
    None,
    /// Fails before the change and says so: `Unavailable`, temporary, `Effect::NotApplied`.
    ErrorBefore,
    /// The request is lost: no change, and nobody can say so: `Unavailable`, `Effect::Unknown`.
    LostRequest,
    /// The answer is lost: the change took place, and nobody can say so: `Unavailable`, `Effect::Unknown`.
    ErrorAfterEffect,
    /// The caller's process dies before the change.
    CrashBefore,
    /// The caller's process dies after the change.
    CrashAfter,
    /// The request arrives twice; the caller gets the first answer.
    Repeat,
    /// The permission is gone: `Denied`, permanent, `Effect::NotApplied`.
    Deny,
    /// Too many requests: `RateLimited`, temporary, `Effect::NotApplied`.
    Throttle,
    /// It says that there is none such, and there is: `NotFound`, permanent, `Effect::NotApplied`.
    Missing,
}

/// Decides what happens.
pub trait FaultPlan: Send + Sync {
    /// Asked once before each boundary. `operation` is the method's name: `issue`, `restore`, `disable`, `enable`, `revoke`, `end_derived`, `write`,
    /// `erase`, `destroy`, `refresh`, `repoint`.
    fn before(&self, mutation_index: u64, operation: &'static str, target: &Ref) -> Fault;

    /// Asked before each call that only looks: is it refused, `Denied` and permanent? No boundary, since nothing changes.
    fn refuses(&self, _operation: &'static str) -> bool {
        false
    }
}

/// Nothing goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl FaultPlan for NoFaults {
    fn before(&self, _: u64, _: &'static str, _: &Ref) -> Fault {
        Fault::None
    }
}

/// One fault at one boundary.
#[derive(Debug, Clone, Copy)]
pub struct FaultAt {
    /// The boundary.
    pub index: u64,
    /// The fault.
    pub fault: Fault,
}

impl FaultPlan for FaultAt {
    fn before(&self, mutation_index: u64, _: &'static str, _: &Ref) -> Fault {
        if mutation_index == self.index { self.fault } else { Fault::None }
    }
}

/// Raised when a fault plan let the caller's process die.
#[derive(Clone)]
pub struct CrashSignal(watch::Receiver<bool>);

impl CrashSignal {
    /// Waits for the crash; forever, if none comes.
    pub async fn crashed(&mut self) {
        if self.0.wait_for(|crashed| *crashed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Has it come?
    pub fn has_crashed(&self) -> bool {
        *self.0.borrow()
    }
}

/// The raising half.
pub(crate) struct Crash(watch::Sender<bool>);

impl Crash {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn signal(&self) -> CrashSignal {
        CrashSignal(self.0.subscribe())
    }

    pub(crate) fn raise(&self) {
        self.0.send_replace(true);
    }

    /// Never returns once the process is dead.
    pub(crate) async fn stop_if_dead(&self) {
        if *self.0.borrow() {
            std::future::pending::<()>().await;
        }
    }
}
