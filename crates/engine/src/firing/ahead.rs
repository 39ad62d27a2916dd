//! Planning ahead: what should be planned is compared with what is, and only the difference is written.

use std::collections::{BTreeSet, HashMap};

use claviger_core::{
    id::{CredentialId, FiringId},
    reference::Ref,
};
use claviger_store::{PlannedFiring, Replan, Selection, Wanted};
use serde::Serialize;

use super::{Held, Scheduler, wanted};
use crate::Result;

/// Credentials that are read at once.
const PAGE: u64 = 2000;

/// What planning ahead came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ahead {
    /// Firings that are wanted.
    pub wanted: usize,
    /// What was planned or changed.
    pub put: usize,
    /// What is not wanted any more.
    pub dropped: usize,
    /// Credentials of which cannot be decided when they are due: they are not planned, and not taken off either.
    pub undecided: Vec<Ref>,
}

/// What has to be changed so that what is planned is what is wanted. Of `undecided` credentials nothing is.
pub fn changes(
    planned: &[PlannedFiring],
    wanted: &[Wanted],
    undecided: &BTreeSet<CredentialId>,
) -> Vec<Replan> {
    let mut left: HashMap<FiringId, &PlannedFiring> =
        planned.iter().map(|firing| (firing.id, firing)).collect();
    let mut changes: Vec<Replan> = wanted
        .iter()
        .filter(|one| {
            let known = left.remove(&FiringId::derive(one.credential, one.due_at));
            known.is_none_or(|known| !same(known, one))
        })
        .cloned()
        .map(Replan::Put)
        .collect();
    let gone = left.values().filter(|firing| !undecided.contains(&firing.credential));
    let mut gone: Vec<_> = gone.map(|firing| firing.id).collect();
    gone.sort_unstable();
    changes.extend(gone.into_iter().map(Replan::Drop));
    changes
}

fn same(known: &PlannedFiring, wanted: &Wanted) -> bool {
    let starts_at = known.retry_at.map_or(wanted.starts_at, |retry| retry.max(wanted.starts_at));
    known.policy == wanted.policy
        && known.holds == wanted.holds
        && known.pause == wanted.pause
        && (known.asked || (known.starts_at == starts_at && known.urgency == wanted.urgency))
}

impl Scheduler {
    /// Makes what is planned what the inventory, the configuration and the pauses of this moment want. Repeat changes nothing.
    ///
    /// # Errors
    /// The database, or a pause whose selector cannot be read.
    pub async fn plan_ahead(&self) -> Result<Ahead> {
        let engine = &self.engine;
        let now = engine.clock.now();
        // Read before the credentials: what is planned meanwhile is not taken off for want of having been seen.
        let planned = self.firings.planned().await?;
        let pauses = self.held().await?;
        let mut consumers: HashMap<CredentialId, Vec<Ref>> = HashMap::new();
        for consumer in engine.ports.inventory.consumers(&Selection::default()).await? {
            if let Some(credential) = consumer.credential {
                consumers.entry(credential).or_default().push(consumer.at);
            }
        }
        let (mut all, mut ahead, mut undecided) = (Vec::new(), Ahead::default(), BTreeSet::new());
        let mut selection = Selection { limit: Some(PAGE), ..Selection::default() };
        loop {
            let page = engine.ports.inventory.credentials(now, &selection).await?;
            for credential in &page {
                let readers = consumers.get(&credential.id).map_or(&[][..], Vec::as_slice);
                match wanted(&engine.estate, credential, readers, &pauses, now) {
                    Ok(one) => all.extend(one),
                    Err(error) => {
                        tracing::warn!(subject = %credential.at, %error, "it cannot be decided when this is due");
                        undecided.insert(credential.id);
                        ahead.undecided.push(credential.at.clone());
                    }
                }
            }
            match page.last() {
                Some(last) if u64::try_from(page.len()).is_ok_and(|read| read >= PAGE) => {
                    selection.after = Some(last.at.clone());
                }
                _ => break,
            }
        }
        let changes = changes(&planned, &all, &undecided);
        ahead.wanted = all.len();
        ahead.put = changes.iter().filter(|change| matches!(change, Replan::Put(_))).count();
        ahead.dropped = changes.len() - ahead.put;
        self.firings.replan(now, &changes).await?;
        Ok(ahead)
    }

    /// The same for one credential, after it was changed.
    pub(super) async fn plan_ahead_of(&self, id: CredentialId) -> Result<()> {
        if let Some(one) = self.wanted_of(id, &self.held().await?).await? {
            self.firings.replan(self.engine.clock.now(), &[Replan::Put(one)]).await?;
        }
        Ok(())
    }

    /// The firing that a credential should have by the inventory of this moment. Where it cannot be decided it should have none.
    pub(super) async fn wanted_of(&self, id: CredentialId, pauses: &[Held]) -> Result<Option<Wanted>> {
        let engine = &self.engine;
        let now = engine.clock.now();
        let Some(detail) = engine.ports.inventory.credential(now, id).await? else { return Ok(None) };
        let consumers: Vec<Ref> = detail.consumers.iter().map(|consumer| consumer.at.clone()).collect();
        wanted(&engine.estate, &detail.credential, &consumers, pauses, now)
    }

    /// The pauses that hold.
    pub(super) async fn held(&self) -> Result<Vec<Held>> {
        self.firings.pauses().await?.iter().map(Held::read).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use uuid::Uuid;

    use claviger_core::schedule::Urgency;

    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
    }

    fn one(number: u128, due: i64) -> Wanted {
        Wanted {
            urgency: Urgency::Usual,
            credential: CredentialId(Uuid::from_u128(number)),
            due_at: at(due),
            subject: Ref::from_text(format!("db/role/{number}")),
            backend: "db".to_owned(),
            policy: "p".to_owned(),
            holds: vec![format!("credential {number}")],
            starts_at: at(due),
            pause: None,
        }
    }

    fn kept(wanted: &Wanted) -> PlannedFiring {
        PlannedFiring {
            urgency: wanted.urgency,
            asked: false,
            id: FiringId::derive(wanted.credential, wanted.due_at),
            credential: wanted.credential,
            policy: wanted.policy.clone(),
            holds: wanted.holds.clone(),
            starts_at: wanted.starts_at,
            retry_at: None,
            pause: None,
        }
    }

    #[test]
    fn only_the_difference_is_written() {
        let (same, moved, new, gone) = (one(1, 10), one(2, 20), one(3, 30), one(4, 40));
        let mut before = kept(&moved);
        before.starts_at = at(19);
        let planned = [kept(&same), before, kept(&gone)];
        let none = BTreeSet::new();
        let found = changes(&planned, &[same.clone(), moved.clone(), new.clone()], &none);
        assert_eq!(found, [Replan::Put(moved), Replan::Put(new), Replan::Drop(kept(&gone).id)]);
        assert_eq!(changes(&planned[..1], &[same], &none), []);
        let undecided = BTreeSet::from([gone.credential]);
        assert_eq!(changes(&planned[2..], &[], &undecided), [], "nobody knows: it stays as it is");
    }

    #[test]
    fn one_that_is_put_off_stays_put_off_and_another_instant_is_another_firing() {
        let wanted = one(1, 10);
        let mut put_off = kept(&wanted);
        (put_off.starts_at, put_off.retry_at) = (at(70), Some(at(70)));
        assert_eq!(changes(&[put_off.clone()], std::slice::from_ref(&wanted), &BTreeSet::new()), []);
        let mut later = wanted;
        later.due_at += TimeDelta::minutes(1);
        let found = changes(&[put_off.clone()], std::slice::from_ref(&later), &BTreeSet::new());
        assert_eq!(found, [Replan::Put(later), Replan::Drop(put_off.id)]);
    }
}
