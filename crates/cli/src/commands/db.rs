mod reconcile;

use std::sync::Arc;

use claviger_core::{
    clock::{Clock, SystemClock},
    random::{OsRandom, Random},
};

use claviger_store::MigrationState;

use crate::{
    args::{DbArgs, DbCommand, Global},
    compose,
    config::Loaded,
    error::{Exit, Result},
    output::{self, Column},
};

const COLUMNS: &[Column] = &[
    Column::new("backend", "BACKEND"),
    Column::new("applied", "APPLIED"),
    Column::new("pending", "PENDING"),
];

/// Looks at the schema, or brings it up to date.
pub(super) async fn run(global: &Global, args: &DbArgs) -> Result<Exit> {
    if let DbCommand::Reconcile { incomplete, unfinished } = args.command {
        return reconcile::run(global, incomplete, unfinished).await;
    }
    let loaded = Loaded::find(global)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let store = compose::open(global, &loaded, &clock, &random).await?;
    if matches!(args.command, DbCommand::Migrate) {
        store.migrate().await?;
    }
    let status = store.schema_status().await?;
    let backend = if loaded.database(global).starts_with("sqlite") { "sqlite" } else { "postgresql" };
    let pending = status.with(MigrationState::Pending);
    let mut document = serde_json::json!({
        "backend": backend, "applied": status.with(MigrationState::Applied), "pending": pending,
        "unknown": status.with(MigrationState::Unknown),
    });
    output::stamp(&mut document, "db-status");
    match global.output {
        crate::args::Format::Json | crate::args::Format::Yaml => output::document(global, &document)?,
        _ => output::list(global, "db-status", COLUMNS, &[document])?,
    }
    Ok(if pending.is_empty() { Exit::Done } else { Exit::Incomplete })
}
