//! The scheduler: what is due is planned as firings, taken within budgets, and carried out through the same planner, gate and sagas as by hand.
//!
//! A firing is a credential and the instant at which it is due. That instant follows from the last change alone ([`crate::timing`]), and of each pair there
//! is one firing ever: so nothing comes early because a process began anew, and nothing twice, however many schedulers plan and workers take. What was due
//! while nobody ran is due once, not once for each time that was missed, and still within its window.
//!
//! Before a firing is carried out everything is judged again, by the inventory and the configuration of that moment: a credential that was changed by hand
//! meanwhile is no longer due at that instant, and its firing is over.
//!
//! To add a reason to wait: a field of [`Wanted`](claviger_store::Wanted), which [`wanted`] fills and a claim looks at.

mod ahead;
mod ask;
mod carry;
mod pause;
mod settle;
mod wanted;

use std::sync::Arc;

use claviger_core::schedule::Budget;
use claviger_store::Firings;

pub use self::{
    ahead::{Ahead, changes},
    ask::Asked,
    wanted::{Held, wanted},
};
use crate::Engine;

/// Plans, takes and carries out firings.
#[derive(Clone)]
pub struct Scheduler {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Where firings are kept.
    pub firings: Arc<dyn Firings>,
    /// What may run where. A backend of the estate without one has the usual one.
    pub budgets: Vec<Budget>,
    /// Who takes them: unique among all processes on the database.
    pub owner: String,
}

impl Scheduler {
    /// The budgets of the estate's backends.
    pub fn estate_budgets(&self) -> Vec<Budget> {
        let of = |name: &str| {
            let given = self.budgets.iter().find(|budget| budget.backend == name);
            given.cloned().unwrap_or_else(|| Budget::usual(name))
        };
        self.engine.estate.members().map(|member| of(&member.backend.info().name)).collect()
    }
}
