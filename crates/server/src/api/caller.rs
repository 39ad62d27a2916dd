use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};
use claviger_core::{id::CredentialId, reference::Ref};
use claviger_engine::{Engine, plan::Plan};
use serde_json::Value;

use super::{Context, Problem, problem::Answer};
use crate::{
    access::{Principal, Sight, Subject, Verb},
    document::{self, list},
};

/// Who asks, and the engine that acts at their word.
pub(super) struct Caller(pub(super) Arc<Principal>);

impl FromRequestParts<Context> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Context) -> Result<Self, Problem> {
        // Without it the request came past the door: nobody is anybody then.
        let principal = parts.extensions.get::<Arc<Principal>>().cloned();
        principal.map(Self).ok_or_else(|| Problem::forbidden("nobody is let in here"))
    }
}

impl Caller {
    /// What they see of what they may do that to.
    pub(super) fn sight(&self, verb: Verb) -> Sight<'_> {
        Sight::Of(&self.0, verb)
    }

    /// What they see.
    pub(super) fn reads(&self) -> Sight<'_> {
        self.sight(Verb::Read)
    }

    /// A document for them: without the refs of backends that they have nothing to do with.
    pub(super) fn told(&self, context: &Context, mut document: Value) -> Value {
        let engine = context.scheduler().engine;
        let estate = &engine.estate;
        let members: Vec<String> =
            estate.members().map(|member| member.backend.info().name.clone()).collect();
        let broken = estate.broken.iter().map(|(name, ..)| name.as_str());
        let hidden = self.0.hidden(members.iter().map(String::as_str).chain(broken));
        if !hidden.is_empty() {
            document::withhold(&mut document, &hidden);
        }
        document
    }

    /// The engine, at their word.
    pub(super) fn engine(&self, context: &Context) -> Engine {
        context.scheduler().engine.acting_as(&self.0.actor, self.0.operator())
    }

    /// They must be allowed to do this to something.
    pub(super) fn must_somewhere(&self, verb: Verb) -> Answer<()> {
        match self.0.may_somewhere(verb) {
            true => Ok(()),
            false => Err(Problem::forbidden(format!("{} has no role that allows `{verb}`", self.0.actor))),
        }
    }

    /// They must be allowed to do this to that.
    pub(super) fn must(&self, verb: Verb, subject: &Subject<'_>) -> Answer<()> {
        if self.0.may(verb, subject) {
            return Ok(());
        }
        let what = match subject {
            Subject::Estate => "all of the estate".to_owned(),
            Subject::Backend(name) => format!("backend `{name}`"),
            Subject::Object { backend, .. } => format!("this in backend `{backend}`"),
        };
        Err(Problem::forbidden(format!("{} may not `{verb}` {what}", self.0.actor)))
    }

    /// Is this credential among what they may do that to? One that the inventory does not know is judged by its ref.
    pub(super) async fn covers(
        &self,
        engine: &Engine,
        verb: Verb,
        id: CredentialId,
        at: &Ref,
    ) -> Answer<bool> {
        let sight = self.sight(verb);
        if sight.is_whole() {
            return Ok(true);
        }
        let known = engine.ports.inventory.credential(engine.clock.now(), id).await?;
        Ok(known.map_or_else(|| sight.sees_ref(at), |known| sight.sees_credential(&known.credential)))
    }

    /// They must be allowed to do this to all that a plan touches: its subjects, and every place that one of its steps changes.
    pub(super) async fn must_all(&self, engine: &Engine, verb: Verb, plan: &Plan) -> Answer<()> {
        let sight = self.sight(verb);
        if sight.is_whole() {
            return Ok(());
        }
        let known = list::known(engine).await?;
        for subject in &plan.subjects {
            let labels = known.get(&subject.credential).map(|credential| &credential.labels);
            let targets = subject.steps.iter().map(|step| &step.target);
            for at in std::iter::once(&subject.subject).chain(targets) {
                let sees =
                    labels.map_or_else(|| sight.sees_ref(at), |labels| sight.sees(at.backend(), labels));
                if !sees {
                    return Err(Problem::forbidden(format!(
                        "the plan touches backend `{}`, where {} may not `{verb}` what it touches",
                        at.backend(),
                        self.0.actor
                    )));
                }
            }
        }
        Ok(())
    }
}
