use std::path::{Component, Path};

use claviger_core::saga::Cause;
use claviger_engine::plan::SwapOptions;
use claviger_server::document::swap as swaps;
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
    let shown = swaps::document(&planned)?;
    let human = matches!(global.output, Format::Table | Format::Wide);
    show(global, &shown);
    must_be_meant(args, &shown)?;
    let gate = Gate::of(engine, &planned.plan, "swap", None).await?;
    gate.show(global);
    if !args.change.dry_run {
        gate.hold(engine, &planned.plan, global, &shown, "swap").await?;
    }
    let subjects = &planned.plan.subjects;
    let answer = ask(global, args, subjects.len(), &shown)?;
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
        output::document(global, &swaps::swaps(&shown, &outcomes)?)?;
    }
    Ok(plan::exit(&outcomes, !planned.plan.refused.is_empty()).unless(failed))
}

/// Refuses a plan that is not the one that was named.
pub(crate) fn must_be_meant(args: &SwapArgs, shown: &Value) -> Result<()> {
    let hash = shown["hash"].as_str().unwrap_or_default();
    let Some(expected) = args.plan_hash.as_deref().filter(|expected| *expected != hash) else {
        return Ok(());
    };
    let message = format!("the plan is {hash} now, and not {expected}: something has changed since");
    Err(Failure::new(810, Exit::Refused, message).hint("look at the plan with `--dry-run`"))
}

/// Asks, and writes the patches where that is wanted.
pub(crate) fn ask(global: &Global, args: &SwapArgs, subjects: usize, shown: &Value) -> Result<Answer> {
    // Whoever names the plan that they have seen has answered.
    let answered = args.plan_hash.is_some() && !args.change.dry_run && subjects > 0;
    let answer = if answered { Answer::Go } else { plan::ask(subjects, &args.change, "swap")? };
    if let Some(folder) = &args.patch {
        write(global, folder, all(shown, "patches"))?;
    }
    Ok(answer)
}

/// Prints the plan for people, what it makes where the identities are accepted, and what changes in manifests.
pub(crate) fn show(global: &Global, shown: &Value) {
    plan::show(global, shown);
    let mut lines = String::new();
    for made in all(shown, "arrangements") {
        let audience = made["audience"].as_str().map_or_else(String::new, |word| format!(", for {word}"));
        lines.push_str(&format!("{} (made for {}{audience})\n", text(&made["at"]), text(&made["account"])));
        lines.extend(format!("{:#}", made["terms"]).lines().map(|line| format!("    {line}\n")));
    }
    for patch in all(shown, "patches") {
        let who = patch["by_hand"].as_str().map_or_else(String::new, |why| format!(" (by its owner: {why})"));
        lines.push_str(&format!("{}{who}\n", text(&patch["ref"])));
        lines.extend(text(&patch["text"]).lines().map(|line| format!("    {line}\n")));
    }
    if lines.is_empty() || global.quiet {
        return;
    }
    match global.output {
        Format::Table | Format::Wide => output::text(&lines),
        _ => output::text_to_stderr(&lines),
    }
}

fn all<'d>(document: &'d Value, of: &str) -> impl Iterator<Item = &'d Value> {
    document[of].as_array().into_iter().flatten()
}

fn text(document: &Value) -> &str {
    document.as_str().unwrap_or_default()
}

/// A name in the folder, and no way out of it.
fn is_name(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(name)), None) if name == file)
}

/// One file each. What is there is overwritten only by the same text.
fn write<'d>(global: &Global, folder: &Path, patches: impl Iterator<Item = &'d Value>) -> Result<()> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::new(811, Exit::Failed, format!("{}: {error}", path.display()))
            .hint("give another folder with `--patch`")
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for patch in patches {
        let (file, text) = (text(&patch["file"]), text(&patch["text"]));
        // A service may have named it.
        if !is_name(file) {
            return Err(Failure::new(811, Exit::Refused, format!("`{file}` is no name of a patch's file")));
        }
        let path = folder.join(file);
        match std::fs::read_to_string(&path) {
            Ok(there) if there == text => continue,
            Ok(_) => {
                let message = format!("{} is there, and says something else", path.display());
                return Err(Failure::new(812, Exit::Refused, message)
                    .hint("take it away, or give another folder with `--patch`"));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path, error)),
        }
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
        output::remark(global, &format!("wrote {}", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_patch_is_written_into_its_folder_and_nowhere_else() {
        for (file, expected) in [
            ("web-Deployment.patch.yaml", true),
            ("..hidden", true),
            ("", false),
            (".", false),
            ("..", false),
            ("../up", false),
            ("/etc/passwd", false),
            ("a/b", false),
            ("a/", false),
            ("./a", false),
        ] {
            assert_eq!(is_name(file), expected, "{file}");
        }
    }
}
