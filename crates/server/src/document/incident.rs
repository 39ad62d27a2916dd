//! Incidents.

use claviger_core::incident::{Incident, IncidentView};
use claviger_engine::Engine;
use serde_json::{Value, json};

use super::{Result, list, stamp, value};
use crate::access::{Sight, Subject};

/// One, as programs read it.
///
/// # Errors
/// A bug.
pub fn document(view: &IncidentView) -> Result<Value> {
    let mut document = json!({ "incident": value(view)? });
    stamp(&mut document, "incident");
    Ok(document)
}

/// All that these eyes see, newest first. One is seen if each of its credentials is.
///
/// # Errors
/// The database.
pub async fn items(engine: &Engine, sight: Sight<'_>) -> Result<Vec<Value>> {
    let mut items = Vec::new();
    for incident in engine.ports.incidents.incidents().await? {
        if sees(engine, &incident, sight).await? {
            items.push(value(&engine.incident_view(incident).await?)?);
        }
    }
    Ok(items)
}

/// Do these eyes see it?
///
/// # Errors
/// The database.
pub async fn sees(engine: &Engine, incident: &Incident, sight: Sight<'_>) -> Result<bool> {
    if sight.is_whole() {
        return Ok(true);
    }
    let subjects = incident.subjects();
    if subjects.is_empty() {
        return Ok(sight.covers(&Subject::Estate));
    }
    let known = list::known(engine).await?;
    Ok(subjects.iter().all(|(id, at)| {
        known.get(id).map_or_else(|| sight.sees_ref(at), |credential| sight.sees_credential(credential))
    }))
}
