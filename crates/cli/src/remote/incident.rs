use claviger_core::incident::IncidentView;
use serde_json::json;

use super::client::{Client, typed};
use crate::{
    args::{Global, IncidentArgs, IncidentCommand},
    commands::incident,
    error::{Exit, Result},
    output,
};

/// `incident`
pub(super) async fn run(global: &Global, client: &Client, args: &IncidentArgs) -> Result<Exit> {
    let document = match &args.command {
        IncidentCommand::Open { title, exposed_at, credential } => {
            let body = json!({ "title": title, "exposed_at": exposed_at, "credentials": credential });
            client.post(&["incidents"], &body).await?
        }
        IncidentCommand::Status { id: Some(id) } => client.get(&["incidents", id], &[]).await?,
        IncidentCommand::Status { id: None } => {
            let items = client.items(&["incidents"], &[]).await?;
            output::list(global, "incidents", incident::COLUMNS, &items)?;
            return Ok(Exit::Done);
        }
        IncidentCommand::Close { id, note, unresolved } => {
            let body = json!({ "note": note, "unresolved": unresolved });
            client.post(&["incidents", id, "close"], &body).await?
        }
    };
    let view: IncidentView = typed(&document["incident"], "an incident")?;
    incident::print(global, &view)?;
    Ok(Exit::Done)
}
