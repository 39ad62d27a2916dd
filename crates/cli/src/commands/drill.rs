//! `drill`: the way from a leak to a proof, walked with a decoy.

use claviger_core::view::DrillView;

use crate::{
    args::{DrillArgs, Format, Global},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output, progress,
};

use super::plan;

/// Says what will be made, asks, holds the drill.
pub(super) async fn run(global: &Global, args: &DrillArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Backends).await?;
    composed.may_change()?;
    let engine = &composed.engine;
    let able = engine.drillable();
    let backend = match (&args.backend, able.as_slice()) {
        (Some(name), _) => name.clone(),
        (None, [one]) => one.clone(),
        (None, []) => {
            return Err(Failure::new(431, Exit::Refused, "no backend of the configuration can make decoys")
                .hint("PostgreSQL can: a role that may log in and do nothing"));
        }
        (None, several) => {
            return Err(Failure::config(
                431,
                format!("several backends can make decoys: {}", several.join(", ")),
            )
            .hint("`claviger drill BACKEND`"));
        }
    };
    if let Some(exit) = ask(global, &backend, args.yes)? {
        return Ok(exit);
    }
    let listener = progress::listener(global);
    let drill = engine.drill(&backend, &plan::run_options(&composed), listener.as_ref()).await?;
    drop(listener);
    tell(global, &drill)
}

/// Says what will be made, and asks. `None`: go on.
pub(crate) fn ask(global: &Global, backend: &str, yes: bool) -> Result<Option<Exit>> {
    let text = format!(
        "a role that may log in and do nothing is made in `{backend}`, revoked as if it had leaked, and taken away"
    );
    output::remark(global, &text);
    Ok((!yes && !plan::agreed("hold this drill")?).then_some(Exit::Refused))
}

/// Prints one.
pub(crate) fn tell(global: &Global, drill: &DrillView) -> Result<Exit> {
    if matches!(global.output, Format::Table | Format::Wide) {
        output::text(&page(drill));
    } else {
        let mut document = output::value(drill)?;
        output::stamp(&mut document, "drill");
        output::document(global, &document)?;
    }
    Ok(if drill.passed { Exit::Done } else { Exit::Failed })
}

fn page(drill: &DrillView) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let word = if drill.passed { "passed" } else { "failed" };
    let _ = writeln!(text, "drill {} in `{}`: {word}", drill.drill_id, drill.backend);
    let at = drill.at.as_ref().map_or("no decoy was made", claviger_core::reference::Ref::as_str);
    let _ = writeln!(text, "  decoy: {at}");
    for (what, milliseconds) in
        [("known to revoked", drill.time_to_revoke_ms), ("known to refused", drill.time_to_proof_ms)]
    {
        if let Some(milliseconds) = milliseconds {
            let _ = writeln!(text, "  {what}: {milliseconds} ms");
        }
    }
    if let Some(verdict) = &drill.verdict {
        let _ = writeln!(text, "  receipt: {verdict}");
    }
    if drill.leftovers > 0 {
        let _ = writeln!(text, "  {} decoys of earlier drills were taken away first", drill.leftovers);
    }
    if let Some(reason) = &drill.reason {
        let _ = writeln!(text, "  {reason}");
    }
    text
}
