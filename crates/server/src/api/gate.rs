//! Before a plan is carried out: does it have the approvals that policies and guards want, or is there an incident that lets it through?

use axum::http::StatusCode;
use claviger_core::{incident::Incident, saga::Cause};
use claviger_engine::{
    Engine,
    approval::Admission,
    fault::{Fault, Kind},
    guard::Guard,
    incident,
    plan::Plan,
};

use super::{Problem, problem::Answer};

/// What was found out about a plan.
pub(super) struct Gate {
    pub(super) admission: Admission,
    incident: Option<Incident>,
    /// Nobody outside of this installation has said who plans, and that is wanted.
    nameless: bool,
}

impl Gate {
    /// Judges a plan, and keeps it for whoever approves it where it wants an approval.
    pub(super) async fn of(
        engine: &Engine,
        plan: &Plan,
        verb: &str,
        incident: Option<Incident>,
    ) -> Answer<Self> {
        let admission = engine.admission(plan, incident.as_ref()).await?;
        let estate = &engine.estate;
        let nameless =
            estate.guards.operator_key && estate.operator.is_none() && admission.needs.approvals > 0;
        if !admission.is_approved() && !nameless {
            engine.propose(plan, verb, &admission.needs).await?;
        }
        Ok(Self { admission, incident, nameless })
    }

    /// Stops what must be left. Who wants to know is told of the guard that does.
    pub(super) async fn stop(&self, engine: &Engine, plan: &Plan) -> Answer<()> {
        let refuse = |code, message: String| Fault::new(code, Kind::Refused, message);
        let fault = if plan.subjects.is_empty() {
            let why = plan.refused.first().map_or_else(
                || "nothing is to be done".to_owned(),
                |refusal| format!("{} [{}]: {}", refusal.at, refusal.code, refusal.reason),
            );
            refuse(400, format!("nothing of the plan can be carried out: {why}"))
        } else if self.nameless && self.admission.break_glass_until.is_none() {
            let message = "whoever plans or carries out what wants approvals has to show who they are (guard `operator_key`): a local token does not";
            engine.tell_guard(Guard::OperatorKey, &plan.hash.0, message, &plan.subjects).await;
            refuse(414, message.to_owned())
                .hint("a token of the identity provider does; or plan it with the command line and a key of one's own")
        } else if !self.admission.is_approved() && self.admission.break_glass_until.is_none() {
            let message = format!(
                "plan {} wants {} approvals and has {}: {}",
                plan.hash,
                self.admission.needs.approvals,
                self.admission.count.given.len(),
                self.admission.needs.reasons.join("; ")
            );
            let (code, message) = match &self.incident {
                Some(incident) => (
                    412,
                    format!(
                        "{message}; incident {} no longer lets anything through without them",
                        incident.id
                    ),
                ),
                None => (410, message),
            };
            refuse(code, message).hint(format!(
                "another person approves it with `claviger approve {} --key FILE`; then give the same command again",
                plan.hash
            ))
        } else if engine.estate.guards.holds_back(plan.subjects.len()) {
            let message = format!(
                "guard `canary`: the first of {} has to end well before the others are begun, and nobody waits for that here",
                plan.subjects.len()
            );
            engine.tell_guard(Guard::Canary, &plan.hash.0, &message, &plan.subjects).await;
            refuse(413, message).hint("begin the first ones alone, and the others when those are done")
        } else {
            return Ok(());
        };
        Err(Problem::new(StatusCode::FORBIDDEN, fault))
    }

    /// Notes what was decided, and what is let through, before anything is begun.
    pub(super) async fn pass(&self, engine: &Engine, plan: &Plan, verb: &str, reason: &str) -> Answer<Cause> {
        if let Some(incident) = &self.incident {
            if !self.admission.is_approved() {
                engine.break_glass(incident, plan, &self.admission).await?;
            }
            engine.decide(incident, verb, plan, &self.admission, reason).await?;
        }
        Ok(incident::cause(self.incident.as_ref()))
    }
}
