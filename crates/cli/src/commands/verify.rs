//! `verify --revoked`: is what was revoked still dead? What is back, and whose policy says so, is revoked again.

pub(crate) mod copies;

use std::fmt::Write as _;

use claviger_core::{reference::Ref, saga::Cause, view::Reprobe};
use claviger_engine::{
    plan::RevokeOptions,
    reprobe::{REASON, Reprobed},
};
use serde_json::{Value, json};

use super::{guard::Gate, plan};
use crate::{
    args::{ConditionArgs, Format, Global, VerifyArgs},
    compose::{Composed, Needs, compose},
    error::{Exit, Failure, Result},
    output, progress,
};

/// Tries, tells, and with `--yes` revokes again what a policy says.
pub(super) async fn run(global: &Global, args: &VerifyArgs) -> Result<Exit> {
    must_say_what(args)?;
    let selector = match args.selector.is_empty() {
        true => None,
        false => Some(ConditionArgs { condition: None }.selector(&args.selector)?),
    };
    if args.copies {
        return copies::run(global, selector.as_ref()).await;
    }
    let composed = compose(global, Needs::Backends).await?;
    let tried = composed.engine.reprobe(selector.as_ref()).await?;
    let human = matches!(global.output, Format::Table | Format::Wide);
    if human {
        output::text(&page(&tried));
    }
    let again: Vec<&Reprobed> =
        tried.iter().filter(|one| one.answer.is_back() && one.re_revoke.is_some()).collect();
    let mut document = json!({ "items": output::values(&tried)? });
    let mut ended: Vec<_> = Vec::new();
    if args.yes && !again.is_empty() {
        ended = revoke(global, &composed, &again, &mut document).await?;
    } else {
        for one in &again {
            remind(global, one.re_revoke.as_deref().unwrap_or_default(), &one.at);
        }
    }
    if !human {
        output::stamp(&mut document, "verify");
        output::document(global, &document)?;
    }
    let is_open = |one: &&Reprobed| one.answer.is_back() && !ended.contains(&one.credential);
    if tried.iter().any(|one| is_open(&one)) {
        return Ok(Exit::Stuck);
    }
    Ok(Exit::Done.unless(tried.iter().any(|one| one.answer == Reprobe::Unknown)))
}

/// One of both has to be said.
pub(crate) fn must_say_what(args: &VerifyArgs) -> Result<()> {
    if args.revoked || args.copies {
        return Ok(());
    }
    Err(Failure::config(36, "it is not said what is to be verified")
        .hint("`--revoked` tries again what was revoked, `--copies` what is in use"))
}

/// Prints what a trial came to, where nothing more comes of it.
pub(crate) fn tell(global: &Global, tried: &[Reprobed], document: Value) -> Result<()> {
    let human = matches!(global.output, Format::Table | Format::Wide);
    if human {
        output::text(&page(tried));
    }
    for one in tried.iter().filter(|one| one.answer.is_back()) {
        if let Some(policy) = &one.re_revoke {
            remind(global, policy, &one.at);
        }
    }
    if human { Ok(()) } else { output::document(global, &document) }
}

fn remind(global: &Global, policy: &str, at: &Ref) {
    output::remark(global, &format!("policy `{policy}` says that {at} is revoked again: `--yes` does that"));
}

/// Revokes them with the cause `policy`; gives those of which there is a receipt.
async fn revoke(
    global: &Global,
    composed: &Composed,
    again: &[&Reprobed],
    document: &mut Value,
) -> Result<Vec<claviger_core::id::CredentialId>> {
    let engine = &composed.engine;
    let subjects = again.iter().map(|one| one.credential).collect();
    let planned = engine.plan_revocation_of(subjects, Vec::new(), &RevokeOptions::default()).await?;
    let shown = plan::document(&planned);
    plan::show(global, &shown);
    let gate = Gate::of(engine, &planned, "revoke", None).await?;
    gate.show(global);
    gate.hold(engine, &planned, global, &shown, "revoke").await?;
    gate.pass(engine, &planned, "revoke", REASON).await?;
    let options = plan::run_options(composed);
    let listener = progress::listener(global);
    let answers = engine
        .revoke_guarded(&planned.subjects, Cause::Policy, Some(REASON), &options, listener.as_ref())
        .await;
    drop(listener);
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    for (subject, answer) in planned.subjects.iter().zip(answers) {
        match answer {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                output::remark(global, &error.to_string());
                failed.push(json!({ "ref": subject.subject, "reason": error.to_string() }));
            }
        }
    }
    if matches!(global.output, Format::Table | Format::Wide) {
        plan::show_outcomes(&outcomes);
    }
    let receipts: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.receipts).collect();
    document["plan"] = shown;
    document["receipts"] = json!(receipts);
    document["failed"] = json!(failed);
    let proven = |verdict: &str| matches!(verdict, "proven" | "attested");
    Ok(receipts.iter().filter(|receipt| proven(&receipt.verdict)).map(|receipt| receipt.credential).collect())
}

fn page(tried: &[Reprobed]) -> String {
    let mut text = String::new();
    for one in tried {
        let _ = writeln!(text, "{:<15} {} ({}): {}", one.answer.as_str(), one.at, one.state, one.evidence);
        for place in &one.found_in {
            let _ = writeln!(text, "  its value lies in {place}");
        }
    }
    let back = tried.iter().filter(|one| one.answer.is_back()).count();
    let _ = writeln!(text, "{} tried, {back} are back", tried.len());
    text
}
