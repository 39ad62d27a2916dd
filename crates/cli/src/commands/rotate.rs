use claviger_core::saga::Cause;
use claviger_engine::{guard::Guard, plan::RotateOptions};
use claviger_server::document::change;
use claviger_store::{Hint, Hints as _};

use super::{
    guard::Gate,
    plan::{self, Answer},
};
use crate::{
    args::{Format, Global, RotateArgs},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output, progress,
};

/// Plans, asks, rotates.
pub(super) async fn run(global: &Global, args: &RotateArgs) -> Result<Exit> {
    let everything = ["*".to_owned()];
    let all = args.selector.is_empty() && args.condition.condition.is_none();
    let selector = args.condition.selector(if all { &everything } else { &args.selector })?;
    let composed = compose(global, Needs::Backends).await?;
    if !args.change.dry_run {
        composed.may_change()?;
    }
    let engine = &composed.engine;
    let planned = engine
        .plan_rotation(
            &selector,
            &RotateOptions { leave_stale: args.leave_stale, due: args.due, ..RotateOptions::default() },
        )
        .await?;
    let shown = plan::document(&planned);
    let human = matches!(global.output, Format::Table | Format::Wide);
    let nothing = args.due && planned.subjects.is_empty() && planned.refused.is_empty();
    if nothing {
        output::remark(global, "nothing is due that may start now; `claviger list schedules` says when");
        if !human {
            output::document(global, &change::rotations(&shown, &[], "rotate"))?;
        }
        return Ok(Exit::Done);
    }
    let cause = if args.due { Cause::Policy } else { Cause::Manual };
    plan::show(global, &shown);
    let gate = Gate::of(engine, &planned, "rotate", None).await?;
    gate.show(global);
    if !args.change.dry_run {
        gate.hold(engine, &planned, global, &shown, "rotate").await?;
    }
    if let Answer::Stop(exit) = plan::ask(planned.subjects.len(), &args.change, "rotate")? {
        if !human {
            let mut document = shown;
            gate.tell(&mut document)?;
            output::stamp(&mut document, "rotate-plan");
            output::document(global, &document)?;
        }
        return Ok(exit);
    }
    if args.detach && engine.estate.guards.holds_back(planned.subjects.len()) {
        let message = format!(
            "guard `canary`: the first of {} has to end well before the others are begun, and with `--detach` nobody waits for that",
            planned.subjects.len()
        );
        engine.tell_guard(Guard::Canary, &planned.hash.0, &message, &planned.subjects).await;
        return Err(Failure::new(413, Exit::Refused, message).hint(
            "leave `--detach` out, or detach the first ones alone and the others when those are done",
        ));
    }
    let options = plan::run_options(&composed);
    let listener = progress::listener(global);
    let mut answers = Vec::new();
    if args.detach {
        for subject in &planned.subjects {
            let id = engine.begin(subject.clone(), cause, args.reason.clone()).await;
            answers.push(match id {
                Ok(id) => engine.outcome(id).await,
                Err(error) => Err(error),
            });
        }
        // Told or not, a worker finds it.
        if let Err(error) = composed.store.tell(Hint::Saga).await {
            tracing::debug!(%error, "workers were not told of it");
        }
    } else {
        let reason = args.reason.as_deref();
        answers =
            engine.carry_out_guarded(&planned.subjects, cause, reason, &options, listener.as_ref()).await;
    }
    drop(listener);
    let (outcomes, failed) = plan::sort_out(global, answers)?;
    if human {
        plan::show_outcomes(&outcomes);
    } else {
        output::document(global, &change::rotations(&shown, &outcomes, "rotate"))?;
    }
    if args.detach {
        output::remark(global, "recorded; `claviger resume` carries it out");
        let all = planned.refused.is_empty() && !failed;
        return Ok(if all { Exit::Done } else { Exit::Incomplete });
    }
    Ok(plan::exit(&outcomes, !planned.refused.is_empty()).unless(failed))
}
