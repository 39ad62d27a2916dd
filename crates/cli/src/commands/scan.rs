use claviger_core::{model::ScopeStatus, view::ScanView};
use claviger_engine::scan::ScanOptions;

use crate::{
    args::{Format, Global, ScanArgs},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output::{self, Column, Shown},
    progress,
};

const COLUMNS: &[Column] = &[
    Column::new("name", "BACKEND"),
    Column::new("kind", "KIND"),
    Column::new("status", "STATUS"),
    Column::new("counts.identities", "IDENTITIES").shown(Shown::Number),
    Column::new("counts.credentials", "CREDENTIALS").shown(Shown::Number),
    Column::new("counts.copies", "COPIES").shown(Shown::Number),
    Column::new("counts.consumers", "CONSUMERS").shown(Shown::Number),
    Column::new("counts.grants", "GRANTS").shown(Shown::Number),
    Column::new("duration_ms", "MS").shown(Shown::Number),
];

/// Scans; what could not be read is named, and the exit code says that it is not all.
pub(super) async fn run(global: &Global, args: &ScanArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Backends).await?;
    if composed.loaded.config.backends.is_empty() {
        return Err(Failure::config(22, "the configuration has no backends")
            .hint("add a section `[backends.NAME]`, or let `claviger init` find some"));
    }
    let listener = progress::listener(global);
    let view =
        composed.engine.scan(&ScanOptions { backends: args.backends.clone() }, listener.as_ref()).await?;
    drop(listener);
    print(global, &view)?;
    Ok(if view.complete { Exit::Done } else { Exit::Incomplete })
}

/// Prints a scan, and on standard error what it could not read.
pub(crate) fn print(global: &Global, view: &ScanView) -> Result<()> {
    let mut document = output::value(view)?;
    output::stamp(&mut document, "scan");
    match global.output {
        Format::Json | Format::Yaml => output::document(global, &document)?,
        _ => output::list(global, "scan", COLUMNS, &output::values(&view.backends)?)?,
    }
    for backend in &view.backends {
        if let Some(error) = &backend.error {
            output::remark(global, &format!("not read: {}: {error}", backend.name));
        }
        for scope in backend.scopes.iter().filter(|scope| scope.status != ScopeStatus::Complete) {
            let reason = scope.reason.as_deref().unwrap_or("no reason was given");
            output::remark(
                global,
                &format!("not read: {}/{} is {}: {reason}", backend.name, scope.scope, scope.status),
            );
        }
    }
    Ok(())
}
