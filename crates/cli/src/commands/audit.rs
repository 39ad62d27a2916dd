use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};

use claviger_core::{
    audit::{AuditDraft, AuditEntry, AuditHash, AuditKind, Verification, Verifier},
    id::Seq,
};

use crate::{
    args::{AuditArgs, AuditCommand, Global},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output::{self, Column},
};

const COLUMNS: &[Column] = &[
    Column::new("entries", "ENTRIES"),
    Column::new("head", "HEAD"),
    Column::new("valid", "VALID"),
    Column::new("first_bad", "FIRST BAD"),
];
/// Entries that are read together.
const PAGE: u64 = 1_000;

/// Verifies or exports.
pub(super) async fn run(global: &Global, args: &AuditArgs) -> Result<Exit> {
    match &args.command {
        AuditCommand::Verify { file, head } => {
            let head = head.as_deref().map(witness).transpose()?;
            let verification = match file {
                Some(file) => verify_export(file, head)?,
                None => verify_database(global, head).await?,
            };
            let mut document = output::value(&verification)?;
            output::stamp(&mut document, "audit-verify");
            match global.output {
                crate::args::Format::Json | crate::args::Format::Yaml => output::document(global, &document)?,
                _ => output::list(global, "audit-verify", COLUMNS, &[output::value(&verification)?])?,
            }
            if let Some(bad) = verification.first_bad {
                output::remark(
                    global,
                    &format!(
                        "the chain does not hold at entry {bad}: it was edited, removed, reordered or cut"
                    ),
                );
            }
            Ok(if verification.valid { Exit::Done } else { Exit::Failed })
        }
        AuditCommand::Export { out } => export(global, out).await,
    }
}

fn witness(text: &str) -> Result<(Seq, AuditHash)> {
    let parsed = || {
        let (seq, hash) = text.split_once(':')?;
        Some((Seq(seq.parse().ok()?), AuditHash::parse(hash)?))
    };
    parsed().ok_or_else(|| {
        Failure::config(25, format!("`{text}` is no head"))
            .hint("write SEQ:HASH, as `audit export` prints it at its end")
    })
}

/// Reads an export line by line: memory is flat, and no database is needed.
fn verify_export(file: &Path, head: Option<(Seq, AuditHash)>) -> Result<Verification> {
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(file).map_err(|error| Failure::file("read", file, &error))?)
    };
    let mut verifier = Verifier::default();
    for line in BufReader::new(reader).lines() {
        let line = line.map_err(|error| Failure::file("read", file, &error))?;
        if line.trim().is_empty() {
            continue;
        }
        let entry: Option<AuditEntry> = serde_json::from_str(&line).ok();
        verifier.push(entry.as_ref());
    }
    Ok(verifier.finish(head))
}

async fn verify_database(global: &Global, head: Option<(Seq, AuditHash)>) -> Result<Verification> {
    let composed = compose(global, Needs::Database).await?;
    let audit = &composed.engine.ports.audit;
    let mut verifier = Verifier::default();
    let mut after = Seq(0);
    loop {
        let page = audit.read(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        page.iter().for_each(|entry| verifier.push(Some(entry)));
    }
    // The stored head is a second witness: a chain whose end was cut off does not fit it.
    let stored = audit.head().await?;
    Ok(verifier.finish(Some(head.unwrap_or(stored))))
}

async fn export(global: &Global, out: &Path) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let audit = &composed.engine.ports.audit;
    // The export is itself an entry, so that a chain tells who has a copy of it.
    let draft = AuditDraft {
        kind: AuditKind::Exported,
        actor: composed.engine.actor.clone(),
        subject: "audit".to_owned(),
        saga: None,
        step: None,
        detail: serde_json::json!({ "format": "jsonl" }),
    };
    audit.append(vec![draft]).await?;
    let mut writer: Box<dyn Write> = if out == Path::new("-") {
        Box::new(std::io::stdout())
    } else {
        Box::new(BufWriter::new(File::create(out).map_err(|error| Failure::file("write", out, &error))?))
    };
    let (mut after, mut count) = (Seq(0), 0_u64);
    loop {
        let page = audit.read(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for entry in &page {
            let line = serde_json::to_string(entry).map_err(|error| Failure::bug(error.to_string()))?;
            writeln!(writer, "{line}").map_err(|error| Failure::file("write", out, &error))?;
            count += 1;
        }
    }
    writer.flush().map_err(|error| Failure::file("write", out, &error))?;
    let (seq, hash) = audit.head().await?;
    output::remark(
        global,
        &format!(
            "{count} entries; head {}:{hash} (note it where nobody can change it, for `audit verify --head`)",
            seq.0
        ),
    );
    Ok(Exit::Done)
}
