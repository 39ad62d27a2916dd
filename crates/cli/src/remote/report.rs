use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use super::client::Client;
use crate::{
    args::{Global, ReportArgs, ReportFormat, ReportKind},
    error::{Exit, Failure, Result},
    output,
};

/// `report`: written there, and taken down here as it comes.
pub(super) async fn run(global: &Global, client: &Client, args: &ReportArgs) -> Result<Exit> {
    let kind = match args.kind {
        ReportKind::Inventory => "inventory",
        ReportKind::Findings => "findings",
        ReportKind::Incident => "incident",
    };
    let format = match args.format {
        ReportFormat::Html => "html",
        ReportFormat::Csv => "csv",
        ReportFormat::Json => "json",
    };
    let mut query = vec![("format", format.to_owned())];
    query.extend(args.id.clone().map(|id| ("id", id)));
    let mut answer = client.open(&["reports", kind], &query).await?;
    let is_stdout = args.out == Path::new("-");
    let failed = |error: std::io::Error| Failure::file("write", &args.out, &error);
    let mut writer: Box<dyn Write> = match is_stdout {
        true => Box::new(std::io::stdout()),
        false => Box::new(BufWriter::new(File::create(&args.out).map_err(failed)?)),
    };
    while let Some(piece) = answer.next().await? {
        writer.write_all(&piece).map_err(failed)?;
    }
    writer.flush().map_err(failed)?;
    if !is_stdout {
        output::remark(global, &format!("wrote {}", args.out.display()));
    }
    Ok(Exit::Done)
}
