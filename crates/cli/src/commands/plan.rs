//! What `rotate` and `revoke` have in common: show the plan, ask, carry it out.

use std::io::{IsTerminal, Write};

use claviger_core::{
    id::SagaId,
    saga::{SagaKind, SagaPlan},
};
use claviger_engine::{
    Engine,
    plan::{Blast, Plan},
    saga::{RunOptions, SagaOutcome},
};
use serde_json::{Value, json};

use crate::{
    args::{ChangeArgs, Format, Global},
    compose::Composed,
    error::{Exit, Failure, Result},
    output,
};

/// The plan as in the contract.
pub(super) fn document(plan: &Plan) -> Value {
    let of = |it: &SagaPlan| plan.blast.iter().find(|blast| blast.credential == it.credential);
    let subjects: Vec<_> = plan.subjects.iter().map(|it| subject(it, of(it))).collect();
    json!({ "hash": plan.hash, "subjects": subjects, "refused": plan.refused })
}

fn subject(plan: &SagaPlan, blast: Option<&Blast>) -> Value {
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| json!({ "step": step.action.name(), "target": step.target, "detail": step.detail }))
        .collect();
    let mut document = json!({
        "credential": plan.credential, "ref": plan.subject, "strategy": plan.strategy, "steps": steps, "breaks": plan.breaks,
        "reversible_until": plan.reversible_until, "notes": plan.notes,
    });
    if let Some(blast) = blast {
        document["blast"] = json!(blast);
    }
    document
}

/// What its end takes with it, for people.
pub(super) fn radius(blast: &Blast) -> Vec<String> {
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

/// Prints the plan for people, on standard error where the data on standard output is for programs.
pub(super) fn show(global: &Global, plan: &Plan) {
    use std::fmt::Write as _;
    let mut text = String::new();
    for subject in &plan.subjects {
        let _ = writeln!(text, "{} ({})", subject.subject, subject.strategy);
        for (index, step) in subject.steps.iter().enumerate() {
            let _ = writeln!(
                text,
                "  {:>2}. {:<15} {}: {}",
                index + 1,
                step.action.name(),
                step.target,
                step.detail
            );
        }
        if subject.breaks.is_empty() && !subject.reversible_until.is_empty() {
            let _ = writeln!(text, "  breaks: no consumer is known");
        }
        for consumer in &subject.breaks {
            let _ = writeln!(text, "  breaks until it has restarted or for good: {consumer}");
        }
        for note in &subject.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        for blast in plan.blast.iter().filter(|blast| blast.credential == subject.credential) {
            for line in radius(blast) {
                let _ = writeln!(text, "{line}");
            }
        }
        // An unwinding takes back itself: there is nothing to say.
        if !subject.reversible_until.is_empty() {
            let _ = writeln!(text, "  can be taken back until: {}", subject.reversible_until);
        }
    }
    for refusal in &plan.refused {
        let _ = writeln!(text, "refused: {} [{}]: {}", refusal.at, refusal.code, refusal.reason);
    }
    let _ = writeln!(text, "plan {}", plan.hash);
    if matches!(global.output, Format::Table | Format::Wide) {
        output::text(&text);
    } else if !global.quiet {
        output::text_to_stderr(&text);
    }
}

/// Should it be carried out?
pub(super) enum Answer {
    Go,
    Stop(Exit),
}

/// Asks, unless the command line has answered.
pub(super) fn ask(plan: &Plan, change: &ChangeArgs, verb: &str) -> Result<Answer> {
    if change.dry_run {
        return Ok(Answer::Stop(if plan.subjects.is_empty() { Exit::Refused } else { Exit::Done }));
    }
    if plan.subjects.is_empty() {
        return Ok(Answer::Stop(Exit::Refused));
    }
    if change.yes {
        return Ok(Answer::Go);
    }
    let what =
        if plan.subjects.len() == 1 { "this".to_owned() } else { format!("these {}", plan.subjects.len()) };
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

/// What the exit code says of the sagas that were run.
pub(super) fn exit(outcomes: &[SagaOutcome], plan: Option<&Plan>) -> Exit {
    if outcomes.iter().any(|outcome| matches!(outcome.state.as_str(), "stuck" | "paused")) {
        return Exit::Stuck;
    }
    if outcomes.iter().any(|outcome| outcome.state == "waiting") {
        return Exit::Incomplete;
    }
    let done = outcomes.iter().filter(|outcome| outcome.state == "done").count();
    match (done == outcomes.len(), plan.is_some_and(|plan| !plan.refused.is_empty())) {
        (true, false) => Exit::Done,
        _ if done > 0 => Exit::Incomplete,
        (true, true) => Exit::Refused,
        (false, _) => Exit::Failed,
    }
}

/// One line per saga and step, for people.
pub(super) fn show_outcomes(outcomes: &[SagaOutcome]) {
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
