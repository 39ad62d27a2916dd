use claviger_core::saga::Decision;
use claviger_engine::saga::SagaOutcome;
use serde_json::json;

use super::plan;
use crate::{
    args::{Format, Global, ResolveArgs},
    compose::{Needs, compose},
    error::{Exit, Result},
    output, progress,
};

/// Records an operator's decision about paused or stuck work, and carries it out.
pub(super) async fn run(global: &Global, args: &ResolveArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Backends).await?;
    composed.may_change()?;
    let engine = &composed.engine;
    let saga = plan::find(engine, &args.rotation).await?;
    let decision = if args.close { Decision::Close } else { Decision::Retry };
    let listener = progress::listener(global);
    let options = plan::run_options(&composed);
    let outcome = engine.resolve(saga, decision, args.reason.clone(), &options, listener.as_ref()).await?;
    drop(listener);
    tell(global, &[outcome])
}

/// Prints what became of it.
pub(crate) fn tell(global: &Global, outcomes: &[SagaOutcome]) -> Result<Exit> {
    if matches!(global.output, Format::Table | Format::Wide) {
        plan::show_outcomes(outcomes);
    } else {
        let mut document = json!({ "rotations": outcomes });
        output::stamp(&mut document, "resolve");
        output::document(global, &document)?;
    }
    // Closed, or unwound at last, is what was asked for.
    Ok(match outcomes.first().map(|outcome| outcome.state.as_str()) {
        Some("closed" | "unwound") => Exit::Done,
        _ => plan::exit(outcomes, false),
    })
}
