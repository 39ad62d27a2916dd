use claviger_core::{id::SagaId, saga::SagaKind};
use serde_json::json;

use super::plan;
use crate::{
    args::{Format, Global, ResumeArgs},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output, progress,
};

/// Takes up what a crash or a pause left.
pub(super) async fn run(global: &Global, args: &ResumeArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Backends).await?;
    let engine = &composed.engine;
    let only = match &args.rotation {
        Some(text) => Some(find(engine, text).await?),
        None => None,
    };
    let listener = progress::listener(global);
    let outcomes = engine.resume(only, &plan::run_options(&composed), listener.as_ref()).await?;
    drop(listener);
    if matches!(global.output, Format::Table | Format::Wide) {
        if outcomes.is_empty() {
            output::remark(global, "nothing is unfinished");
        }
        plan::show_outcomes(&outcomes);
    } else {
        let mut document = json!({ "rotations": outcomes });
        output::stamp(&mut document, "resume");
        output::document(global, &document)?;
    }
    Ok(plan::exit(&outcomes, None))
}

/// An id or a unique beginning of one.
async fn find(engine: &claviger_engine::Engine, text: &str) -> Result<SagaId> {
    let mut all = engine.ports.journal.list(SagaKind::Rotation, None).await?;
    all.extend(engine.ports.journal.list(SagaKind::Revocation, None).await?);
    let found: Vec<_> = all.iter().filter(|saga| saga.rotation_id.to_string().starts_with(text)).collect();
    match found.as_slice() {
        [one] => Ok(one.rotation_id),
        [] => Err(Failure::new(403, Exit::Failed, format!("there is no rotation or revocation `{text}`"))
            .hint("`claviger list rotations` shows them")),
        _ => Err(Failure::new(403, Exit::Failed, format!("`{text}` begins more than one id"))
            .hint("give more of it")),
    }
}
