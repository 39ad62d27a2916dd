use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::AuditHash;
use crate::{
    id::Seq,
    signing::{PrivateKey, PublicKey, Signature, Statement},
};

/// What the installation says of its chain: up to here it goes, and this is its last hash. Noted by a witness it is a checkpoint; at the end of
/// an export it says that nothing is missing there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// The last entry.
    pub seq: Seq,
    /// Its hash.
    pub hash: AuditHash,
    /// The first entry of the export that it ends.
    pub from: Seq,
    /// The hash before that.
    pub before: AuditHash,
    /// The entries that the export was made for: receipts; none for a whole one.
    pub receipts: Vec<Seq>,
    /// When it was signed, in microseconds.
    pub at: DateTime<Utc>,
    /// By whom.
    pub key: PublicKey,
    /// Over all of that.
    pub signature: Signature,
}

/// What an export shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The first entry, and the hash before it.
    pub first: (Seq, AuditHash),
    /// The last entry, and its hash.
    pub last: (Seq, AuditHash),
    /// The receipts that it was made for.
    pub receipts: Vec<Seq>,
}

impl SignedHead {
    /// Signs.
    pub fn sign(extent: Extent, at: DateTime<Utc>, key: &PrivateKey) -> Self {
        let signature = key.sign(&statement(&extent, at));
        Self {
            seq: extent.last.0,
            hash: extent.last.1,
            from: extent.first.0,
            before: extent.first.1,
            receipts: extent.receipts,
            at,
            key: key.public(),
            signature,
        }
    }

    /// Was it signed with the key that it names, and is it unchanged?
    pub fn is_genuine(&self) -> bool {
        let extent = Extent {
            first: (self.from, self.before),
            last: (self.seq, self.hash),
            receipts: self.receipts.clone(),
        };
        self.key.verify(&statement(&extent, self.at), &self.signature)
    }
}

fn statement(extent: &Extent, at: DateTime<Utc>) -> Statement {
    let number = |seq: Seq| seq.0.to_be_bytes();
    let receipts: Vec<u8> = extent.receipts.iter().flat_map(|seq| number(*seq)).collect();
    Statement::new("claviger-audit-head/v1")
        .field(number(extent.first.0))
        .field(extent.first.1.0)
        .field(number(extent.last.0))
        .field(extent.last.1.0)
        .field(receipts)
        .field(at.timestamp_micros().to_be_bytes())
}
