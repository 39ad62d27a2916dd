//! Exports: one entry per line, and at the end a line with the signed head. Whoever has the installation's public key can verify one without
//! the database, the program that wrote it, or trust in whoever carried it.
//!
//! The reader is a code path of its own. It takes a line only if it is written exactly as the format writes it: not a byte of an export can be
//! changed, although JSON would let many be.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AuditEntry, AuditHash, AuditKind, SignedHead, hash};
use crate::{
    id::Seq,
    own_key::{Succession, trusts},
    signing::PublicKey,
};

/// Receipts whose content a verification keeps.
const MOST_RECEIPTS: usize = 100_000;
/// Changes of the signing key that a verification looks at.
const MOST_SUCCESSIONS: usize = 1_000;
/// By this the last line is known.
const HEAD_BEGINS: &[u8] = b"{\"signed_head\"";

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tail {
    signed_head: SignedHead,
}

/// The line of an entry, without its end.
pub fn entry_line(entry: &AuditEntry) -> String {
    serde_json::to_string(entry).expect("an entry has only text keys")
}

/// The last line, without its end.
pub fn head_line(head: SignedHead) -> String {
    serde_json::to_string(&Tail { signed_head: head }).expect("a head has only text keys")
}

/// Reads a line with or without its end as a head, if it is written exactly as one.
pub fn read_head(line: &[u8]) -> Option<SignedHead> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let tail = serde_json::from_slice::<Tail>(line).ok()?;
    (head_line(tail.signed_head.clone()).as_bytes() == line).then_some(tail.signed_head)
}

/// What somebody outside has noted of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The export ends exactly here.
    Ends(Seq, AuditHash),
    /// The chain goes through here, and may go on.
    Passes(Seq, AuditHash),
}

/// Why an export is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// The entry is not as it was written, not where it was, or not of this chain.
    #[error("the entry was edited, removed, repeated or reordered")]
    Entry,
    /// No signed head stands at the end.
    #[error("no signed head stands at its end: it was cut off there, or was made before exports were signed")]
    NoHead,
    /// The line with the head is not as it was signed.
    #[error("the signed head was changed")]
    Head,
    /// Something stands behind the head.
    #[error("something stands behind the signed head")]
    BehindHead,
    /// The signed head is of other entries.
    #[error("the signed head is of other entries: some are missing or too many at the beginning or the end")]
    Extent,
    /// It is signed by somebody else.
    #[error("it is signed with another key than the one that was given")]
    OtherKey,
    /// It does not fit what a witness noted.
    #[error("it does not fit what the witness noted: it is older, or of another chain")]
    Witness,
    /// A receipt that the head names is none.
    #[error("an entry that the head names as a receipt is none")]
    NoReceipt,
}

/// A receipt as the export shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownReceipt {
    /// Its entry.
    pub seq: Seq,
    /// What it says.
    pub receipt: Value,
}

/// What a verification of an export found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportVerdict {
    /// Entries that were read.
    pub entries: u64,
    /// The hash of the last good entry.
    pub head: AuditHash,
    /// True if all of it holds.
    pub valid: bool,
    /// The first entry that does not hold, by its number in the chain; the one after the last where something is wrong at the end.
    pub first_bad: Option<i64>,
    /// Why.
    pub flaw: Option<Flaw>,
    /// The first entry's number.
    pub from: Option<Seq>,
    /// Who signed it. Without a key that was given for it this is only what the export says.
    pub signed_by: Option<PublicKey>,
    /// When.
    pub signed_at: Option<chrono::DateTime<chrono::Utc>>,
    /// True if it is the key that was given, or one that it is tied to by signed successions.
    pub pinned: bool,
    /// The receipts that it was made for.
    pub receipts: Vec<ShownReceipt>,
}

/// Verifies an export. Give it line by line: memory is flat but for the receipts.
#[derive(Debug)]
pub struct ExportVerifier {
    key: Option<PublicKey>,
    witness: Option<Witness>,
    first: Option<(Seq, AuditHash)>,
    last: Option<(Seq, AuditHash)>,
    tail: Option<SignedHead>,
    entries: u64,
    receipts: Vec<ShownReceipt>,
    /// How keys followed each other, as was given and as the entries tell.
    history: Vec<Succession>,
    bad: Option<(i64, Flaw)>,
}

impl ExportVerifier {
    /// A verification. `key` is whose signature is wanted; `witness` what somebody outside has noted.
    pub fn new(key: Option<PublicKey>, witness: Option<Witness>) -> Self {
        Self {
            key,
            witness,
            first: None,
            last: None,
            tail: None,
            entries: 0,
            receipts: Vec::new(),
            history: Vec::new(),
            bad: None,
        }
    }

    /// The same, knowing how the installation's keys followed each other: who trusts one of them trusts the others for what they may have signed.
    #[must_use]
    pub fn with_history(self, history: Vec<Succession>) -> Self {
        Self { history, ..self }
    }

    /// Is this head signed by whom the reader trusts?
    fn is_trusted(&self, tail: &SignedHead) -> bool {
        self.key.is_none_or(|key| trusts(key, tail.key, tail.seq, &self.history))
    }

    /// The number of the entry that should come now.
    fn next(&self) -> i64 {
        self.last.map_or_else(|| self.first.map_or(1, |(seq, _)| seq.0), |(seq, _)| seq.0.saturating_add(1))
    }

    fn refuse(&mut self, at: i64, flaw: Flaw) {
        if self.bad.is_none() {
            self.bad = Some((at, flaw));
        }
    }

    /// Takes the next line with its end, as it was read.
    pub fn push(&mut self, line: &[u8]) {
        if self.bad.is_some() {
            // What comes behind is only counted; but a head that is still good says where the export should have begun.
            match read_head(line) {
                Some(tail) => self.tail = Some(tail),
                None => self.entries += 1,
            }
            return;
        }
        if self.tail.is_some() {
            return self.refuse(self.next(), Flaw::BehindHead);
        }
        let line = match line.strip_suffix(b"\n") {
            Some(line) => line,
            // The last line of a file that was cut is not whole.
            None => return self.refuse(self.next(), Flaw::Entry),
        };
        if line.starts_with(HEAD_BEGINS) {
            match read_head(line) {
                Some(tail) => self.tail = Some(tail),
                None => self.refuse(self.next(), Flaw::Head),
            }
            return;
        }
        self.entries += 1;
        let entry = serde_json::from_slice::<AuditEntry>(line).ok();
        let entry = entry.filter(|entry| entry_line(entry).as_bytes() == line);
        let before = self.last.or_else(|| {
            // A part of a chain begins anywhere; the signed head says where it should.
            entry.as_ref().map(|entry| (Seq(entry.seq.0.saturating_sub(1)), entry.prev_hash))
        });
        let (Some(entry), Some(before)) = (entry, before) else {
            return self.refuse(self.next(), Flaw::Entry);
        };
        let holds = entry.seq.0 == before.0.0.saturating_add(1)
            && entry.seq.0 > 0
            && (entry.seq.0 > 1 || entry.prev_hash == AuditHash::GENESIS)
            && entry.prev_hash == before.1
            && entry.hash == hash(entry.seq, entry.at, &entry.draft, entry.prev_hash);
        if !holds {
            return self.refuse(self.next(), Flaw::Entry);
        }
        if self.first.is_none() {
            self.first = Some((entry.seq, entry.prev_hash));
        }
        self.last = Some((entry.seq, entry.hash));
        if let Some(Witness::Passes(seq, noted)) = self.witness {
            let differs = (seq == entry.seq && noted != entry.hash)
                || (seq.0.saturating_add(1) == entry.seq.0 && noted != entry.prev_hash);
            if differs {
                return self.refuse(seq.0, Flaw::Witness);
            }
        }
        if entry.draft.kind == AuditKind::KeyChanged
            && self.history.len() < MOST_SUCCESSIONS
            && let Ok(succession) = serde_json::from_value(entry.draft.detail["succession"].clone())
        {
            self.history.push(succession);
        }
        if entry.draft.kind == AuditKind::Receipt && self.receipts.len() < MOST_RECEIPTS {
            self.receipts.push(ShownReceipt { seq: entry.seq, receipt: entry.draft.detail });
        }
    }

    /// The verdict.
    pub fn finish(mut self) -> ExportVerdict {
        self.judge_end();
        self.judge_beginning();
        let named = self.tail.as_ref().map(|tail| tail.receipts.clone()).unwrap_or_default();
        let valid = self.bad.is_none();
        // What holds was signed by whom its head names; of what does not, nothing is said.
        let signed = self.tail.as_ref().filter(|_| valid);
        ExportVerdict {
            entries: self.entries,
            head: self.last.map_or(AuditHash::GENESIS, |(_, hash)| hash),
            valid,
            first_bad: self.bad.map(|(at, _)| at),
            flaw: self.bad.map(|(_, flaw)| flaw),
            from: self.first.map(|(seq, _)| seq),
            signed_by: signed.map(|tail| tail.key),
            signed_at: signed.map(|tail| tail.at),
            pinned: signed.is_some_and(|tail| self.key.is_some() && self.is_trusted(tail)),
            receipts: if valid {
                self.receipts.into_iter().filter(|receipt| named.contains(&receipt.seq)).collect()
            } else {
                Vec::new()
            },
        }
    }

    /// An export that does not begin where it should does not hold from there on.
    fn judge_beginning(&mut self) {
        let is_late = |tail: &&SignedHead| self.first.is_none_or(|(first, _)| first > tail.from);
        let is_trusted = |tail: &&SignedHead| self.is_trusted(tail) && tail.is_genuine();
        let from = self.tail.as_ref().filter(|_| self.bad.is_some()).filter(is_late).filter(is_trusted);
        if let (Some(from), Some((_, flaw))) = (from.map(|tail| tail.from), self.bad) {
            self.bad = Some((from.0, flaw));
        }
    }

    fn judge_end(&mut self) {
        if self.bad.is_some() {
            return;
        }
        let next = self.next();
        match self.witness {
            Some(Witness::Ends(seq, noted)) if self.last != Some((seq, noted)) => {
                return self.refuse(
                    if self.last.is_some_and(|(last, _)| last == seq) { seq.0 } else { next.min(seq.0 + 1) },
                    Flaw::Witness,
                );
            }
            // The chain has to be seen up to there, or to begin right behind it.
            Some(Witness::Passes(seq, _)) if self.last.is_none_or(|(last, _)| last < seq) => {
                return self.refuse(next, Flaw::Witness);
            }
            Some(Witness::Passes(seq, _))
                if self.first.is_some_and(|(first, _)| first.0 > seq.0.saturating_add(1)) =>
            {
                return self.refuse(seq.0, Flaw::Witness);
            }
            _ => {}
        }
        let Some(tail) = self.tail.clone() else {
            // An export of before they were signed holds if somebody noted its head.
            if !matches!(self.witness, Some(Witness::Ends(..))) || self.key.is_some() {
                self.refuse(next, Flaw::NoHead);
            }
            return;
        };
        if !tail.is_genuine() {
            return self.refuse(next, Flaw::Head);
        }
        if !self.is_trusted(&tail) {
            return self.refuse(next, Flaw::OtherKey);
        }
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return self.refuse(tail.from.0, Flaw::Extent);
        };
        if first != (tail.from, tail.before) {
            return self.refuse(tail.from.0.min(first.0.0), Flaw::Extent);
        }
        if last != (tail.seq, tail.hash) {
            let at = if last.0 == tail.seq { last.0.0 } else { last.0.0.min(tail.seq.0) + 1 };
            return self.refuse(at, Flaw::Extent);
        }
        let missing = tail.receipts.iter().find(|seq| !self.receipts.iter().any(|shown| shown.seq == **seq));
        if let Some(missing) = missing {
            self.refuse(missing.0, Flaw::NoReceipt);
        }
    }
}

#[cfg(test)]
mod tests;
