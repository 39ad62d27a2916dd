use std::path::Path;

use claviger_core::saga::{Arrangement, Cause};
use claviger_engine::plan::{Patch, SwapOptions};
use claviger_server::document::change;
use serde_json::Value;

use super::{
    guard::Gate,
    plan::{self, Answer},
};
use crate::{
    args::{Format, Global, SwapArgs},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output, progress,
};

/// Plans, asks, writes the patches, swaps.
pub(super) async fn run(global: &Global, args: &SwapArgs) -> Result<Exit> {
    let selector = args.condition.selector(&args.selector)?;
    let composed = compose(global, Needs::Backends).await?;
    if !args.change.dry_run {
        composed.may_change()?;
    }
    let engine = &composed.engine;
    let options = SwapOptions { by_hand: args.patch.is_some(), leave_stale: args.leave_stale };
    let planned = engine.plan_swap(&selector, &options).await?;
    let mut shown = plan::document(&planned.plan);
    shown["patches"] = output::value(&planned.patches)?;
    let made = planned.arrangements();
    shown["arrangements"] = output::value(&made)?;
    let human = matches!(global.output, Format::Table | Format::Wide);
    plan::show(global, &shown);
    show(global, &made, &planned.patches)?;
    let hash = planned.plan.hash.to_string();
    if let Some(expected) = args.plan_hash.as_deref().filter(|expected| *expected != hash) {
        let message = format!("the plan is {hash} now, and not {expected}: something has changed since");
        return Err(Failure::new(810, Exit::Refused, message).hint("look at the plan with `--dry-run`"));
    }
    let gate = Gate::of(engine, &planned.plan, "swap", None).await?;
    gate.show(global);
    if !args.change.dry_run {
        gate.stop(global, &shown, "swap")?;
    }
    let subjects = &planned.plan.subjects;
    // Whoever names the plan that they have seen has answered.
    let answered = args.plan_hash.is_some() && !args.change.dry_run && !subjects.is_empty();
    let answer = if answered { Answer::Go } else { plan::ask(subjects.len(), &args.change, "swap")? };
    if let Some(folder) = &args.patch {
        write(global, folder, &planned.patches)?;
    }
    if let Answer::Stop(exit) = answer {
        if !human {
            let mut document = shown;
            gate.tell(&mut document)?;
            output::stamp(&mut document, "swap-plan");
            output::document(global, &document)?;
        }
        return Ok(exit);
    }
    let options = plan::run_options(&composed);
    let listener = progress::listener(global);
    let reason = args.reason.as_deref();
    let answers =
        engine.carry_out_guarded(subjects, Cause::Manual, reason, &options, listener.as_ref()).await;
    drop(listener);
    let (outcomes, failed) = plan::sort_out(global, answers)?;
    if human {
        plan::show_outcomes(&outcomes);
    } else {
        output::document(global, &document(&shown, &outcomes)?)?;
    }
    Ok(plan::exit(&outcomes, !planned.plan.refused.is_empty()).unless(failed))
}

fn document(shown: &Value, outcomes: &[claviger_engine::saga::SagaOutcome]) -> Result<Value> {
    let receipts: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.receipts).collect();
    let mut document = change::rotations(shown, outcomes, "swap");
    document["receipts"] = output::value(&receipts)?;
    if let Some(fields) = document.as_object_mut()
        && let Some(swaps) = fields.remove("rotations")
    {
        fields.insert("swaps".to_owned(), swaps);
    }
    Ok(document)
}

/// What is made where the identities are accepted, and what changes in manifests, for people.
fn show(global: &Global, made: &[&Arrangement], patches: &[Patch]) -> Result<()> {
    let mut text = String::new();
    for Arrangement { at, account, audience, terms, .. } in made {
        let audience = audience.as_ref().map_or_else(String::new, |audience| format!(", for {audience}"));
        text.push_str(&format!("{at} (made for {account}{audience})\n"));
        text.extend(format!("{:#}", output::value(terms)?).lines().map(|line| format!("    {line}\n")));
    }
    for patch in patches {
        let who = patch.by_hand.as_ref().map_or_else(String::new, |why| format!(" (by its owner: {why})"));
        text.push_str(&format!("{}{who}\n", patch.at));
        text.extend(patch.text.lines().map(|line| format!("    {line}\n")));
    }
    if text.is_empty() || global.quiet {
        return Ok(());
    }
    match global.output {
        Format::Table | Format::Wide => output::text(&text),
        _ => output::text_to_stderr(&text),
    }
    Ok(())
}

/// One file each. What is there is overwritten only by the same text.
fn write(global: &Global, folder: &Path, patches: &[Patch]) -> Result<()> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::new(811, Exit::Failed, format!("{}: {error}", path.display()))
            .hint("give another folder with `--patch`")
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for patch in patches {
        let path = folder.join(&patch.file);
        match std::fs::read_to_string(&path) {
            Ok(there) if there == patch.text => continue,
            Ok(_) => {
                let message = format!("{} is there, and says something else", path.display());
                return Err(Failure::new(812, Exit::Refused, message)
                    .hint("take it away, or give another folder with `--patch`"));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path, error)),
        }
        std::fs::write(&path, &patch.text).map_err(|error| failed(&path, error))?;
        output::remark(global, &format!("wrote {}", path.display()));
    }
    Ok(())
}
