use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use claviger_core::audit::{AuditDraft, AuditKind};
use claviger_server::document::report::{self, Format, Kind};

use crate::{
    args::{Global, ReportArgs, ReportFormat, ReportKind},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output,
};

/// Writes a report of what the inventory knows now, or of an incident.
pub(super) async fn run(global: &Global, args: &ReportArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let engine = &composed.engine;
    let kind = match args.kind {
        ReportKind::Inventory => Kind::Inventory,
        ReportKind::Findings => Kind::Findings,
        ReportKind::Incident => Kind::Incident(args.id.clone()),
    };
    let format = match args.format {
        ReportFormat::Html => Format::Html,
        ReportFormat::Csv => Format::Csv,
        ReportFormat::Json => Format::Json,
    };
    let report = report::gather(engine, kind, format).await?;
    let is_stdout = args.out == Path::new("-");
    let failed = |error: std::io::Error| Failure::file("write", &args.out, &error);
    let mut writer: Box<dyn Write> = match is_stdout {
        true => Box::new(std::io::stdout()),
        false => Box::new(BufWriter::new(File::create(&args.out).map_err(failed)?)),
    };
    report.write(writer.as_mut())?;
    writer.flush().map_err(failed)?;
    drop(writer);
    let draft = AuditDraft {
        kind: AuditKind::Exported,
        actor: engine.actor.clone(),
        subject: "report".to_owned(),
        saga: None,
        step: None,
        detail: report.told(),
    };
    engine.ports.audit.append(vec![draft]).await?;
    if !is_stdout {
        output::remark(global, &format!("wrote {}", args.out.display()));
    }
    Ok(Exit::Done)
}
