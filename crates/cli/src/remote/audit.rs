use std::path::Path;

use claviger_core::audit::{SignedHead, read_head};
use serde_json::Value;

use super::client::{Client, strange};
use crate::{
    args::{AuditCommand, Format, Global},
    commands::audit::{self, export},
    error::{Exit, Failure, Result},
    output,
};

/// `audit`
pub(super) async fn run(global: &Global, client: &Client, command: &AuditCommand) -> Result<Exit> {
    match command {
        AuditCommand::Verify {
            file: None,
            head: None,
            public_key: None,
            checkpoint: None,
            key_history: None,
        } => verification(global, client).await,
        // What somebody has noted is compared where it lies: with an export.
        AuditCommand::Verify { .. } => Err(Failure::new(
            632,
            Exit::Usage,
            "what you hold of the log is not compared at a service",
        )
        .hint("`claviger audit export --server URL --out FILE`, then `claviger audit verify --file FILE` with the rest, without `--server`")),
        AuditCommand::Export { out, receipts, rotation } => {
            let mut query = Vec::new();
            query.extend(receipts.then(|| ("receipts", "true".to_owned())));
            query.extend(rotation.clone().map(|id| ("rotation", id)));
            written(global, client, &query, out).await
        }
        AuditCommand::Checkpoint { out } => {
            let mut answer = client.open(&["audit", "checkpoint"], &[]).await?;
            let mut line = Vec::new();
            while let Some(piece) = answer.next().await? {
                line.extend(piece);
            }
            let head = read_head(&line).ok_or_else(|| strange("it is no signed head"))?;
            export::keep(global, out, head)
        }
    }
}

/// `audit verify`
async fn verification(global: &Global, client: &Client) -> Result<Exit> {
    let document = client.get(&["audit", "verification"], &[]).await?;
    let mut row = document.clone();
    if let Value::Object(row) = &mut row {
        row.remove("schema");
    }
    match global.output {
        Format::Json | Format::Yaml => output::document(global, &document)?,
        _ => output::list(global, "audit-verify", audit::COLUMNS, &[row])?,
    }
    if let Some(bad) = document["first_bad"].as_i64() {
        output::remark(
            global,
            &format!("the chain does not hold at entry {bad}: it was edited, removed, reordered or cut"),
        );
    }
    Ok(if document["valid"] == true { Exit::Done } else { Exit::Failed })
}

/// Takes an export down as it comes. One without its signed head was cut off, and is said to be.
async fn written(global: &Global, client: &Client, query: &[(&str, String)], out: &Path) -> Result<Exit> {
    let mut answer = client.open(&["audit", "export"], query).await?;
    let failed = |error: std::io::Error| Failure::file("write", out, &error);
    let mut writer = export::open(out)?;
    let (mut lines, mut last) = (0_u64, Vec::new());
    while let Some(piece) = answer.next().await? {
        writer.write_all(&piece).map_err(failed)?;
        for byte in piece {
            if last.last() == Some(&b'\n') {
                last.clear();
            }
            last.push(byte);
            lines += u64::from(byte == b'\n');
        }
    }
    writer.flush().map_err(failed)?;
    let head: Option<SignedHead> = last.ends_with(b"\n").then(|| read_head(&last)).flatten();
    let head = head.ok_or_else(|| strange("the export ends without its signed head"))?;
    export::exported(global, lines - 1, &head);
    Ok(Exit::Done)
}
