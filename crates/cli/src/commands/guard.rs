//! Before a plan is carried out: does it have the approvals that policies and guards want, or is there an incident that lets it through?

use claviger_core::{incident::Incident, saga::Cause};
use claviger_engine::{Engine, approval::Admission, guard::Guard, incident, plan::Plan};
use serde_json::Value;

use crate::{
    args::{Format, Global},
    error::{Exit, Failure, Result},
    output,
};

/// Why nobody who is only a name of this machine may go on.
const NAMELESS: &str =
    "whoever plans or carries out what wants approvals has to show a key of their own (guard `operator_key`)";

/// What was found out about a plan.
pub(crate) struct Gate {
    pub(crate) admission: Admission,
    pub(crate) incident: Option<Incident>,
    /// Nobody has shown a key, and one is wanted.
    pub(crate) nameless: bool,
}

impl Gate {
    /// Judges a plan, and keeps it for whoever approves it where it wants an approval. `incident` is an id or its beginning.
    pub(crate) async fn of(engine: &Engine, plan: &Plan, verb: &str, incident: Option<&str>) -> Result<Self> {
        let incident = match incident {
            Some(id) => Some(engine.open_one(id).await?),
            None => None,
        };
        let admission = engine.admission(plan, incident.as_ref()).await?;
        let estate = &engine.estate;
        let nameless =
            estate.guards.operator_key && estate.operator.is_none() && admission.needs.approvals > 0;
        if !admission.is_approved() && !nameless {
            engine.propose(plan, verb, &admission.needs).await?;
        }
        Ok(Self { admission, incident, nameless })
    }

    /// Puts it into the plan's document.
    pub(crate) fn tell(&self, document: &mut Value) -> Result<()> {
        document["approvals"] = output::value(&self.admission)?;
        Ok(())
    }

    /// The same for people.
    pub(crate) fn show(&self, global: &Global) {
        for reason in &self.admission.needs.reasons {
            output::remark(global, reason);
        }
        for (name, unfit) in &self.admission.count.unfit {
            output::remark(global, &format!("the approval of {name} does not count: {unfit}"));
        }
        if self.admission.needs.approvals > 0 {
            let given = &self.admission.count.given;
            let names = if given.is_empty() { "none".to_owned() } else { given.join(", ") };
            output::remark(
                global,
                &format!("approvals: {} wanted, given: {names}", self.admission.needs.approvals),
            );
        }
    }

    /// Stops what must be left. What an incident lets through is no reason to stop.
    ///
    /// # Errors
    /// The plan has not what it wants; programs get it on standard output all the same, as they need its hash.
    pub(crate) fn stop(&self, global: &Global, plan: &Value, verb: &str) -> Result<()> {
        let through = self.admission.is_approved() && !self.nameless;
        if through || self.admission.break_glass_until.is_some() {
            return Ok(());
        }
        if self.nameless {
            return Err(Failure::new(414, Exit::Refused, NAMELESS)
                .hint("`--as FILE` with one's own key, or `key` of `[operator]`; `claviger approve --new-key FILE` makes one"));
        }
        if !matches!(global.output, Format::Table | Format::Wide) {
            let mut document = plan.clone();
            self.tell(&mut document)?;
            output::stamp(&mut document, &format!("{verb}-plan"));
            output::document(global, &document)?;
        }
        let hash = plan["hash"].as_str().unwrap_or_default();
        let message = format!(
            "plan {hash} wants {} approvals and has {}: {}",
            self.admission.needs.approvals,
            self.admission.count.given.len(),
            self.admission.needs.reasons.join("; ")
        );
        let hint = format!(
            "another person approves it with `claviger approve {hash} --key FILE`; then give the same command again"
        );
        let failure = match &self.incident {
            Some(incident) => Failure::new(
                412,
                Exit::Refused,
                format!("{message}; incident {} no longer lets anything through without them", incident.id),
            ),
            None => Failure::new(410, Exit::Refused, message),
        };
        Err(failure.hint(hint))
    }

    /// The same of a plan of this installation: who wants to know is told of a guard that keeps it from being begun.
    ///
    /// # Errors
    /// As [`Self::stop`].
    pub(crate) async fn hold(
        &self,
        engine: &Engine,
        plan: &Plan,
        global: &Global,
        shown: &Value,
        verb: &str,
    ) -> Result<()> {
        if self.nameless && self.admission.break_glass_until.is_none() {
            engine.tell_guard(Guard::OperatorKey, &plan.hash.0, NAMELESS, &plan.subjects).await;
        }
        self.stop(global, shown, verb)
    }

    /// Notes what was decided, and what is let through, before anything is begun.
    pub(crate) async fn pass(&self, engine: &Engine, plan: &Plan, verb: &str, reason: &str) -> Result<Cause> {
        if let Some(incident) = &self.incident {
            if !self.admission.is_approved() {
                engine.break_glass(incident, plan, &self.admission).await?;
            }
            engine.decide(incident, verb, plan, &self.admission, reason).await?;
        }
        Ok(incident::cause(self.incident.as_ref()))
    }
}
