//! Approvals: a second person's signature over exactly one plan.
//!
//! It is made with that person's own key, for a while, and binds the plan's hash, the person's name and both times. Whether it counts is judged
//! each time anew ([`judge`]): keys are withdrawn, approvals end, and nobody approves what they have planned themselves.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    saga::PlanHash,
    signing::{PrivateKey, PublicKey, Signature, Statement},
};

/// A person who may approve, as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    /// The name.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    /// As whom this person runs claviger, besides by their own name: `user` or `user@host`.
    pub actors: Vec<String>,
    /// From when on no approval of theirs counts any more, made before or after.
    pub until: Option<DateTime<Utc>>,
    /// Withdrawn at once.
    pub revoked: bool,
}

impl Approver {
    /// Is this who acted? `user@host` is, for the name of the user.
    fn is(&self, actor: &str) -> bool {
        let user = actor.split('@').next().unwrap_or(actor);
        [actor, user].iter().any(|name| self.name == *name || self.actors.iter().any(|other| other == name))
    }
}

/// A signature over a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The plan.
    pub plan: PlanHash,
    /// Who.
    pub approver: String,
    /// With which key.
    pub key: PublicKey,
    /// When it was made, in microseconds.
    pub at: DateTime<Utc>,
    /// When it ends.
    pub expires: DateTime<Utc>,
    /// Over all of that.
    pub signature: Signature,
}

impl Approval {
    /// Signs a plan.
    pub fn sign(
        plan: PlanHash,
        approver: String,
        at: DateTime<Utc>,
        expires: DateTime<Utc>,
        key: &PrivateKey,
    ) -> Self {
        let signature = key.sign(&statement(&plan, &approver, at, expires));
        Self { plan, approver, key: key.public(), at, expires, signature }
    }

    fn is_genuine(&self, key: &PublicKey) -> bool {
        key.verify(&statement(&self.plan, &self.approver, self.at, self.expires), &self.signature)
    }
}

fn statement(plan: &PlanHash, approver: &str, at: DateTime<Utc>, expires: DateTime<Utc>) -> Statement {
    Statement::new("claviger-approval/v1")
        .field(&plan.0)
        .field(approver)
        .field(at.timestamp_micros().to_be_bytes())
        .field(expires.timestamp_micros().to_be_bytes())
}

/// Why an approval does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Unfit {
    /// It is of another plan.
    #[error("it approves another plan")]
    OtherPlan,
    /// The configuration has nobody of that name.
    #[error("nobody of that name is among the approvers of the configuration")]
    Unknown,
    /// The configuration has another key for that name.
    #[error("it is signed with another key than the configuration has for that name")]
    OtherKey,
    /// It was not signed with that key, or changed since.
    #[error("its signature does not fit: it was not made with that key, or was changed")]
    Forged,
    /// The person may not approve any more.
    #[error("that person's right to approve has ended")]
    Withdrawn,
    /// It has ended, or has not begun.
    #[error("it is not valid at this time")]
    NotNow,
    /// The person has planned it, or is about to carry it out.
    #[error("that person has planned it or carries it out: nobody approves their own plan")]
    OwnPlan,
}

/// Does this approval count? `actors` are those who planned it and who is about to carry it out, as the audit log names them.
///
/// # Errors
/// Why not.
pub fn judge<'a>(
    approval: &Approval,
    plan: &PlanHash,
    approvers: &'a [Approver],
    actors: &[&str],
    now: DateTime<Utc>,
) -> Result<&'a Approver, Unfit> {
    if approval.plan != *plan {
        return Err(Unfit::OtherPlan);
    }
    let approver =
        approvers.iter().find(|approver| approver.name == approval.approver).ok_or(Unfit::Unknown)?;
    if approver.key != approval.key {
        return Err(Unfit::OtherKey);
    }
    if !approval.is_genuine(&approver.key) {
        return Err(Unfit::Forged);
    }
    if approver.revoked || approver.until.is_some_and(|until| until <= now) {
        return Err(Unfit::Withdrawn);
    }
    if approval.at > now || approval.expires <= now {
        return Err(Unfit::NotNow);
    }
    if actors.iter().any(|actor| approver.is(actor)) {
        return Err(Unfit::OwnPlan);
    }
    Ok(approver)
}

/// What a plan's approvals come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Names of those whose approval counts, each key once.
    pub given: Vec<String>,
    /// Names and reasons of the others.
    pub unfit: Vec<(String, Unfit)>,
}

/// Counts approvals: a person, and a key, once.
pub fn count(
    approvals: &[Approval],
    plan: &PlanHash,
    approvers: &[Approver],
    actors: &[&str],
    now: DateTime<Utc>,
) -> Count {
    let mut count = Count::default();
    let (mut keys, mut names) = (BTreeSet::new(), BTreeSet::new());
    for approval in approvals {
        match judge(approval, plan, approvers, actors, now) {
            Ok(approver) => {
                if keys.insert(approver.key) && names.insert(approver.name.as_str()) {
                    count.given.push(approver.name.clone());
                }
            }
            Err(reason) => count.unfit.push((approval.approver.clone(), reason)),
        }
    }
    // An older one that has ended is no news beside one that counts.
    count.unfit.retain(|(name, _)| !count.given.contains(name));
    count.unfit.dedup();
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    const PLAN: &str = "aa11";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    fn key(seed: u64) -> PrivateKey {
        PrivateKey::generate(&SeededRandom::new(seed))
    }

    fn approver(name: &str, seed: u64) -> Approver {
        Approver {
            name: name.to_owned(),
            key: key(seed).public(),
            actors: Vec::new(),
            until: None,
            revoked: false,
        }
    }

    fn approval(name: &str, seed: u64) -> Approval {
        Approval::sign(PlanHash(PLAN.to_owned()), name.to_owned(), at(100), at(200), &key(seed))
    }

    fn verdict(approval: &Approval, approvers: &[Approver], actors: &[&str], now: i64) -> Result<(), Unfit> {
        judge(approval, &PlanHash(PLAN.to_owned()), approvers, actors, at(now)).map(drop)
    }

    #[test]
    fn only_a_fresh_genuine_approval_of_that_plan_by_somebody_else_counts() {
        let all = [approver("dana", 1), approver("eve", 2)];
        let good = approval("dana", 1);
        assert_eq!(verdict(&good, &all, &["root@host"], 150), Ok(()));
        assert_eq!(verdict(&good, &all, &[], 99), Err(Unfit::NotNow));
        assert_eq!(verdict(&good, &all, &[], 200), Err(Unfit::NotNow));
        assert_eq!(verdict(&good, &all[1..], &[], 150), Err(Unfit::Unknown));
        assert_eq!(verdict(&approval("dana", 2), &all, &[], 150), Err(Unfit::OtherKey));
        let other = Approval { plan: PlanHash("bb".to_owned()), ..good.clone() };
        assert_eq!(verdict(&other, &all, &[], 150), Err(Unfit::OtherPlan));
        for actor in ["dana", "dana@desk"] {
            assert_eq!(verdict(&good, &all, &["root@host", actor], 150), Err(Unfit::OwnPlan), "{actor}");
        }
        let aliased = [Approver { actors: vec!["root@ops".to_owned()], ..approver("dana", 1) }];
        assert_eq!(verdict(&good, &aliased, &["root@ops"], 150), Err(Unfit::OwnPlan));
        assert_eq!(verdict(&good, &aliased, &["root@other"], 150), Ok(()));
        let revoked = [Approver { revoked: true, ..approver("dana", 1) }];
        assert_eq!(verdict(&good, &revoked, &[], 150), Err(Unfit::Withdrawn));
        let ended = [Approver { until: Some(at(150)), ..approver("dana", 1) }];
        assert_eq!(verdict(&good, &ended, &[], 150), Err(Unfit::Withdrawn));
    }

    #[test]
    fn no_field_can_be_changed_after_it_was_signed() {
        let all = [approver("dana", 1), Approver { name: "eve".to_owned(), ..approver("dana", 1) }];
        let good = approval("dana", 1);
        for forged in [
            Approval { expires: at(900), ..good.clone() },
            Approval { at: at(50), ..good.clone() },
            Approval { approver: "eve".to_owned(), ..good.clone() },
            Approval { signature: approval("dana", 2).signature, ..good.clone() },
        ] {
            assert_eq!(verdict(&forged, &all, &[], 150), Err(Unfit::Forged), "{forged:?}");
        }
        let moved = Approval { plan: PlanHash("bb".to_owned()), ..good };
        assert_eq!(judge(&moved, &PlanHash("bb".to_owned()), &all, &[], at(150)).err(), Some(Unfit::Forged));
    }

    #[test]
    fn one_person_and_one_key_count_once() {
        let twins = [approver("dana", 1), approver("eve", 1), approver("finn", 3)];
        let given = [approval("dana", 1), approval("dana", 1), approval("eve", 1), approval("finn", 3)];
        let plan = PlanHash(PLAN.to_owned());
        let counted = count(&given, &plan, &twins, &[], at(150));
        assert_eq!(counted.given, ["dana", "finn"]);
        assert!(counted.unfit.is_empty(), "{:?}", counted.unfit);
        let counted = count(&given, &plan, &twins, &["dana@x"], at(150));
        assert_eq!(counted.given, ["eve", "finn"]);
        assert_eq!(counted.unfit, [("dana".to_owned(), Unfit::OwnPlan)]);
    }
}
