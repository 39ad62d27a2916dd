//! Scheduled verification: does each copy still log in, and do the copies of a credential still agree?
//!
//! Each copy is read where it lies, and its issuer is asked for a login with what it holds. A refusal counts only if the copy, read once more, still holds that
//! value and is refused again, and no rotation is under way: else somebody was just changing it. Who cannot be asked is unknown, never drift. Nothing
//! is changed at a target. Logins are paced by the budgets of the backends.

mod pace;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use claviger_backend::Verdict;
use claviger_core::{
    agreement::{Agreement, CheckedCopy, Login},
    audit::AuditKind,
    fingerprint::Form,
    id::CredentialId,
    model::{CopyStage, CredentialState},
    reference::Ref,
    schedule::Budget,
    secret::SecretValue,
    view::{CopyView, CredentialDetail},
};
use claviger_store::port::Selection;
use futures::{StreamExt as _, stream::FuturesUnordered};
use serde::Serialize;

use self::pace::Paces;
use crate::{Engine, Result, saga::leaf_at, scan, selector::Selector};

/// Credentials that are looked at at the same time. How many calls a backend gets at once its budget says.
const AT_ONCE: usize = 16;
/// Credentials that are read together.
const PAGE: u64 = 256;

/// What a verification came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// What was seen of each credential.
    pub items: Vec<Agreement>,
    /// Those that are broken and were not before.
    pub newly_broken: Vec<Ref>,
    /// Those that were broken and are mended.
    pub mended: Vec<Ref>,
    /// Those that were left out, as something is under way with them.
    pub under_way: usize,
}

impl Verified {
    /// Copies by what their logins came to.
    pub fn logins(&self, login: Login) -> usize {
        self.items.iter().flat_map(|seen| &seen.copies).filter(|copy| copy.login == login).count()
    }

    /// Credentials of which something is wrong.
    pub fn broken(&self) -> usize {
        self.items.iter().filter(|seen| seen.is_broken()).count()
    }
}

/// A place that is looked at.
struct Place {
    at: Ref,
    /// Only a name beside the value says whose it is: a refusal may mean that it is another system's.
    is_claimed: bool,
    /// The inventory no longer counts it to this credential, as its value is another one since it was seen.
    has_left: bool,
}

/// A value as it was read.
struct Held {
    value: SecretValue,
    /// The public half of a pair is no value to log in with.
    is_text: bool,
}

/// Copies of credentials of which no issuer is known, by ref: whose value changed past us, an issuer no longer takes for its own.
type Unowned = BTreeSet<Ref>;

impl Engine {
    /// Verifies every credential that has copies and that the selector matches where there is one, keeps what it saw, and evaluates findings. Repeat: asks
    /// again.
    ///
    /// # Errors
    /// The database, or the selector cannot be decided. Who cannot be asked is told in the answer.
    pub async fn verify(&self, selector: Option<&Selector>, budgets: &[Budget]) -> Result<Verified> {
        let inventory = &self.ports.inventory;
        if selector.is_none() {
            inventory.record_verification(self.clock.now()).await?;
        }
        let before: HashMap<CredentialId, Agreement> =
            inventory.agreements().await?.into_iter().map(|seen| (seen.credential, seen)).collect();
        let unowned = if before.is_empty() { Unowned::new() } else { self.unowned().await? };
        let paces = Paces::new(budgets, Arc::clone(&self.clock));
        let busy = self.under_way().await?;
        let (mut verified, mut stale) = (Verified::default(), BTreeSet::new());
        let mut selection = Selection { limit: Some(PAGE), ..Selection::default() };
        loop {
            let page = inventory.details(self.clock.now(), &selection).await?;
            let Some(last) = page.last().map(|last| last.credential.at.clone()) else { break };
            let views: Vec<_> = page.iter().map(|detail| detail.credential.clone()).collect();
            let chosen: BTreeSet<CredentialId> = match selector {
                Some(selector) => selector.choose(&views)?.iter().map(|one| one.id).collect(),
                None => views.iter().map(|one| one.id).collect(),
            };
            let (mut wanted, mut beside) = (Vec::new(), 0);
            for detail in page.iter().filter(|detail| chosen.contains(&detail.credential.id)) {
                let places = places(detail, before.get(&detail.credential.id), &unowned);
                if busy.contains(&detail.credential.id) {
                    beside += 1;
                } else if detail.credential.state == CredentialState::Active && !places.is_empty() {
                    // Only of what should be accepted a refusal says something.
                    wanted.push((detail, places));
                } else if before.contains_key(&detail.credential.id) {
                    // Of what is revoked, or has no copy any more, nothing is said.
                    stale.insert(detail.credential.id);
                }
            }
            verified.under_way += beside;
            let (mut wanted, mut seen) = (wanted.into_iter(), Vec::new());
            let mut running = FuturesUnordered::new();
            loop {
                if running.len() < AT_ONCE
                    && let Some((detail, places)) = wanted.next()
                {
                    running.push(self.look(detail, places, before.get(&detail.credential.id), &paces));
                    continue;
                }
                match running.next().await {
                    Some(one) => seen.push(one),
                    None => break,
                }
            }
            let after = self.under_way().await?;
            for seen in seen {
                // What was begun meanwhile explains what was seen.
                if after.contains(&seen.credential) {
                    verified.under_way += 1;
                    continue;
                }
                let known = before.get(&seen.credential);
                let seen = seen.after(known);
                match (known.is_some_and(Agreement::is_broken), seen.is_broken()) {
                    (false, true) => verified.newly_broken.push(seen.at.clone()),
                    (true, false) => verified.mended.push(seen.at.clone()),
                    _ => {}
                }
                verified.items.push(seen);
            }
            selection.after = Some(last);
        }
        inventory.record_agreements(&verified.items).await?;
        let stale: Vec<CredentialId> = stale.into_iter().collect();
        inventory.forget_agreements(&stale).await?;
        self.tell_verified(&verified).await?;
        scan::evaluate(self).await?;
        Ok(verified)
    }

    async fn tell_verified(&self, verified: &Verified) -> Result<()> {
        for at in &verified.newly_broken {
            let seen = verified.items.iter().find(|seen| seen.at == *at);
            let refused: Vec<&str> =
                seen.iter().flat_map(|seen| seen.refused()).map(|copy| copy.at.as_str()).collect();
            tracing::warn!(
                event = "drift",
                credential = %at,
                values = seen.map(Agreement::values),
                refused = ?refused,
                "copies no longer log in or no longer agree"
            );
        }
        for at in &verified.mended {
            tracing::info!(event = "drift-mended", credential = %at, "copies log in and agree again");
        }
        let detail = serde_json::json!({
            "credentials": verified.items.len(), "refused": verified.logins(Login::Refused), "unknown": verified.logins(Login::Unknown),
            "broken": verified.newly_broken, "mended": verified.mended, "under_way": verified.under_way,
        });
        self.ports.audit.append(vec![self.said(AuditKind::Verified, "copies", detail)]).await?;
        Ok(())
    }

    /// Credentials with which something is under way: their copies may be unlike for a while.
    async fn under_way(&self) -> Result<BTreeSet<CredentialId>> {
        let mut busy = BTreeSet::new();
        for id in self.ports.journal.unfinished().await? {
            if let Some(record) = self.ports.journal.load(id).await? {
                busy.insert(record.plan.credential);
            }
        }
        Ok(busy)
    }

    async fn unowned(&self) -> Result<Unowned> {
        let all = self.ports.inventory.copies(&Selection::default()).await?;
        let is_tied = |copy: &&CopyView| !matches!(copy.evidence.as_str(), "alone" | "fingerprint" | "place");
        let tied: BTreeSet<CredentialId> = all.iter().filter(is_tied).map(|copy| copy.credential).collect();
        let free =
            all.iter().filter(|copy| copy.stage == CopyStage::Current && !tied.contains(&copy.credential));
        Ok(free.map(|copy| copy.at.clone()).collect())
    }

    async fn look(
        &self,
        detail: &CredentialDetail,
        places: Vec<Place>,
        before: Option<&Agreement>,
        paces: &Paces,
    ) -> Agreement {
        let subject = &detail.credential.at;
        let mut read = Vec::new();
        for place in places {
            match self.read_copy(&place.at, paces).await {
                // What has left and is gone is nobody's copy any more.
                Ok(None) if place.has_left => {}
                Ok(None) => read.push((place, Err("it is gone".to_owned()))),
                Ok(Some(held)) => read.push((place, Ok(held))),
                Err(why) => read.push((place, Err(why))),
            }
        }
        let mut tried: BTreeMap<u32, (Login, String)> = BTreeMap::new();
        let mut values: Vec<&Held> = Vec::new();
        let mut seen = Vec::new();
        for (place, held) in &read {
            let at = &place.at;
            let held = match held {
                Ok(held) => held,
                Err(why) => {
                    seen.push(self.checked(at, Login::Unknown, None, why.clone()));
                    continue;
                }
            };
            let known = values.iter().position(|other| other.value.expose() == held.value.expose());
            let number = known.unwrap_or_else(|| {
                values.push(held);
                values.len() - 1
            });
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let (login, evidence) = match tried.get(&number) {
                Some(answer) => answer.clone(),
                None => {
                    let answer = self.log_in_twice(subject, at, held, paces).await;
                    tried.insert(number, answer.clone());
                    answer
                }
            };
            let accepted_before = before
                .and_then(|before| before.copies.iter().find(|copy| copy.at == *at))
                .is_some_and(|copy| copy.login != Login::Unknown);
            if place.is_claimed && login != Login::Accepted && !accepted_before {
                let why = format!("only a name beside it says whose it is ({evidence})");
                seen.push(self.checked(at, Login::Unknown, None, why));
            } else {
                seen.push(self.checked(at, login, Some(number), evidence));
            }
        }
        Agreement {
            credential: detail.credential.id,
            at: subject.clone(),
            checked_at: self.clock.now(),
            copies: seen,
        }
    }

    fn checked(&self, at: &Ref, login: Login, value: Option<u32>, evidence: String) -> CheckedCopy {
        CheckedCopy { at: at.clone(), login, value, seen_at: self.clock.now(), evidence }
    }

    /// A refusal is believed if the copy, read again, still holds the value and it is refused again.
    async fn log_in_twice(&self, subject: &Ref, at: &Ref, held: &Held, paces: &Paces) -> (Login, String) {
        if !held.is_text {
            return (
                Login::Unknown,
                "a pair of keys is compared by its public half, and not logged in with".to_owned(),
            );
        }
        let first = self.try_login(subject, &held.value, paces).await;
        if first.0 != Login::Refused {
            return first;
        }
        match self.read_copy(at, paces).await {
            Ok(Some(again)) if again.value.expose() == held.value.expose() => {
                self.try_login(subject, &held.value, paces).await
            }
            Ok(_) => (Login::Unknown, format!("{at} was changed while it was looked at")),
            Err(why) => (Login::Unknown, why),
        }
    }

    async fn try_login(&self, subject: &Ref, value: &SecretValue, paces: &Paces) -> (Login, String) {
        let unknown = |why: String| (Login::Unknown, why);
        let member = match self.estate.member(subject.backend()) {
            Ok(member) => member,
            Err(error) => return unknown(error.to_string()),
        };
        let issuer = member.backend.issuer().filter(|_| member.backend.capability().verify);
        let Some(issuer) = issuer else {
            return unknown("no issuer is known that could be asked".to_owned());
        };
        let _turn = paces.turn(subject.backend()).await;
        match issuer.verify(subject, value).await {
            Ok(probe) => match probe.verdict {
                Verdict::Accepted => (Login::Accepted, probe.path),
                Verdict::Refused(evidence) => (Login::Refused, format!("{evidence}: {}", probe.path)),
                Verdict::Inconclusive(why) => unknown(format!("a login is inconclusive: {why}")),
            },
            Err(error) => unknown(format!("a login failed: {}", error.message())),
        }
    }

    async fn read_copy(&self, at: &Ref, paces: &Paces) -> std::result::Result<Option<Held>, String> {
        let member = self.estate.member(at.backend()).map_err(|error| error.to_string())?;
        let store = member.backend.store().filter(|_| member.backend.capability().read);
        let store = store.ok_or("its store shows no values")?;
        let _turn = paces.turn(at.backend()).await;
        match store.read(at).await {
            Ok(Some(stored)) => {
                let leaf =
                    leaf_at(at, &stored.value).ok_or_else(|| format!("{at} holds no such value any more"))?;
                Ok(Some(Held { is_text: leaf.form == Form::Text, value: leaf.canonical }))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(format!("{at} could not be read: {}", error.message())),
        }
    }
}

/// The copies that the inventory knows, and those that an earlier verification knew and that no other credential has got since.
fn places(detail: &CredentialDetail, before: Option<&Agreement>, unowned: &Unowned) -> Vec<Place> {
    let current = detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current);
    let mut places: Vec<Place> = current
        .filter(|copy| copy.fingerprint.is_some())
        .map(|copy| Place { at: copy.at.clone(), is_claimed: copy.evidence == "claimed", has_left: false })
        .collect();
    for copy in before.map(|before| before.copies.as_slice()).unwrap_or_default() {
        if unowned.contains(&copy.at) && places.iter().all(|place| place.at != copy.at) {
            places.push(Place { at: copy.at.clone(), is_claimed: false, has_left: true });
        }
    }
    places
}
