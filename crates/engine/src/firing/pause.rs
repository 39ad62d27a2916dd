//! Pausing what is scheduled: all of it, a class, or one. What was begun goes on.

use claviger_core::{audit::AuditKind, firing::PauseView, id::PauseId};
use claviger_store::NewPause;

use super::Scheduler;
use crate::{Error, Result, selector::Selector};

impl Scheduler {
    /// Begins a pause: when it returns, no worker takes what it holds any more. `selector` is `None` for everything.
    ///
    /// # Errors
    /// The database.
    pub async fn pause(&self, selector: Option<&Selector>, reason: &str) -> Result<PauseId> {
        let engine = &self.engine;
        let id = PauseId::generate(engine.clock.as_ref(), engine.random.as_ref());
        let text = selector.map(|selector| selector.text().to_owned());
        let detail = serde_json::json!({ "pause": id, "reason": reason });
        let audit = engine.said(AuditKind::SchedulePaused, text.as_deref().unwrap_or("*"), detail);
        let pause = NewPause { id, selector: text, reason: reason.to_owned(), actor: engine.actor.clone() };
        self.firings.pause(&pause, audit).await?;
        self.plan_ahead().await?;
        Ok(id)
    }

    /// The pause whose id begins so.
    ///
    /// # Errors
    /// There is none that holds, or more than one.
    pub async fn paused(&self, beginning: &str) -> Result<PauseView> {
        let mut found = self.firings.pauses().await?;
        found.retain(|pause| pause.id.to_string().starts_with(beginning));
        let (Some(pause), true) = (found.pop(), found.is_empty()) else {
            return Err(Error::NoPause(beginning.to_owned()));
        };
        Ok(pause)
    }

    /// Ends a pause. What it alone held may start at once; what another one holds too stays held.
    ///
    /// # Errors
    /// It is over already, or the database.
    pub async fn end_pause(&self, pause: &PauseView, reason: Option<&str>) -> Result<()> {
        let engine = &self.engine;
        let detail = serde_json::json!({ "pause": pause.id, "reason": reason });
        let subject = pause.selector.as_deref().unwrap_or("*");
        let audit = engine.said(AuditKind::ScheduleResumed, subject, detail);
        if !self.firings.end_pause(pause.id, &engine.actor, audit).await? {
            return Err(Error::NoPause(pause.id.to_string()));
        }
        self.plan_ahead().await?;
        Ok(())
    }
}
