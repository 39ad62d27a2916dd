//! Writing the log for others: whole, or what proves some receipts. Nothing is signed that does not hold.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use claviger_core::audit::SignedHead;
use claviger_server::document::audit::{self, Export, Part};

use super::super::plan;
use crate::{
    args::Global,
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output,
};

/// `audit export`
pub(super) async fn run(global: &Global, out: &Path, receipts: bool, rotation: Option<&str>) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let engine = &composed.engine;
    let key = composed.signing()?;
    let part = match (receipts, rotation) {
        (false, _) => Part::Whole,
        (true, None) => Part::Receipts(None),
        (true, Some(text)) => Part::Receipts(Some(plan::find(engine, text).await?)),
    };
    let mut export = Export::begin(engine, part).await?;
    let failed = |error: std::io::Error| Failure::file("write", out, &error);
    let mut writer = open(out)?;
    while let Some(lines) = export.page(engine).await? {
        writer.write_all(lines.as_bytes()).map_err(failed)?;
    }
    let count = export.entries();
    let head = export.end(engine, key)?;
    writer.write_all(audit::line(head.clone()).as_bytes()).map_err(failed)?;
    writer.flush().map_err(failed)?;
    exported(global, count, &head);
    Ok(Exit::Done)
}

/// `audit checkpoint`
pub(super) async fn checkpoint(global: &Global, out: &Path) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let head = audit::checkpoint(&composed.engine, composed.signing()?).await?;
    keep(global, out, head)
}

/// Writes a checkpoint.
pub(crate) fn keep(global: &Global, out: &Path, head: SignedHead) -> Result<Exit> {
    let (seq, key) = (head.seq.0, head.key);
    let mut writer = open(out)?;
    writer
        .write_all(audit::line(head).as_bytes())
        .and_then(|()| writer.flush())
        .map_err(|error| Failure::file("write", out, &error))?;
    output::remark(global, &format!("checkpoint at entry {seq}, signed with {key}"));
    Ok(Exit::Done)
}

/// Says what was written, and what is to be noted of it.
pub(crate) fn exported(global: &Global, count: u64, head: &SignedHead) {
    let receipts = head.receipts.len();
    let what = if receipts > 0 { format!("{receipts} receipts in ") } else { String::new() };
    output::remark(
        global,
        &format!(
            "{what}{count} entries; head {}:{}, signed with {} (note both where nobody can change them)",
            head.seq.0, head.hash, head.key
        ),
    );
}

/// The file, or standard output.
pub(crate) fn open(out: &Path) -> Result<Box<dyn Write>> {
    Ok(if out == Path::new("-") {
        Box::new(std::io::stdout())
    } else {
        Box::new(BufWriter::new(File::create(out).map_err(|error| Failure::file("write", out, &error))?))
    })
}
