use std::fmt::Write as _;

use claviger_core::incident::IncidentView;
use claviger_engine::selector::Selector;
use claviger_server::{access::Sight, document::incident};

use crate::{
    args::{Format, Global, IncidentArgs, IncidentCommand},
    compose::{Needs, compose},
    error::{Exit, Result},
    output::{self, Column, Shown},
};

pub(crate) const COLUMNS: &[Column] = &[
    Column::new("id", "ID").shown(Shown::Id),
    Column::new("title", "TITLE"),
    Column::new("state", "STATE"),
    Column::new("opened_at", "OPENED"),
    Column::new("items", "CREDENTIALS").shown(Shown::Count),
    Column::new("open_items", "OPEN").shown(Shown::Number),
    Column::new("exposed_at", "EXPOSED").wide(),
    Column::new("opened_by", "BY").wide(),
];

/// Opens an incident, tells its state, closes it.
pub(super) async fn run(global: &Global, args: &IncidentArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let engine = &composed.engine;
    let view = match &args.command {
        IncidentCommand::Open { title, exposed_at, credential } => {
            let mut concerned = Vec::new();
            for selector in credential {
                let found = engine.select(&Selector::parse(selector)?).await?;
                concerned.extend(found.into_iter().map(|credential| (credential.id, credential.at)));
            }
            let id = engine.open_incident(title, *exposed_at, &concerned).await?;
            let opened = engine.incident(&id.to_string()).await?;
            engine.incident_view(opened).await?
        }
        IncidentCommand::Status { id: Some(id) } => {
            let found = engine.incident(id).await?;
            engine.incident_view(found).await?
        }
        IncidentCommand::Status { id: None } => {
            let items = incident::items(engine, Sight::All).await?;
            output::list(global, "incidents", COLUMNS, &items)?;
            return Ok(Exit::Done);
        }
        IncidentCommand::Close { id, note, unresolved } => {
            let found = engine.incident(id).await?;
            engine.close_incident(&found, note, unresolved.as_deref()).await?
        }
    };
    print(global, &view)?;
    Ok(Exit::Done)
}

/// Prints one, for people or for programs.
pub(crate) fn print(global: &Global, view: &IncidentView) -> Result<()> {
    if matches!(global.output, Format::Table | Format::Wide) {
        output::text(&text(view));
        return Ok(());
    }
    output::document(global, &incident::document(view)?)
}

fn text(view: &IncidentView) -> String {
    let mut text = String::new();
    let incident = &view.incident;
    let _ = writeln!(text, "incident {} ({}): {}", incident.id, view.state, incident.title);
    for item in &view.items {
        let word = if item.open { "open" } else { "done" };
        let verdict = item.verdict.as_deref().map(|verdict| format!(" [{verdict}]")).unwrap_or_default();
        let _ = writeln!(text, "  {word}  {}{verdict}: {}", item.at, item.reason);
    }
    let _ = writeln!(text, "timeline");
    for moment in &view.timeline {
        let by = moment.actor.as_deref().map(|actor| format!(" ({actor})")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {}  {:<11} {}{by}",
            moment.at.format("%Y-%m-%dT%H:%M:%SZ"),
            moment.what,
            moment.detail
        );
    }
    for (what, seconds) in [
        ("known to revoked", view.durations.time_to_revoke),
        ("known to proven", view.durations.time_to_proof),
        ("exposed to revoked", view.durations.exposure),
    ] {
        if let Some(seconds) = seconds {
            let _ = writeln!(text, "  {what}: {seconds} s");
        }
    }
    if let Some(until) = view.break_glass_until {
        let _ = writeln!(text, "plans pass without approvals until {}", until.format("%Y-%m-%dT%H:%M:%SZ"));
    }
    let _ = writeln!(text, "platform escalation");
    if view.runbook.platform_escalation.is_empty() {
        let _ = writeln!(text, "  nothing has to be asked of the platform");
    }
    for ask in &view.runbook.platform_escalation {
        let _ = writeln!(text, "  ask {}: {}", ask.whom, ask.what);
        for evidence in &ask.evidence {
            let _ = writeln!(text, "    with {evidence}");
        }
    }
    let _ = writeln!(text, "tenant remediation");
    for task in &view.runbook.tenant_remediation {
        let _ = writeln!(text, "  [{}] {}", if task.done { "x" } else { " " }, task.what);
        for command in &task.commands {
            let _ = writeln!(text, "      {command}");
        }
    }
    text
}
