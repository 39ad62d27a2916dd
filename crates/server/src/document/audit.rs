//! The audit log: verified, and written for others.

mod export;

use claviger_core::{
    audit::{AuditHash, SignedHead, Verification, Verifier},
    id::Seq,
};
use claviger_engine::Engine;

pub(crate) use self::export::broken;
pub use self::export::{Export, Part, checkpoint, line};
use super::Result;

/// Entries that are read together.
const PAGE: u64 = 1_000;

/// Verifies the chain of the database. `head` is what a witness noted as its end; `noted` a checkpoint that it has to go through.
///
/// # Errors
/// The database.
pub async fn verify(
    engine: &Engine,
    head: Option<(Seq, AuditHash)>,
    noted: Option<&SignedHead>,
) -> Result<Verification> {
    let audit = &engine.ports.audit;
    let mut verifier = Verifier::default();
    let mut after = Seq(0);
    let mut unlike = noted.map(|noted| noted.seq.0);
    let stored = loop {
        let stored = audit.head().await?;
        loop {
            let page = audit.read(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for entry in &page {
                verifier.push(Some(entry));
                if noted.is_some_and(|noted| noted.seq == entry.seq && noted.hash == entry.hash) {
                    unlike = None;
                }
            }
        }
        // What was appended while we read is read with the head that belongs to it. A head that stays behind what there is was not moved by us.
        if after <= stored.0 || audit.head().await?.0 == stored.0 {
            break stored;
        }
    };
    // The stored head is a second witness: a chain whose end was cut off does not fit it.
    let mut verification = verifier.finish(Some(head.unwrap_or(stored)));
    // The chain does not go through what was noted: it is another one, or was cut before it.
    if let (None, Some(at)) = (verification.first_bad, unlike) {
        verification.first_bad = Some(at.min(after.0 + 1));
        verification.valid = false;
    }
    Ok(verification)
}
