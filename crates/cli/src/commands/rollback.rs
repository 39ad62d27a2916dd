use claviger_engine::{plan::Plan, saga::SagaOutcome};
use claviger_server::document::change;
use serde_json::Value;

use super::plan::{self, Answer};
use crate::{
    args::{Format, Global, RollbackArgs},
    compose::{Needs, compose},
    error::{Exit, Result},
    output, progress,
};

/// Plans, asks, takes a rotation back.
pub(super) async fn run(global: &Global, args: &RollbackArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Backends).await?;
    if !args.change.dry_run {
        composed.may_change()?;
    }
    let engine = &composed.engine;
    let rotation = plan::find(engine, &args.rotation).await?;
    let options = plan::run_options(&composed);
    let listener = progress::listener(global);
    let planned = engine.plan_rollback(rotation, &options, listener.as_ref()).await?;
    drop(listener);
    let shown = plan::document(&Plan {
        hash: planned.hash(),
        subjects: vec![planned.plan.clone()],
        refused: Vec::new(),
        blast: Vec::new(),
    });
    let human = matches!(global.output, Format::Table | Format::Wide);
    plan::show(global, &shown);
    if let Answer::Stop(exit) = plan::ask(1, &args.change, "take back")? {
        if !human {
            let mut document = shown;
            output::stamp(&mut document, "rollback-plan");
            output::document(global, &document)?;
        }
        return Ok(exit);
    }
    let listener = progress::listener(global);
    let outcome = engine.roll_back(&planned, args.reason.clone(), &options, listener.as_ref()).await?;
    drop(listener);
    tell(global, &shown, &[outcome])
}

/// Prints what became of it.
pub(crate) fn tell(global: &Global, shown: &Value, outcomes: &[SagaOutcome]) -> Result<Exit> {
    if matches!(global.output, Format::Table | Format::Wide) {
        plan::show_outcomes(outcomes);
    } else {
        output::document(global, &change::rotations(shown, outcomes, "rollback"))?;
    }
    // An unwinding that came to its end is what was asked for.
    Ok(match outcomes.first().map(|outcome| outcome.state.as_str()) {
        Some("unwound") => Exit::Done,
        _ => plan::exit(outcomes, false),
    })
}
