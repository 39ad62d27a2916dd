//! Writing the log for others: whole, or what proves some receipts. Nothing is signed that does not hold.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use claviger_core::{
    audit::{
        AuditDraft, AuditHash, AuditKind, ExportVerifier, Extent, SignedHead, Witness, entry_line, head_line,
    },
    id::Seq,
};
use claviger_engine::Engine;
use claviger_server::document::audit;
use serde_json::json;

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
    let named = if receipts { chosen(engine, rotation).await? } else { Vec::new() };
    // The export is itself an entry, so that a chain tells who has a copy of it.
    note(engine, "audit", json!({ "format": "jsonl", "receipts": named })).await?;
    let last = engine.ports.audit.head().await?;
    let from = named.first().copied().unwrap_or(Seq(1));
    let mut writer = open(out)?;
    let mut verifier = ExportVerifier::new(None, Some(Witness::Ends(last.0, last.1)));
    let (mut after, mut before, mut count) = (Seq(from.0 - 1), None, 0_u64);
    while after < last.0 {
        let page = engine.ports.audit.read(after, audit::PAGE).await?;
        if page.is_empty() {
            break;
        }
        for entry in page.iter().filter(|entry| entry.seq <= last.0) {
            before.get_or_insert(entry.prev_hash);
            let line = entry_line(entry) + "\n";
            verifier.push(line.as_bytes());
            writer.write_all(line.as_bytes()).map_err(|error| Failure::file("write", out, &error))?;
            count += 1;
        }
        after = page.last().map_or(last.0, |entry| entry.seq);
    }
    if let Some(bad) = verifier.finish().first_bad {
        return Err(broken(bad));
    }
    let first = (from, before.unwrap_or(AuditHash::GENESIS));
    let head = SignedHead::sign(Extent { first, last, receipts: named.clone() }, engine.clock.now(), key);
    writeln!(writer, "{}", head_line(head)).map_err(|error| Failure::file("write", out, &error))?;
    writer.flush().map_err(|error| Failure::file("write", out, &error))?;
    let (seq, hash) = last;
    let what = if receipts { format!("{} receipts in ", named.len()) } else { String::new() };
    output::remark(
        global,
        &format!(
            "{what}{count} entries; head {}:{hash}, signed with {} (note both where nobody can change them)",
            seq.0,
            key.public()
        ),
    );
    Ok(Exit::Done)
}

/// `audit checkpoint`
pub(super) async fn checkpoint(global: &Global, out: &Path) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let engine = &composed.engine;
    let key = composed.signing()?;
    if let Some(bad) = audit::verify(engine, None, None).await?.first_bad {
        return Err(broken(bad));
    }
    note(engine, "checkpoint", json!({})).await?;
    let last = engine.ports.audit.head().await?;
    let extent = Extent { first: (Seq(1), AuditHash::GENESIS), last, receipts: Vec::new() };
    let head = SignedHead::sign(extent, engine.clock.now(), key);
    let mut writer = open(out)?;
    writeln!(writer, "{}", head_line(head))
        .and_then(|()| writer.flush())
        .map_err(|error| Failure::file("write", out, &error))?;
    output::remark(global, &format!("checkpoint at entry {}, signed with {}", last.0.0, key.public()));
    Ok(Exit::Done)
}

/// The entries of the receipts, in order.
async fn chosen(engine: &Engine, rotation: Option<&str>) -> Result<Vec<Seq>> {
    let saga = match rotation {
        Some(text) => Some(plan::find(engine, text).await?),
        None => None,
    };
    let receipts = engine.ports.journal.receipts(saga).await?;
    let mut found: Vec<Seq> = receipts.iter().filter_map(|receipt| receipt.audit_seq).map(Seq).collect();
    found.sort_unstable();
    if found.is_empty() {
        return Err(Failure::new(502, Exit::Failed, "there are no receipts").hint(
            "a rotation or revocation leaves one when it comes to its end: see `claviger list revocations`",
        ));
    }
    Ok(found)
}

async fn note(engine: &Engine, subject: &str, detail: serde_json::Value) -> Result<()> {
    let draft = AuditDraft {
        kind: AuditKind::Exported,
        actor: engine.actor.clone(),
        subject: subject.to_owned(),
        saga: None,
        step: None,
        detail,
    };
    engine.ports.audit.append(vec![draft]).await?;
    Ok(())
}

fn broken(bad: i64) -> Failure {
    Failure::new(500, Exit::Failed, format!("the chain of the database does not hold at entry {bad}: it is not signed"))
        .hint("somebody changed the database by hand: `claviger audit verify`, and compare with an earlier export or checkpoint")
}

fn open(out: &Path) -> Result<Box<dyn Write>> {
    Ok(if out == Path::new("-") {
        Box::new(std::io::stdout())
    } else {
        Box::new(BufWriter::new(File::create(out).map_err(|error| Failure::file("write", out, &error))?))
    })
}
