use claviger_core::{audit::AuditKind, reference::Ref};
use claviger_store::Selection;
use serde::Serialize;

use super::Scheduler;
use crate::{Error, Result, selector::Selector};

/// What was asked for by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// What starts with the next look of a worker.
    pub starts: Vec<Ref>,
    /// What the selector matches and has no firing that could start: no policy has it rotated, or it is paused, or under way.
    pub stays: Vec<Ref>,
}

impl Scheduler {
    /// Has what the selector matches start at once, whatever its window and its due time say. Approvals, guards and pauses hold as always.
    ///
    /// # Errors
    /// The selector matches nothing or cannot be decided; the database.
    pub async fn ask(&self, selector: &Selector, reason: &str) -> Result<Asked> {
        self.plan_ahead().await?;
        let engine = &self.engine;
        let now = engine.clock.now();
        let all = engine.ports.inventory.credentials(now, &Selection::default()).await?;
        let chosen = selector.choose(&all)?;
        if chosen.is_empty() {
            return Err(Error::NoMatch(selector.text().to_owned()));
        }
        let ids: Vec<_> = chosen.iter().map(|credential| credential.id).collect();
        let detail = serde_json::json!({ "selector": selector.text(), "reason": reason });
        let draft = engine.said(AuditKind::ScheduleAsked, "schedule", detail);
        let found = self.firings.ask_firings(now, &ids, draft).await?;
        let mut asked = Asked::default();
        for credential in chosen {
            let list = if found.contains(&credential.id) { &mut asked.starts } else { &mut asked.stays };
            list.push(credential.at.clone());
        }
        Ok(asked)
    }
}
