//! The log for others: whole, or what proves some receipts. Nothing is signed that does not hold.

use claviger_core::{
    audit::{
        AuditDraft, AuditHash, AuditKind, ExportVerifier, Extent, SignedHead, Witness, entry_line, head_line,
    },
    id::{SagaId, Seq},
    signing::PrivateKey,
};
use claviger_engine::{
    Engine,
    fault::{Fault, Kind},
};
use serde_json::{Value, json};

use super::{PAGE, verify};
use crate::document::Result;

/// How much of it is written.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// From the first entry on.
    Whole,
    /// From the first receipt on, of one saga or of all: what proves them and nothing before.
    Receipts(Option<SagaId>),
}

/// An export that is written page by page. Without the head at its end it is none.
pub struct Export {
    receipts: Vec<Seq>,
    first: Seq,
    before: Option<AuditHash>,
    after: Seq,
    last: (Seq, AuditHash),
    entries: u64,
    verifier: ExportVerifier,
}

impl Export {
    /// Notes in the log who takes a copy of it: that entry is the last one of the export.
    ///
    /// # Errors
    /// There are no receipts of which a part is wanted (CLV0502); the database.
    pub async fn begin(engine: &Engine, part: Part) -> Result<Self> {
        let receipts = match part {
            Part::Whole => Vec::new(),
            Part::Receipts(saga) => receipts(engine, saga).await?,
        };
        note(engine, "audit", json!({ "format": "jsonl", "receipts": receipts })).await?;
        let last = engine.ports.audit.head().await?;
        let first = receipts.first().copied().unwrap_or(Seq(1));
        let verifier = ExportVerifier::new(None, Some(Witness::Ends(last.0, last.1)));
        let (before, after) = (None, Seq(first.0 - 1));
        Ok(Self { receipts, first, before, after, last, entries: 0, verifier })
    }

    /// The next lines; `None` after the last one.
    ///
    /// # Errors
    /// The database.
    pub async fn page(&mut self, engine: &Engine) -> Result<Option<String>> {
        if self.after >= self.last.0 {
            return Ok(None);
        }
        let entries = engine.ports.audit.read(self.after, PAGE).await?;
        let Some(end) = entries.last().map(|entry| entry.seq) else { return Ok(None) };
        let mut text = String::new();
        for entry in entries.iter().filter(|entry| entry.seq <= self.last.0) {
            self.before.get_or_insert(entry.prev_hash);
            let line = entry_line(entry) + "\n";
            self.verifier.push(line.as_bytes());
            self.entries += 1;
            text.push_str(&line);
        }
        self.after = end;
        Ok(Some(text))
    }

    /// Entries that were written.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Signs what was written.
    ///
    /// # Errors
    /// The chain does not hold (CLV0500).
    pub fn end(self, engine: &Engine, key: &PrivateKey) -> Result<SignedHead> {
        if let Some(bad) = self.verifier.finish().first_bad {
            return Err(broken(bad));
        }
        let first = (self.first, self.before.unwrap_or(AuditHash::GENESIS));
        let extent = Extent { first, last: self.last, receipts: self.receipts };
        Ok(SignedHead::sign(extent, engine.clock.now(), key))
    }
}

/// A signed head of the log as it is now, to be kept where nobody here can change it. One line.
///
/// # Errors
/// The chain does not hold (CLV0500); the database.
pub async fn checkpoint(engine: &Engine, key: &PrivateKey) -> Result<SignedHead> {
    if let Some(bad) = verify(engine, None, None).await?.first_bad {
        return Err(broken(bad));
    }
    note(engine, "checkpoint", json!({})).await?;
    let last = engine.ports.audit.head().await?;
    let extent = Extent { first: (Seq(1), AuditHash::GENESIS), last, receipts: Vec::new() };
    Ok(SignedHead::sign(extent, engine.clock.now(), key))
}

/// A head as the line that an export ends with.
pub fn line(head: SignedHead) -> String {
    head_line(head) + "\n"
}

/// What is said of a chain that does not hold.
pub(crate) fn broken(bad: i64) -> Fault {
    Fault::new(
        500,
        Kind::Failed,
        format!("the chain of the database does not hold at entry {bad}: it is not signed"),
    )
    .hint("somebody changed the database by hand: `claviger audit verify`, and compare with an earlier export or checkpoint")
}

/// The entries of the receipts, in order.
async fn receipts(engine: &Engine, saga: Option<SagaId>) -> Result<Vec<Seq>> {
    let receipts = engine.ports.journal.receipts(saga).await?;
    let mut found: Vec<Seq> = receipts.iter().filter_map(|receipt| receipt.audit_seq).map(Seq).collect();
    found.sort_unstable();
    if found.is_empty() {
        return Err(Fault::new(502, Kind::Absent, "there are no receipts").hint(
            "a rotation or revocation leaves one when it comes to its end: see `claviger list revocations`",
        ));
    }
    Ok(found)
}

/// The export is itself an entry, so that a chain tells who has a copy of it.
async fn note(engine: &Engine, subject: &str, detail: Value) -> Result<()> {
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
