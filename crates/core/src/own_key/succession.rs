use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    id::Seq,
    signing::{PrivateKey, PublicKey, Signature, Statement},
};

/// One signing key follows another: both say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Succession {
    /// The key before.
    pub old: PublicKey,
    /// The key from now on.
    pub new: PublicKey,
    /// The last entry of the audit log that the old key may have signed for.
    pub until: Seq,
    /// When.
    pub at: DateTime<Utc>,
    /// The old key's signature.
    pub by_old: Signature,
    /// The new key's signature.
    pub by_new: Signature,
}

impl Succession {
    /// Signs with both. `at` is taken to the microsecond.
    pub fn sign(old: &PrivateKey, new: &PrivateKey, until: Seq, at: DateTime<Utc>) -> Self {
        let at = DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at);
        let statement = statement(old.public(), new.public(), until, at);
        let (by_old, by_new) = (old.sign(&statement), new.sign(&statement));
        Self { old: old.public(), new: new.public(), until, at, by_old, by_new }
    }

    /// Did both keys sign it, and is it unchanged?
    pub fn is_genuine(&self) -> bool {
        let statement = statement(self.old, self.new, self.until, self.at);
        self.old.verify(&statement, &self.by_old) && self.new.verify(&statement, &self.by_new)
    }
}

fn statement(old: PublicKey, new: PublicKey, until: Seq, at: DateTime<Utc>) -> Statement {
    Statement::new("claviger-key-succession/v1")
        .field(old.to_string())
        .field(new.to_string())
        .field(until.0.to_be_bytes())
        .field(at.timestamp_micros().to_be_bytes())
}

/// May whoever trusts `pinned` trust a head at entry `seq` that `key` signed? Later keys are trusted as the keys before them said so; earlier ones
/// only for what they may have signed before they were replaced. What is not genuine in `history` counts for nothing.
pub fn trusts(pinned: PublicKey, key: PublicKey, seq: Seq, history: &[Succession]) -> bool {
    if pinned == key {
        return true;
    }
    let genuine: Vec<&Succession> = history.iter().filter(|one| one.is_genuine()).collect();
    let reaches = |from: PublicKey, to: PublicKey| {
        let (mut known, mut next) = (BTreeSet::from([from]), vec![from]);
        while let Some(at) = next.pop() {
            for one in genuine.iter().filter(|one| one.old == at) {
                if known.insert(one.new) {
                    next.push(one.new);
                }
            }
        }
        known.contains(&to)
    };
    reaches(pinned, key)
        || genuine.iter().any(|one| one.old == key && seq <= one.until && reaches(one.new, pinned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn trust_goes_forward_by_the_old_keys_word_and_back_to_what_was_signed_before() {
        let random = SeededRandom::new(3);
        let keys: Vec<PrivateKey> = (0..4).map(|_| PrivateKey::generate(&random)).collect();
        let at = DateTime::UNIX_EPOCH;
        let first = Succession::sign(&keys[0], &keys[1], Seq(10), at);
        let second = Succession::sign(&keys[1], &keys[2], Seq(20), at);
        let history = [first.clone(), second.clone()];
        let public = |index: usize| keys[index].public();
        assert!(trusts(public(0), public(0), Seq(99), &[]));
        assert!(trusts(public(0), public(2), Seq(99), &history), "two steps forward");
        assert!(trusts(public(2), public(0), Seq(10), &history), "two steps back");
        assert!(!trusts(public(2), public(0), Seq(11), &history), "signed after it was replaced");
        assert!(trusts(public(2), public(1), Seq(20), &history));
        assert!(!trusts(public(2), public(1), Seq(21), &history));
        assert!(!trusts(public(2), public(3), Seq(1), &history), "a stranger");
        assert!(!trusts(public(0), public(2), Seq(1), &history[..1]), "a gap");
        // A stranger who signs for itself, and for the other side too.
        let mut forged = Succession::sign(&keys[3], &keys[3], Seq(99), at);
        forged.old = public(0);
        assert!(!trusts(public(0), public(3), Seq(1), &[forged]));
        for change in 0..4 {
            let mut changed = first.clone();
            match change {
                0 => changed.until = Seq(11),
                1 => changed.at = at + chrono::TimeDelta::microseconds(1),
                2 => changed.by_new = changed.by_old,
                _ => changed.by_old = changed.by_new,
            }
            assert!(!changed.is_genuine(), "{change}");
            assert!(!trusts(public(1), public(0), Seq(1), &[changed]), "{change}");
        }
    }
}
