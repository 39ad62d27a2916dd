//! What rotations, revocations and swaps are asked for with, and planned from.

use claviger_core::{incident::Incident, view::CredentialView};
use claviger_engine::{
    Engine,
    plan::{Plan, RevokeOptions, RotateOptions, SwapOptions, SwapPlan},
};
use claviger_store::Selection;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Context, Problem, caller::Caller, incident as incidents, input, problem::Answer};
use crate::access::Verb;

/// How is rotated.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotate {
    /// A ref with globs, an id or its beginning, or terms such as `kind=password owner=payments`.
    #[schema(format = "selector")]
    selector: String,
    /// A condition in CEL over the fields of a credential, beside the selector.
    #[schema(format = "condition")]
    r#where: Option<String>,
    /// Go on although some copies cannot be written: they will hold the old value.
    #[serde(default)]
    leave_stale: bool,
    /// Only what its policy says is due and may start now.
    #[serde(default)]
    pub(super) due: bool,
}

/// How is revoked.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoke {
    /// A ref with globs, an id or its beginning, or terms such as `identity=prod/ci/* created-before=90d`.
    #[schema(format = "selector")]
    selector: String,
    /// A condition in CEL over the fields of a credential, beside the selector.
    #[schema(format = "condition")]
    r#where: Option<String>,
    /// Also take the dead value out of its copies and their former versions.
    #[serde(default)]
    scrub: bool,
    /// Give its consumers a new value first; the old one then ends at once.
    #[serde(default)]
    pub(super) replace: bool,
    /// Go on where evidence cannot be had; never beats `retain` or a legal hold.
    #[serde(default)]
    force: bool,
    /// Delete the one ServiceAccount that is named and make it again as it was.
    #[serde(default)]
    recreate_service_account: bool,
    /// Restart nobody who runs with the ServiceAccount.
    #[serde(default)]
    leave_stale: bool,
    /// For this incident (id or its beginning).
    pub(super) incident: Option<String>,
}

/// How is swapped.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Swap {
    /// A ref with globs, an id or its beginning, or terms such as `kind=service-account-token`.
    #[schema(format = "selector")]
    selector: String,
    /// A condition in CEL over the fields of a credential, beside the selector.
    #[schema(format = "condition")]
    r#where: Option<String>,
    /// Change no manifest: `patches` of the plan says what their owners have to apply, and that is waited for.
    #[serde(default)]
    by_hand: bool,
    /// Go on although copies are known that nobody is known to read: they will hold a dead value.
    #[serde(default)]
    leave_stale: bool,
}

/// What these words choose among what the caller may do this to.
async fn chosen(
    (words, condition): (&str, Option<&str>),
    context: &Context,
    caller: &Caller,
    engine: &Engine,
    verb: Verb,
) -> Answer<Vec<CredentialView>> {
    caller.must_somewhere(verb)?;
    let selector = input::selector(words, condition, context)?;
    let sight = caller.sight(verb);
    let mut found = engine.ports.inventory.credentials(engine.clock.now(), &Selection::default()).await?;
    found.retain(|credential| sight.sees_credential(credential));
    let chosen: Vec<_> = selector.choose(&found)?.into_iter().cloned().collect();
    match chosen.is_empty() {
        true => Err(claviger_engine::Error::NoMatch(selector.text().to_owned()).into()),
        false => Ok(chosen),
    }
}

impl Swap {
    /// Plans it, among what may be swapped. Everything that it touches must be.
    pub(super) async fn plan(
        &self,
        context: &Context,
        caller: &Caller,
        engine: &Engine,
        verb: Verb,
    ) -> Answer<SwapPlan> {
        let words = (self.selector.as_str(), self.r#where.as_deref());
        let chosen = chosen(words, context, caller, engine, verb).await?;
        let options = SwapOptions { by_hand: self.by_hand, leave_stale: self.leave_stale };
        let planned = engine.plan_swap_of_these(&chosen, &options).await?;
        caller.must_all(engine, verb, &planned.plan).await?;
        Ok(planned)
    }
}

impl Rotate {
    /// Plans it, among what may be rotated. Everything that it touches must be.
    pub(super) async fn plan(
        &self,
        context: &Context,
        caller: &Caller,
        engine: &Engine,
        verb: Verb,
    ) -> Answer<Plan> {
        let words = (self.selector.as_str(), self.r#where.as_deref());
        let chosen = chosen(words, context, caller, engine, verb).await?;
        let options =
            RotateOptions { leave_stale: self.leave_stale, due: self.due, ..RotateOptions::default() };
        let plan = engine.plan_rotation_of_these(&chosen, &options).await?;
        caller.must_all(engine, verb, &plan).await?;
        Ok(plan)
    }
}

impl Revoke {
    /// Plans it, among what may be revoked. Everything that it touches must be.
    pub(super) async fn plan(
        &self,
        context: &Context,
        caller: &Caller,
        engine: &Engine,
        verb: Verb,
    ) -> Answer<Plan> {
        caller.must_somewhere(verb)?;
        let selector = input::selector(&self.selector, self.r#where.as_deref(), context)?;
        if self.recreate_service_account && self.replace {
            return Err(Problem::contradiction(
                "`recreate_service_account` and `replace` exclude each other",
            ));
        }
        if self.leave_stale && !self.recreate_service_account {
            return Err(Problem::contradiction("`leave_stale` belongs to `recreate_service_account`"));
        }
        let options = RevokeOptions {
            scrub: self.scrub,
            replace: self.replace,
            force: self.force,
            recreate: self.recreate_service_account,
            leave_stale: self.leave_stale,
        };
        let sight = caller.sight(verb);
        let plan = if sight.is_whole() {
            engine.plan_revocation_with(&selector, &options).await?
        } else {
            if options.recreate {
                let message =
                    format!("{} may not end a ServiceAccount: that ends what nobody lists", caller.0.actor);
                return Err(Problem::forbidden(message));
            }
            let inventory = &engine.ports.inventory;
            let mut all = inventory.credentials(engine.clock.now(), &Selection::default()).await?;
            all.retain(|credential| sight.sees_credential(credential));
            let found: Vec<_> = selector.choose(&all)?.into_iter().map(|credential| credential.id).collect();
            let undecided = selector.undecided(&all)?;
            if found.is_empty() && undecided.is_empty() {
                return Err(claviger_engine::Error::NoMatch(selector.text().to_owned()).into());
            }
            engine.plan_revocation_of(found, undecided, &options).await?
        };
        caller.must_all(engine, verb, &plan).await?;
        Ok(plan)
    }

    /// The incident that it belongs to, which must be open, and whoever asks must be allowed to work on it.
    pub(super) async fn incident(
        &self,
        context: &Context,
        caller: &Caller,
        engine: &Engine,
    ) -> Answer<Option<Incident>> {
        let Some(id) = &self.incident else { return Ok(None) };
        incidents::find(context, caller, id, Verb::Incident).await?;
        Ok(Some(engine.open_one(id).await?))
    }
}
