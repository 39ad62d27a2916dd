use claviger_core::firing::{FiringState, FiringView, PauseView};
use claviger_engine::{
    firing::Scheduler,
    selector::{self, Selector},
};
use claviger_server::document::schedule;
use serde_json::json;

use crate::{
    args::{Format, Global, ScheduleArgs, ScheduleCommand},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output::{self, Column, Shown},
};

const COLUMNS: &[Column] = &[
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("policy", "POLICY"),
    Column::new("state", "STATE"),
    Column::new("due_at", "DUE").shown(Shown::Time),
    Column::new("starts_at", "STARTS").shown(Shown::Time),
    Column::new("outcome", "LAST TRY"),
    Column::new("pause", "PAUSE").shown(Shown::Id),
    Column::new("detail", "DETAIL").wide(),
    Column::new("attempts", "TRIES").shown(Shown::Number).wide(),
    Column::new("claimed_by", "WORKER").wide(),
    Column::new("rotation_id", "ROTATION").shown(Shown::Id).wide(),
    Column::new("credential", "CREDENTIAL").shown(Shown::Id).wide(),
];

/// Lists what is scheduled, pauses it, ends a pause.
pub(super) async fn run(global: &Global, args: &ScheduleArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let scheduler = composed.scheduler()?;
    match &args.command {
        ScheduleCommand::List { done, limit } => {
            let mut states = vec![FiringState::Planned, FiringState::Claimed, FiringState::Open];
            states.extend(done.then_some(FiringState::Done));
            let firings = planned(global, &scheduler, &states, *limit).await?;
            let pauses = scheduler.firings.pauses().await?;
            show(global, &firings, Some(&pauses))?;
        }
        ScheduleCommand::Next { limit } => {
            let mut firings = planned(global, &scheduler, &[FiringState::Planned], u64::MAX).await?;
            let pauses = scheduler.firings.pauses().await?;
            if let Some(whole) = pauses.iter().find(|pause| pause.selector.is_none()) {
                output::remark(
                    global,
                    &format!("nothing starts: paused by {}: {}", whole.actor, whole.reason),
                );
                firings.clear();
            }
            firings.retain(|firing| firing.pause.is_none());
            firings.truncate(usize::try_from(*limit).unwrap_or(usize::MAX));
            show(global, &firings, None)?;
        }
        ScheduleCommand::Pause { selector, all, reason } => {
            let now = scheduler.engine.clock.now();
            let selector = match all {
                true => None,
                false => Some(Selector::parse(&selector::absolute(&selector.join(" "), now)?)?),
            };
            let id = scheduler.pause(selector.as_ref(), reason).await?;
            if matches!(global.output, Format::Table | Format::Wide) {
                output::text(&format!("paused: `claviger schedule resume {id}` ends it\n"));
            } else {
                let mut document =
                    json!({ "id": id, "selector": selector.as_ref().map(Selector::text), "reason": reason });
                output::stamp(&mut document, "pause");
                output::document(global, &document)?;
            }
        }
        ScheduleCommand::Run { selector, reason } => {
            let now = scheduler.engine.clock.now();
            let selector = Selector::parse(&selector::absolute(&selector.join(" "), now)?)?;
            let asked = scheduler.ask(&selector, reason).await?;
            if matches!(global.output, Format::Table | Format::Wide) {
                for at in &asked.starts {
                    output::text(&format!("starts: {at}\n"));
                }
                for at in &asked.stays {
                    output::text(&format!("stays as it is: {at}\n"));
                }
            } else {
                let mut document = output::value(&asked)?;
                output::stamp(&mut document, "asked");
                output::document(global, &document)?;
            }
            if asked.starts.is_empty() {
                return Err(Failure::new(705, Exit::Refused, "nothing of it has a firing that could start").hint(
                    "it has no policy, is paused, or is under way (`claviger schedule list`); `claviger rotate` needs no schedule",
                ));
            }
        }
        ScheduleCommand::Resume { pause, reason } => {
            let pause = scheduler.paused(pause).await?;
            scheduler.end_pause(&pause, reason.as_deref()).await?;
            if matches!(global.output, Format::Table | Format::Wide) {
                output::text("resumed\n");
            } else {
                let mut document = output::value(&pause)?;
                output::stamp(&mut document, "pause");
                output::document(global, &document)?;
            }
        }
    }
    Ok(Exit::Done)
}

/// The firings, after planning ahead: what is shown is what holds now, whether a service runs or not.
async fn planned(
    global: &Global,
    scheduler: &Scheduler,
    states: &[FiringState],
    limit: u64,
) -> Result<Vec<FiringView>> {
    let planned = schedule::firings(scheduler, states, limit).await?;
    for at in &planned.undecided {
        output::remark(
            global,
            &format!("it cannot be decided when {at} is due: see `claviger policy test {at}`"),
        );
    }
    Ok(planned.firings)
}

pub(crate) fn show(global: &Global, firings: &[FiringView], pauses: Option<&[PauseView]>) -> Result<()> {
    if matches!(global.output, Format::Json | Format::Yaml) {
        return output::document(global, &schedule::document(firings, pauses)?);
    }
    let items = output::values(firings)?;
    output::list(global, "firings", COLUMNS, &items)?;
    for pause in pauses.unwrap_or_default() {
        let what = pause.selector.as_deref().unwrap_or("everything");
        output::remark(global, &format!("pause {}: {what}, by {}: {}", pause.id, pause.actor, pause.reason));
    }
    Ok(())
}
