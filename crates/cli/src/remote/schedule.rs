use claviger_core::firing::{FiringView, PauseView};
use serde_json::{Value, json};

use super::client::{Client, typed};
use crate::{
    args::{Format, Global, ScheduleArgs, ScheduleCommand},
    commands::schedule,
    error::{Exit, Result},
    output,
};

/// `schedule`
pub(super) async fn run(global: &Global, client: &Client, args: &ScheduleArgs) -> Result<Exit> {
    match &args.command {
        ScheduleCommand::List { done, limit } => {
            let (firings, pauses) = read(client, *done, *limit).await?;
            schedule::show(global, &firings, pauses.as_deref())?;
        }
        ScheduleCommand::Next { limit } => {
            let (mut firings, pauses) = read(client, false, 5_000).await?;
            let whole = pauses.iter().flatten().find(|pause| pause.selector.is_none());
            if let Some(whole) = whole {
                let text = format!("nothing starts: paused by {}: {}", whole.actor, whole.reason);
                output::remark(global, &text);
                firings.clear();
            }
            let planned = |firing: &FiringView| {
                firing.pause.is_none() && firing.state == claviger_core::firing::FiringState::Planned
            };
            firings.retain(planned);
            firings.truncate(usize::try_from(*limit).unwrap_or(usize::MAX));
            schedule::show(global, &firings, None)?;
        }
        ScheduleCommand::Run { .. } => return Err(super::elsewhere("schedule run")),
        ScheduleCommand::Pause { selector, all, reason } => {
            let selector = if *all { "*".to_owned() } else { selector.join(" ") };
            let body = json!({ "selector": selector, "reason": reason });
            let document = client.post(&["pauses"], &body).await?;
            let id = document["id"].as_str().unwrap_or_default();
            told(global, &document, &format!("paused: `claviger schedule resume {id}` ends it\n"))?;
        }
        ScheduleCommand::Resume { pause, reason } => {
            let document = client.post(&["pauses", pause, "end"], &json!({ "reason": reason })).await?;
            told(global, &document, "resumed\n")?;
        }
    }
    Ok(Exit::Done)
}

async fn read(client: &Client, done: bool, limit: u64) -> Result<(Vec<FiringView>, Option<Vec<PauseView>>)> {
    let query = [("done", done.to_string()), ("limit", limit.clamp(1, 5_000).to_string())];
    let document = client.get(&["firings"], &query).await?;
    let pauses = match &document["pauses"] {
        Value::Null => None,
        pauses => Some(typed(pauses, "pauses")?),
    };
    Ok((typed(&document["items"], "firings")?, pauses))
}

fn told(global: &Global, document: &Value, text: &str) -> Result<()> {
    if matches!(global.output, Format::Table | Format::Wide) {
        output::text(text);
        return Ok(());
    }
    output::document(global, document)
}
