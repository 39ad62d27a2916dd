//! Firings and pauses: `schedule list`.

use claviger_core::{
    firing::{FiringState, FiringView, PauseView},
    reference::Ref,
};
use claviger_engine::firing::Scheduler;
use serde_json::{Value, json};

use super::{Result, list, stamp, values};
use crate::access::{Sight, Subject};

/// What is scheduled now.
#[derive(Debug, Clone)]
pub struct Firings {
    /// The firings.
    pub firings: Vec<FiringView>,
    /// Of which credentials it cannot be decided when they are due.
    pub undecided: Vec<Ref>,
}

/// The firings in these states, at most so many, after planning ahead: what is shown is what holds now, whether a service runs or not.
///
/// # Errors
/// The database.
pub async fn firings(scheduler: &Scheduler, states: &[FiringState], limit: u64) -> Result<Firings> {
    let ahead = scheduler.plan_ahead().await?;
    Ok(Firings { firings: scheduler.firings.firings(states, limit).await?, undecided: ahead.undecided })
}

/// Leaves those that these eyes see.
///
/// # Errors
/// The database.
pub async fn seen(
    scheduler: &Scheduler,
    mut firings: Vec<FiringView>,
    sight: Sight<'_>,
) -> Result<Vec<FiringView>> {
    if !sight.is_whole() {
        let known = list::known(&scheduler.engine).await?;
        firings.retain(|firing| {
            known
                .get(&firing.credential)
                .map_or_else(|| sight.sees_ref(&firing.at), |credential| sight.sees_credential(credential))
        });
    }
    Ok(firings)
}

/// The document: the pauses that hold are told to those who see everything, as nobody else knows what they are of.
///
/// # Errors
/// A bug.
pub fn document(firings: &[FiringView], pauses: Option<&[PauseView]>) -> Result<Value> {
    let mut document = json!({ "items": values(firings)? });
    if let Some(pauses) = pauses {
        document["pauses"] = json!(pauses);
    }
    stamp(&mut document, "firings");
    Ok(document)
}

/// May these eyes see the pauses?
pub fn sees_pauses(sight: Sight<'_>) -> bool {
    sight.covers(&Subject::Estate)
}
