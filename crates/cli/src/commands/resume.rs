use claviger_engine::saga::SagaOutcome;
use serde_json::json;

use super::plan;
use crate::{
    args::{Format, Global, ResumeArgs},
    compose::{Needs, compose},
    error::{Exit, Result},
    output, progress,
};

/// Takes up what a crash or a pause left.
pub(super) async fn run(global: &Global, args: &ResumeArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Backends).await?;
    composed.may_change()?;
    let engine = &composed.engine;
    let only = match &args.rotation {
        Some(text) => Some(plan::find(engine, text).await?),
        None => None,
    };
    let listener = progress::listener(global);
    let answers = engine.resume(only, &plan::run_options(&composed), listener.as_ref()).await?;
    drop(listener);
    let (outcomes, failed) = plan::sort_out(global, answers)?;
    tell(global, &outcomes, failed)
}

/// Prints what became of each. `failed`: something could not be taken up.
pub(crate) fn tell(global: &Global, outcomes: &[SagaOutcome], failed: bool) -> Result<Exit> {
    if matches!(global.output, Format::Table | Format::Wide) {
        if outcomes.is_empty() {
            output::remark(global, "nothing is unfinished");
        }
        plan::show_outcomes(outcomes);
    } else {
        let mut document = json!({ "rotations": outcomes });
        output::stamp(&mut document, "resume");
        output::document(global, &document)?;
    }
    Ok(plan::exit(outcomes, false).unless(failed))
}
