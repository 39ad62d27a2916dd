use claviger_core::saga::Cause;
use claviger_engine::plan::RevokeOptions;
use claviger_server::document::change;

use super::{
    guard::Gate,
    plan::{self, Answer},
};
use crate::{
    args::{Format, Global, RevokeArgs},
    compose::{Needs, compose},
    error::{Exit, Result},
    output, progress,
};

/// Plans, asks, revokes, and goes on past failures: one that fails does not protect the next.
pub(super) async fn run(global: &Global, args: &RevokeArgs) -> Result<Exit> {
    let selector = args.condition.selector(&args.selector)?;
    let composed = compose(global, Needs::Backends).await?;
    if !args.change.dry_run {
        composed.may_change()?;
    }
    let engine = &composed.engine;
    let how = RevokeOptions {
        scrub: args.scrub,
        replace: args.replace,
        force: args.force,
        recreate: args.recreate_service_account,
        leave_stale: args.leave_stale,
    };
    let mut planned = engine.plan_revocation_with(&selector, &how).await?;
    let shown = plan::document(&planned);
    let human = matches!(global.output, Format::Table | Format::Wide);
    plan::show(global, &shown);
    let gate = Gate::of(engine, &planned, "revoke", args.incident.as_deref()).await?;
    gate.show(global);
    if !args.change.dry_run {
        gate.hold(engine, &planned, global, &shown, "revoke").await?;
    }
    if let Answer::Stop(exit) = plan::ask(planned.subjects.len(), &args.change, "revoke")? {
        if !human {
            let mut document = shown;
            gate.tell(&mut document)?;
            output::stamp(&mut document, "revoke-plan");
            output::document(global, &document)?;
        }
        return Ok(exit);
    }
    let cause = gate.pass(engine, &planned, "revoke", &args.reason).await?;
    let options = plan::run_options(&composed);
    let listener = progress::listener(global);
    let reason = Some(args.reason.as_str());
    let cause = if args.replace { Cause::Incident } else { cause };
    let answers = engine.revoke_guarded(&planned.subjects, cause, reason, &options, listener.as_ref()).await;
    drop(listener);
    let (mut outcomes, mut failed, mut untold) = (Vec::new(), Vec::new(), None);
    for (subject, answer) in planned.subjects.iter().zip(answers) {
        match answer {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                output::remark(global, &error.to_string());
                failed.push(change::not_begun(
                    subject.credential,
                    &subject.subject,
                    &error.to_string(),
                    engine.clock.now(),
                ));
                if matches!(error, claviger_engine::Error::Store(claviger_store::Error::Unavailable(_))) {
                    untold = Some(error);
                }
            }
        }
    }
    // Nothing could be written down, so nothing was begun: that is the command's failure, not the subjects'.
    if let Some(error) = untold.filter(|_| outcomes.is_empty()) {
        return Err(error.into());
    }
    let receipts = change::receipts(&outcomes, &failed, engine.clock.now())?;
    if human {
        plan::show_outcomes(&outcomes);
    } else {
        output::document(global, &change::revocations(&shown, &outcomes, &receipts))?;
    }
    let unproven =
        receipts.iter().any(|receipt| receipt["verdict"] != "proven" && receipt["verdict"] != "attested");
    // What had ended before is no failure of this work.
    planned.refused.retain(|refusal| refusal.code != "already-gone");
    let left = outcomes.iter().any(|outcome| !outcome.left.is_empty());
    Ok(plan::exit(&outcomes, !planned.refused.is_empty()).unless(!failed.is_empty() || unproven || left))
}
