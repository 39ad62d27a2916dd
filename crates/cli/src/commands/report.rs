use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use claviger_core::audit::{AuditDraft, AuditKind};
use claviger_engine::{exception, policy};
use claviger_report::InventoryReport;
use claviger_store::port::Selection;

use crate::{
    args::{Global, ReportArgs, ReportFormat, ReportKind},
    compose::{Composed, Needs, compose},
    error::{Exit, Failure, Result},
    output,
};

/// Lines of history that a report shows.
const HISTORY: u64 = 200;

/// Writes a report of what the inventory knows now.
pub(super) async fn run(global: &Global, args: &ReportArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let report = gather(&composed).await?;
    let mut writer: Box<dyn Write> = if args.out == Path::new("-") {
        Box::new(std::io::stdout())
    } else {
        Box::new(BufWriter::new(
            File::create(&args.out).map_err(|error| Failure::file("write", &args.out, &error))?,
        ))
    };
    let format = match args.format {
        ReportFormat::Html => claviger_report::ReportFormat::Html,
        ReportFormat::Csv => claviger_report::ReportFormat::Csv,
        ReportFormat::Json => claviger_report::ReportFormat::Json,
    };
    let written = match args.kind {
        ReportKind::Inventory => claviger_report::inventory::render(format, &report, writer.as_mut()),
        ReportKind::Findings => claviger_report::findings::render(format, &report, writer.as_mut()),
    };
    written.map_err(|error| Failure::new(12, Exit::Failed, format!("cannot write the report: {error}")))?;
    writer.flush().map_err(|error| Failure::file("write", &args.out, &error))?;
    drop(writer);
    let engine = &composed.engine;
    let draft = AuditDraft {
        kind: AuditKind::Exported,
        actor: engine.actor.clone(),
        subject: "report".to_owned(),
        saga: None,
        step: None,
        detail: serde_json::json!({ "credentials": report.credentials.len(), "findings": report.findings.len() }),
    };
    engine.ports.audit.append(vec![draft]).await?;
    if args.out != Path::new("-") {
        output::remark(global, &format!("wrote {}", args.out.display()));
    }
    Ok(Exit::Done)
}

async fn gather(composed: &Composed) -> Result<InventoryReport> {
    let engine = &composed.engine;
    let now = engine.clock.now();
    let inventory = &engine.ports.inventory;
    let mut credentials = inventory.details(now, &Selection::default()).await?;
    credentials.iter_mut().for_each(|detail| policy::apply(&engine.estate, &mut detail.credential, now));
    let mut findings = inventory.findings().await?;
    let rows: Vec<_> = credentials.iter().map(|detail| detail.credential.clone()).collect();
    exception::waive(&engine.estate.exceptions, &mut findings, &rows, now);
    let (seq, hash) = engine.ports.audit.head().await?;
    Ok(InventoryReport {
        generated_at: now,
        title: "Machine credentials".to_owned(),
        coverage: inventory.coverage().await?,
        credentials,
        identities: inventory.identities(&Selection::default()).await?,
        findings,
        history: inventory.history(None, HISTORY).await?,
        audit_head: Some((seq.0, hash.to_string())),
    })
}
