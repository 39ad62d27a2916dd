//! What `rotate` and `revoke` have in common: show the plan, ask, carry it out.

use std::io::{IsTerminal, Write};

use claviger_core::{id::SagaId, saga::SagaKind};
use claviger_engine::{
    Engine,
    plan::Blast,
    saga::{RunOptions, SagaOutcome},
};

pub(crate) use claviger_server::document::plan::document;

use serde::Deserialize as _;
use serde_json::Value;

use crate::{
    args::{ChangeArgs, Format, Global},
    compose::Composed,
    error::{Exit, Failure, Result},
    output,
};

/// What its end takes with it, for people.
pub(crate) fn radius(blast: &Blast) -> Vec<String> {
    let mut lines = Vec::new();
    let of = |what: &str, count: usize| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let derived = blast.derived.iter().take(10).map(|one| format!("  derived: {} ({})", one.at, one.what));
    lines.extend(derived);
    if blast.derived.len() > 10 {
        lines.push(format!("  derived: {} in all", blast.derived.len()));
    }
    lines.extend(
        blast
            .may
            .iter()
            .take(10)
            .map(|may| format!("  may: {} {} on {} by {}", may.level, may.privilege, may.reach, may.source)),
    );
    match (&blast.saved, &blast.not_saved) {
        (Some(saved), _) if !blast.breaks.is_empty() => {
            lines.push(format!(
                "  a replacement would save {} of {}",
                saved.len(),
                of("consumer", blast.breaks.len())
            ));
        }
        (_, Some(why)) => lines.push(format!("  a replacement would save nobody: {why}")),
        _ => {}
    }
    if !blast.same_value.is_empty() {
        lines.push(format!(
            "  {} of the inventory have the same value",
            of("other credential", blast.same_value.len())
        ));
    }
    lines
}

/// Prints the plan for people, on standard error where the data on standard output is for programs. It is told from its document, which is the same
/// whoever made it.
pub(crate) fn show(global: &Global, plan: &Value) {
    use std::fmt::Write as _;
    let (mut text, none) = (String::new(), Vec::new());
    let list = |of: &'static str, value: &'_ Value| value[of].as_array().cloned().unwrap_or_default();
    let word = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
    for subject in plan["subjects"].as_array().unwrap_or(&none) {
        let _ = writeln!(text, "{} ({})", word(&subject["ref"]), word(&subject["strategy"]));
        for (index, step) in list("steps", subject).iter().enumerate() {
            let _ = writeln!(
                text,
                "  {:>2}. {:<15} {}: {}",
                index + 1,
                word(&step["step"]),
                word(&step["target"]),
                word(&step["detail"])
            );
        }
        // An unwinding takes back itself: there is nothing to say.
        let until = word(&subject["reversible_until"]);
        let breaks = list("breaks", subject);
        if breaks.is_empty() && !until.is_empty() {
            let _ = writeln!(text, "  breaks: no consumer is known");
        }
        for consumer in &breaks {
            let _ = writeln!(text, "  breaks until it has restarted or for good: {}", word(consumer));
        }
        for note in list("notes", subject) {
            let _ = writeln!(text, "  note: {}", word(&note));
        }
        if let Ok(blast) = Blast::deserialize(&subject["blast"]) {
            for line in radius(&blast) {
                let _ = writeln!(text, "{line}");
            }
        }
        if !until.is_empty() {
            let _ = writeln!(text, "  can be taken back until: {until}");
        }
    }
    for refusal in plan["refused"].as_array().unwrap_or(&none) {
        let _ = writeln!(
            text,
            "refused: {} [{}]: {}",
            word(&refusal["ref"]),
            word(&refusal["code"]),
            word(&refusal["reason"])
        );
    }
    let _ = writeln!(text, "plan {}", word(&plan["hash"]));
    if matches!(global.output, Format::Table | Format::Wide) {
        output::text(&text);
    } else if !global.quiet {
        output::text_to_stderr(&text);
    }
}

/// Should it be carried out?
pub(crate) enum Answer {
    Go,
    Stop(Exit),
}

/// Asks, unless the command line has answered.
pub(crate) fn ask(subjects: usize, change: &ChangeArgs, verb: &str) -> Result<Answer> {
    if change.dry_run {
        return Ok(Answer::Stop(if subjects == 0 { Exit::Refused } else { Exit::Done }));
    }
    if subjects == 0 {
        return Ok(Answer::Stop(Exit::Refused));
    }
    if change.yes {
        return Ok(Answer::Go);
    }
    let what = if subjects == 1 { "this".to_owned() } else { format!("these {subjects}") };
    Ok(if agreed(&format!("{verb} {what}"))? { Answer::Go } else { Answer::Stop(Exit::Refused) })
}

/// Asks on the terminal.
pub(super) fn agreed(what: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::config(
            24,
            format!("nobody can be asked whether to {what}: standard input is no terminal"),
        )
        .hint("`--yes` answers, `--dry-run` stops after the plan"));
    }
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{what}? [y/N] ");
    let _ = stderr.flush();
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// How sagas are run with this configuration.
pub(super) fn run_options(composed: &Composed) -> RunOptions {
    let mut options = RunOptions::default();
    if let Some(seconds) = composed.loaded.config.lease_seconds {
        options.lease = std::time::Duration::from_secs(seconds.clamp(3, 3600));
        options.patience = options.lease + std::time::Duration::from_secs(10);
    }
    options
}

/// What was done, and whether something could not be: one failure does not hide the others. Where nothing was done, the first reason is the
/// command's.
pub(super) fn sort_out(
    global: &Global,
    answers: Vec<claviger_engine::Result<SagaOutcome>>,
) -> Result<(Vec<SagaOutcome>, bool)> {
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => failed.push(error),
        }
    }
    let first = if outcomes.is_empty() && !failed.is_empty() { Some(failed.remove(0)) } else { None };
    failed.iter().for_each(|error| output::remark(global, &error.to_string()));
    match first {
        Some(error) => Err(error.into()),
        None => Ok((outcomes, !failed.is_empty())),
    }
}

/// What the exit code says of the sagas that were run, and of a plan of which something was refused.
pub(crate) fn exit(outcomes: &[SagaOutcome], refused: bool) -> Exit {
    if outcomes.iter().any(|outcome| matches!(outcome.state.as_str(), "stuck" | "paused")) {
        return Exit::Stuck;
    }
    if outcomes.iter().any(|outcome| outcome.state == "waiting") {
        return Exit::Incomplete;
    }
    let done = outcomes.iter().filter(|outcome| outcome.state == "done").count();
    match (done == outcomes.len(), refused) {
        (true, false) => Exit::Done,
        _ if done > 0 => Exit::Incomplete,
        (true, true) => Exit::Refused,
        (false, _) => Exit::Failed,
    }
}

/// One line per saga and step, for people.
pub(crate) fn show_outcomes(outcomes: &[SagaOutcome]) {
    use std::fmt::Write as _;
    let mut text = String::new();
    for outcome in outcomes {
        let _ = writeln!(text, "{}: {} ({})", outcome.at, outcome.state, outcome.rotation_id);
        for step in &outcome.steps {
            let took = match (step.started_at, step.finished_at) {
                (Some(from), Some(to)) => format!("{:>6} ms", (to - from).num_milliseconds()),
                _ => String::new(),
            };
            let _ = writeln!(
                text,
                "  {:<11} {:<15} {} {took}  {}",
                step.status, step.step, step.target, step.detail
            );
        }
        for receipt in &outcome.receipts {
            let _ = writeln!(
                text,
                "  receipt: {} at {} (audit entry {}): {}",
                receipt.verdict,
                receipt.observed_at.format("%Y-%m-%dT%H:%M:%SZ"),
                receipt.audit_seq.unwrap_or(0),
                receipt.detail
            );
        }
        for left in &outcome.left {
            let _ = writeln!(text, "  still there: {}: {}", left.at, left.reason);
        }
        if let Some(reason) = &outcome.reason {
            let _ = writeln!(text, "  {}: {reason}", outcome.state);
        }
    }
    output::text(&text);
}

/// An id or a unique beginning of one.
pub(super) async fn find(engine: &Engine, text: &str) -> Result<SagaId> {
    let mut all = Vec::new();
    for kind in SagaKind::ALL {
        all.extend(engine.ports.journal.list(kind, None).await?);
    }
    let found: Vec<_> = all.iter().filter(|saga| saga.rotation_id.to_string().starts_with(text)).collect();
    match found.as_slice() {
        [one] => Ok(one.rotation_id),
        [] => {
            Err(Failure::new(403, Exit::Failed, format!("there is no rotation, revocation or swap `{text}`"))
                .hint("`claviger list rotations` shows them"))
        }
        _ => Err(Failure::new(403, Exit::Failed, format!("`{text}` begins more than one id"))
            .hint("give more of it")),
    }
}
