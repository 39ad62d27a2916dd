//! The audit log: append-only, hash-chained, intent before effect.
//!
//! Intent and outcome are two entries, never one that changes. The hash of an entry is SHA-256 over a length-prefixed encoding of all its
//! fields and the hash before it; the chain starts from 32 zero bytes. [`verify`] is the reader's side and shares no code with the
//! writer but the encoding, which is the format.

mod export;
mod head;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::{
    export::{ExportVerdict, ExportVerifier, Flaw, ShownReceipt, Witness, entry_line, head_line, read_head},
    head::{Extent, SignedHead},
};
use crate::id::{SagaId, Seq};

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditKind {
    /// A scan began.
    ScanStarted,
    /// A scan ended.
    ScanFinished,
    /// A plan was accepted and is now a saga.
    SagaPlanned,
    /// A worker took a saga over.
    SagaClaimed,
    /// An effect at a target is about to be tried.
    Intent,
    /// What came of an intent.
    Outcome,
    /// A saga came to rest.
    SagaFinished,
    /// Evidence that a credential is refused, or why there is none.
    Receipt,
    /// A person decided something.
    Decision,
    /// A sealed value was destroyed.
    Shredded,
    /// A value was asked for by content (`trace`).
    Traced,
    /// A report or export was made.
    Exported,
    /// A plan waits for another person's approval.
    Proposed,
    /// A person approved a plan.
    Approved,
    /// A plan was let through because of an incident, without the approvals that it wanted.
    BreakGlass,
    /// An incident was opened or closed, or something was said of it.
    Incident,
    /// Revoked credentials were tried again.
    Reprobed,
    /// Copies were read and logged in with.
    Verified,
    /// A drill was begun, or came to its end.
    Drill,
    /// What is scheduled was paused.
    SchedulePaused,
    /// A pause ended.
    ScheduleResumed,
    /// Somebody had what is scheduled start at once.
    ScheduleAsked,
    /// What we log in with ourselves is to be renewed, or was.
    OwnRenewed,
    /// A database that went back in time was compared with the targets.
    Reconciled,
    /// One of the installation's own keys was replaced, taken away, or said to be lost.
    KeyChanged,
    /// Somebody was let in to the API, or is not any more.
    AccessChanged,
    /// Leaked values were reported by a request.
    Reported,
    /// A saga waits for an operator.
    SagaStopped,
    /// Findings of the highest severity are new.
    FindingsOpened,
    /// A guard kept a plan, or the rest of one, from being begun.
    GuardStopped,
    /// Nothing is begun at a backend for a while, as it wants to be left alone.
    BudgetClosed,
}

/// An entry before it has a place in the chain. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditDraft {
    /// What it is about.
    pub kind: AuditKind,
    /// Who: `user@host`, or `worker:<id>`.
    pub actor: String,
    /// The ref or name of the subject.
    pub subject: String,
    /// The saga, if one is concerned.
    pub saga: Option<SagaId>,
    /// The saga's step.
    pub step: Option<String>,
    /// More, as JSON with sorted keys.
    pub detail: serde_json::Value,
}

/// A hash of the chain, printed as hex.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuditHash(pub [u8; 32]);

impl AuditHash {
    /// What stands before the first entry.
    pub const GENESIS: Self = Self([0; 32]);

    /// Parses 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for AuditHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AuditHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("a hash is 64 hex digits"))
    }
}

/// An entry of the chain, as stored and exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Position, from 1, without gaps.
    pub seq: Seq,
    /// When it was written, in microseconds.
    pub at: DateTime<Utc>,
    /// The content.
    #[serde(flatten)]
    pub draft: AuditDraft,
    /// The hash of the entry before.
    pub prev_hash: AuditHash,
    /// This entry's hash.
    pub hash: AuditHash,
}

impl AuditEntry {
    /// Chains a draft behind `(seq, hash)` of the entry before, or behind [`AuditHash::GENESIS`] with seq 0.
    pub fn chain(draft: AuditDraft, at: DateTime<Utc>, before: (Seq, AuditHash)) -> Self {
        let seq = Seq(before.0.0 + 1);
        let hash = hash(seq, at, &draft, before.1);
        Self { seq, at, draft, prev_hash: before.1, hash }
    }
}

/// JSON with sorted keys and no white space: the same value has the same text, whatever order a database or a library kept it in.
fn canonical(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort();
            let fields = keys.into_iter().map(|key| {
                let name = serde_json::Value::from(key.as_str());
                format!("{name}:{}", canonical(&map[key]))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn hash(seq: Seq, at: DateTime<Utc>, draft: &AuditDraft, prev: AuditHash) -> AuditHash {
    let mut sha = Sha256::new();
    sha.update(b"claviger-audit/v1\0");
    sha.update(prev.0);
    let kind = serde_json::to_string(&draft.kind).unwrap_or_default();
    let fields = [
        seq.0.to_string(),
        at.timestamp_micros().to_string(),
        kind,
        draft.actor.clone(),
        draft.subject.clone(),
        draft.saga.map(|saga| saga.to_string()).unwrap_or_default(),
        draft.step.clone().unwrap_or_default(),
        canonical(&draft.detail),
    ];
    for field in fields {
        sha.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        sha.update(field.as_bytes());
    }
    AuditHash(sha.finalize().into())
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How many entries were read.
    pub entries: u64,
    /// The hash of the last good entry.
    pub head: AuditHash,
    /// True if the whole chain holds.
    pub valid: bool,
    /// The first entry that does not hold, by its position in the input, from 1.
    pub first_bad: Option<i64>,
}

/// Verifies a chain from its first entry on. Give entries one by one: memory is flat.
#[derive(Debug)]
pub struct Verifier {
    seq: i64,
    head: AuditHash,
    entries: u64,
    first_bad: Option<i64>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { seq: 0, head: AuditHash::GENESIS, entries: 0, first_bad: None }
    }
}

impl Verifier {
    /// Takes the next entry; `None` stands for a line that is no entry.
    pub fn push(&mut self, entry: Option<&AuditEntry>) {
        self.entries += 1;
        if self.first_bad.is_some() {
            return;
        }
        let expected = self.seq + 1;
        let good = entry.is_some_and(|entry| {
            entry.seq.0 == expected
                && entry.prev_hash == self.head
                && entry.hash == hash(entry.seq, entry.at, &entry.draft, entry.prev_hash)
        });
        match entry {
            Some(entry) if good => {
                self.seq = expected;
                self.head = entry.hash;
            }
            _ => self.first_bad = Some(expected),
        }
    }

    /// The verdict. `head` is what a witness says the last hash was: a chain cut at its end is found only this way.
    pub fn finish(self, witnessed: Option<(Seq, AuditHash)>) -> Verification {
        let cut = witnessed.is_some_and(|(seq, head)| seq.0 != self.seq || head != self.head);
        let first_bad = self.first_bad.or_else(|| cut.then_some(self.seq + 1));
        Verification { entries: self.entries, head: self.head, valid: first_bad.is_none(), first_bad }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(n: i64) -> Vec<AuditEntry> {
        let mut before = (Seq(0), AuditHash::GENESIS);
        (0..n)
            .map(|i| {
                let draft = AuditDraft {
                    kind: AuditKind::Intent,
                    actor: "test".into(),
                    subject: format!("db/role/{i}"),
                    saga: None,
                    step: None,
                    detail: serde_json::json!({ "i": i }),
                };
                let entry =
                    AuditEntry::chain(draft, DateTime::from_timestamp(i, 0).expect("in range"), before);
                before = (entry.seq, entry.hash);
                entry
            })
            .collect()
    }

    fn first_bad(entries: &[AuditEntry], witness: Option<(Seq, AuditHash)>) -> Option<i64> {
        let mut verifier = Verifier::default();
        entries.iter().for_each(|entry| verifier.push(Some(entry)));
        verifier.finish(witness).first_bad
    }

    #[test]
    fn every_tampering_is_found_at_its_exact_place() {
        let good = chain(20);
        let witness = good.last().map(|entry| (entry.seq, entry.hash));
        assert_eq!(first_bad(&good, witness), None);
        for at in 0..20_usize {
            let place = Some(i64::try_from(at).expect("small") + 1);
            let mut edited = good.clone();
            edited[at].draft.subject.push('x');
            assert_eq!(first_bad(&edited, witness), place);
            let mut rehashed = good.clone();
            rehashed[at].draft.actor = "mallory".into();
            rehashed[at].hash =
                hash(rehashed[at].seq, rehashed[at].at, &rehashed[at].draft, rehashed[at].prev_hash);
            let found = first_bad(&rehashed, witness);
            assert_eq!(found, if at == 19 { Some(20 + 1) } else { place.map(|place| place + 1) });
            let mut removed = good.clone();
            removed.remove(at);
            assert_eq!(first_bad(&removed, witness), if at == 19 { Some(20) } else { place });
            if at < 19 {
                let mut swapped = good.clone();
                swapped.swap(at, at + 1);
                assert_eq!(first_bad(&swapped, witness), place);
            }
        }
    }

    #[test]
    fn an_entry_survives_its_export() {
        for entry in chain(3) {
            let text = serde_json::to_string(&entry).expect("serialises");
            let back: AuditEntry = serde_json::from_str(&text).expect("parses");
            assert_eq!(back, entry);
        }
    }
}
