use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Place, Scope, ScopeStatus},
    observation::{Content, Observation, ObservedCopy},
};
use serde_json::json;

use super::{copy, scope};
use crate::{
    SimulatedBackend,
    estate::{Estate, ForgeSecret},
    letterbox::marked,
};

/// Names, and that their values are unread.
pub(super) async fn copies(backend: &SimulatedBackend, estate: &Estate, sink: &mut ScanSink) -> Result<()> {
    for (repository, secrets) in &estate.forge.repositories {
        let area = format!("forge/{repository}");
        let items = secrets.iter().map(|(name, held)| secret(backend, repository, name, held)).collect();
        scope(estate, sink, &Scope::new(&area, "secrets"), "forge", items).await?;
        if !secrets.is_empty() && !estate.settings.unavailable.contains("forge") {
            let why = format!(
                "the forge shows the values of secrets to nobody: {} are known by name",
                secrets.len()
            );
            sink.end(&Scope::new(&area, "secret-values"), ScopeStatus::Unreadable, Some(why)).await?;
        }
    }
    Ok(())
}

fn secret(backend: &SimulatedBackend, repository: &str, name: &str, held: &ForgeSecret) -> Observation {
    let at = backend.at(["forge", repository, "actions", "secrets", name]);
    let marked = marked(held);
    let mut seen = ObservedCopy {
        version: Some(marked.version),
        created_at: Some(held.created_at),
        updated_at: marked.written_at,
        content: Content::Unreadable("the forge shows its value to nobody".to_owned()),
        ..copy(at, name, Place::SecretStore, &held.value)
    };
    seen.attributes.insert("write_only".to_owned(), json!(true));
    Observation::Copy(seen)
}
