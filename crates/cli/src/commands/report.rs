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
    if args.kind == ReportKind::Incident {
        return incident(global, args, &composed).await;
    }
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
        ReportKind::Incident => Ok(()),
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

/// One incident: in HTML for people, in JSON for programs.
async fn incident(global: &Global, args: &ReportArgs, composed: &Composed) -> Result<Exit> {
    let engine = &composed.engine;
    if args.format == ReportFormat::Csv {
        return Err(Failure::config(34, "an incident is no table: it is not written as CSV")
            .hint("`--format html` or `--format json`"));
    }
    let incident = match &args.id {
        Some(id) => engine.incident(id).await?,
        None => {
            let newest = engine.ports.incidents.incidents().await?.into_iter().next();
            newest.ok_or_else(|| {
                Failure::new(420, Exit::Failed, "there is no incident")
                    .hint("`claviger incident open --title TEXT` opens one")
            })?
        }
    };
    let id = incident.id;
    let view = engine.incident_view(incident).await?;
    let mut bytes = Vec::new();
    if args.format == ReportFormat::Json {
        let document = claviger_server::document::incident::document(&view)?;
        claviger_report::render_document(claviger_report::ListFormat::Json, &document, &mut bytes)
    } else {
        let (seq, hash) = engine.ports.audit.head().await?;
        let report = claviger_report::IncidentReport {
            generated_at: engine.clock.now(),
            incident: view,
            audit_head: (seq.0, hash.to_string()),
        };
        claviger_report::incident::render(&report, &mut bytes)
    }
    .map_err(|error| Failure::new(12, Exit::Failed, format!("cannot write the report: {error}")))?;
    if args.out == Path::new("-") {
        std::io::stdout().write_all(&bytes).map_err(|error| Failure::file("write", &args.out, &error))?;
    } else {
        std::fs::write(&args.out, &bytes).map_err(|error| Failure::file("write", &args.out, &error))?;
        output::remark(global, &format!("wrote {}", args.out.display()));
    }
    let draft = AuditDraft {
        kind: AuditKind::Exported,
        actor: engine.actor.clone(),
        subject: "report".to_owned(),
        saga: None,
        step: None,
        detail: serde_json::json!({ "incident": id }),
    };
    engine.ports.audit.append(vec![draft]).await?;
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
