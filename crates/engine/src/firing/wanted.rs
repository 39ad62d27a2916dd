//! The firing that a credential should have.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use claviger_core::{
    firing::PauseView, id::PauseId, reference::Ref, schedule::Urgency, view::CredentialView,
};
use claviger_store::Wanted;

use crate::{Estate, Result, policy::policy_for, selector::Selector, timing};

/// A pause with its selector read.
#[derive(Debug, Clone)]
pub struct Held {
    id: PauseId,
    /// `None`: everything.
    selector: Option<Selector>,
}

impl Held {
    /// Reads a pause.
    ///
    /// # Errors
    /// Its selector cannot be read: then nobody knows what it holds.
    pub fn read(pause: &PauseView) -> Result<Self> {
        let selector = pause.selector.as_deref().map(Selector::parse).transpose()?;
        Ok(Self { id: pause.id, selector })
    }

    /// Does it hold everything? Then no claim is made, and no firing has to be told.
    pub fn is_whole(&self) -> bool {
        self.selector.is_none()
    }

    /// The first pause with a selector that holds a credential. One that cannot be decided holds.
    pub fn first_of(pauses: &[Self], credential: &CredentialView) -> Option<PauseId> {
        let holds = |pause: &&Self| {
            pause.selector.as_ref().is_some_and(|selector| selector.matches(credential).unwrap_or(true))
        };
        pauses.iter().find(holds).map(|pause| pause.id)
    }
}

/// The firing that a credential should have now; `None` where no policy has it rotated. Its identity and its consumers are what it holds: of two credentials
/// that share one of these never both are under way.
///
/// # Errors
/// Which policy holds for it, or whether an exception does, cannot be decided.
pub fn wanted(
    estate: &Estate,
    credential: &CredentialView,
    consumers: &[Ref],
    pauses: &[Held],
    now: DateTime<Utc>,
) -> Result<Option<Wanted>> {
    let Some(policy) = policy_for(&estate.policies, credential)? else { return Ok(None) };
    let Some(due) = timing::due(estate, policy, credential, now)? else { return Ok(None) };
    let mut holds: BTreeSet<String> =
        consumers.iter().map(|consumer| format!("consumer {consumer}")).collect();
    holds.extend(credential.identity.as_ref().map(|identity| format!("identity {identity}")));
    holds.insert(format!("credential {}", credential.id));
    Ok(Some(Wanted {
        credential: credential.id,
        due_at: due.at,
        subject: credential.at.clone(),
        backend: credential.backend.clone(),
        policy: policy.name.clone(),
        holds: holds.into_iter().collect(),
        // What may start now came first that was due first, and stays in its place from one look to the next.
        starts_at: if due.may_start(now) { due.at.min(now) } else { due.starts_at },
        urgency: Urgency::of(credential),
        pause: Held::first_of(pauses, credential),
    }))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use claviger_core::schedule::{Expression, Schedule, zone};

    use super::*;
    use crate::{condition::tests::credential, policy::Policy, timing::Timing};

    fn estate() -> Estate {
        let berlin = zone("Europe/Berlin").unwrap();
        let timing = Timing {
            schedule: Some(Schedule::new(Expression::parse("0 3 * * *").unwrap(), berlin)),
            ..Timing::default()
        };
        let policy = Policy {
            name: "nightly".to_owned(),
            selector: Selector::parse("*").unwrap(),
            max_age: None,
            strategy: None,
            approvals: 0,
            retain: false,
            re_revoke: false,
            password: None,
            grace: None,
            evidence: None,
            consumers_at_once: None,
            timing,
        };
        let mut estate = Estate::default();
        estate.policies.push(policy);
        estate
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn pause(selector: Option<&str>, id: u128) -> Held {
        let view = PauseView {
            id: PauseId(uuid::Uuid::from_u128(id)),
            selector: selector.map(str::to_owned),
            reason: "r".to_owned(),
            actor: "a".to_owned(),
            since: at("2027-01-01T00:00:00Z"),
        };
        Held::read(&view).unwrap()
    }

    #[test]
    fn it_is_due_once_for_all_that_was_missed_and_keeps_its_place() {
        let mut one = credential();
        (one.created_at, one.last_rotated_at) = (None, Some(at("2027-01-01T12:00:00Z")));
        let consumers = [Ref::from_text("k/ns/Deployment/web")];
        let of = |now: &str| wanted(&estate(), &one, &consumers, &[], at(now)).unwrap().unwrap();
        let early = of("2027-01-01T13:00:00Z");
        assert_eq!(early.due_at, at("2027-01-02T02:00:00Z"));
        assert_eq!(early.starts_at, early.due_at);
        for later in ["2027-01-02T02:00:00Z", "2027-01-09T17:00:00Z", "2027-01-09T18:00:00Z"] {
            assert_eq!(of(later), early, "a week without anybody: one firing, the same");
        }
        assert!(early.holds.contains(&"consumer k/ns/Deployment/web".to_owned()));
        one.last_rotated_at = Some(at("2027-01-09T18:00:00Z"));
        let next = wanted(&estate(), &one, &consumers, &[], at("2027-01-09T18:00:00Z")).unwrap().unwrap();
        assert_eq!(next.due_at, at("2027-01-10T02:00:00Z"));
        assert!(next.due_at > early.due_at + TimeDelta::days(1));
    }

    #[test]
    fn a_pause_holds_what_it_names() {
        let one = credential();
        assert_eq!(Held::first_of(&[], &one), None);
        let other = pause(Some("kind=certificate"), 1);
        assert_eq!(Held::first_of(std::slice::from_ref(&other), &one), None);
        let own = pause(Some(one.at.as_str()), 2);
        assert_eq!(Held::first_of(&[other.clone(), own.clone()], &one), Some(own.id));
        let all = pause(None, 3);
        assert!(all.is_whole() && !own.is_whole());
        assert_eq!(Held::first_of(&[all, other], &one), None, "no firing is told of it");
    }
}
