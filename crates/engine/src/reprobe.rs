//! What was revoked is tried again: is it still dead?
//!
//! A revoked value is kept nowhere: its sealed copy is destroyed when its saga rests, and the fingerprint tells no value. So it can be logged in
//! with only where it still lies, or lies again: each place of which the inventory knows that it holds or held it is read. Besides, its issuer is
//! asked whether it has the credential again, which needs no value. What can be neither tried nor asked is told as unknown.

mod again;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use claviger_backend::{Presence, Verdict};
use claviger_core::{
    audit::AuditKind,
    canonical::{self, Input},
    fingerprint::{Fingerprint, Form},
    id::CredentialId,
    model::{CopyStage, CredentialState, Place},
    observation::Bundle,
    reference::Ref,
    secret::SecretValue,
    view::{CredentialView, Reprobe, ReprobeView},
};
use claviger_store::port::Selection;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

pub use self::again::{Again, REASON};
use crate::{Engine, Result, policy::policy_for, scan, selector::Selector};

/// Fingerprints that are looked up together.
const PAGE: usize = 500;
/// Credentials that are tried at the same time. How many calls a backend gets at once its own layer limits.
const AT_ONCE: usize = 16;

/// One revoked credential, tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reprobed {
    /// The credential.
    pub credential: CredentialId,
    /// Its ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// What is known of it.
    pub state: CredentialState,
    /// What it came to.
    pub answer: Reprobe,
    /// On what that rests.
    pub evidence: String,
    /// Where it was logged in with.
    pub path: Option<String>,
    /// Places in which its value was found.
    pub found_in: Vec<Ref>,
    /// The policy that says that it is revoked again where it is back.
    pub re_revoke: Option<String>,
}

/// What its value showed.
#[derive(Default)]
struct Tried {
    found_in: Vec<Ref>,
    accepted: Option<(Ref, String)>,
    refused: Option<(String, String)>,
    /// Why nothing could be said of a value that was found, or of a place.
    unclear: Vec<String>,
}

impl Engine {
    /// Tries everything that was revoked, and that the selector matches where there is one. What it shows is kept, and findings are evaluated
    /// again. Changes nothing at a target; a login is made where a value is found. Repeat: asks again.
    ///
    /// # Errors
    /// The database, or the selector cannot be decided. Who cannot be asked is told in the answer.
    pub async fn reprobe(&self, selector: Option<&Selector>) -> Result<Vec<Reprobed>> {
        let everything = Selection { gone: true, ..Selection::default() };
        let all = self.ports.inventory.credentials(self.clock.now(), &everything).await?;
        let back: HashSet<Ref> =
            self.ports.inventory.returned().await?.into_iter().map(|one| one.credential).collect();
        let chosen: Vec<&CredentialView> = match selector {
            Some(selector) => selector.choose(&all)?,
            None => all.iter().collect(),
        };
        // One that a scan has seen again is active again.
        let chosen: Vec<_> =
            chosen.into_iter().filter(|one| is_revoked(one.state) || back.contains(&one.at)).collect();
        let places = self.places_of(&chosen.iter().map(|one| one.id).collect()).await?;
        let none = BTreeSet::new();
        // Made before the stream: a closure over references within it would make all of this unfit to be spawned.
        let trials = chosen.into_iter();
        let trials: Vec<_> =
            trials.map(|one| self.reprobe_one(one, places.get(&one.id).unwrap_or(&none))).collect();
        let tried: Vec<Reprobed> = stream::iter(trials).buffered(AT_ONCE).try_collect().await?;
        let now = self.clock.now();
        for one in &tried {
            let view = ReprobeView { at: now, answer: one.answer, evidence: one.evidence.clone() };
            self.ports.inventory.record_reprobe(one.credential, &view).await?;
        }
        let is_back: Vec<_> =
            tried.iter().filter(|one| one.answer.is_back()).map(|one| one.at.as_str()).collect();
        let unknown = tried.iter().filter(|one| one.answer == Reprobe::Unknown).count();
        let detail = serde_json::json!({ "tried": tried.len(), "back": is_back, "unknown": unknown });
        self.ports.audit.append(vec![self.said(AuditKind::Reprobed, "revoked", detail)]).await?;
        scan::evaluate(self).await?;
        Ok(tried)
    }

    /// Where the inventory knows of a value that one of these has, or had.
    async fn places_of(
        &self,
        chosen: &HashSet<CredentialId>,
    ) -> Result<BTreeMap<CredentialId, BTreeSet<Ref>>> {
        let mut places: BTreeMap<CredentialId, BTreeSet<Ref>> = BTreeMap::new();
        if chosen.is_empty() {
            return Ok(places);
        }
        let everything = Selection { gone: true, ..Selection::default() };
        let copies = self.ports.inventory.copies(&everything).await?;
        let prints: BTreeSet<Fingerprint> =
            copies.iter().filter_map(|copy| Fingerprint::parse(copy.fingerprint.as_deref()?)).collect();
        let prints: Vec<_> = prints.into_iter().collect();
        let mut owners: HashMap<String, Vec<CredentialId>> = HashMap::new();
        for page in prints.chunks(PAGE) {
            for (print, id) in self.ports.inventory.by_fingerprint(page).await? {
                if chosen.contains(&id) {
                    owners.entry(print.to_string()).or_default().push(id);
                }
            }
        }
        for copy in copies.iter().filter(|copy| copy.stage != CopyStage::Former) {
            let own = chosen.contains(&copy.credential).then_some(copy.credential);
            let shared = copy.fingerprint.as_ref().and_then(|print| owners.get(print));
            for id in own.into_iter().chain(shared.into_iter().flatten().copied()) {
                places.entry(id).or_default().insert(copy.at.clone());
            }
        }
        Ok(places)
    }

    async fn reprobe_one(&self, credential: &CredentialView, places: &BTreeSet<Ref>) -> Result<Reprobed> {
        let tried = self.try_values(credential, places).await?;
        let present = self.listed(&credential.at).await;
        let path = match (&tried.accepted, &tried.refused) {
            (Some((_, path)), _) => Some(path.clone()),
            (None, Some((_, path))) => Some(path.clone()),
            (None, None) => None,
        };
        let (answer, evidence) = judge(&tried, &present);
        let re_revoke = policy_for(&self.estate.policies, credential)?.filter(|policy| policy.re_revoke);
        Ok(Reprobed {
            credential: credential.id,
            at: credential.at.clone(),
            state: credential.state,
            answer,
            evidence,
            path,
            found_in: tried.found_in,
            re_revoke: re_revoke.map(|policy| policy.name.clone()),
        })
    }

    /// Does its issuer have it? `Err` says why that is not known.
    async fn listed(&self, at: &Ref) -> Result<bool, String> {
        let member = self.estate.member(at.backend()).map_err(|error| error.to_string())?;
        let issuer = member.backend.issuer().filter(|issuer| issuer.ending(at).refused.is_none());
        let issuer = issuer.ok_or("no issuer is known that could refuse it")?;
        match issuer.presence(at).await {
            Ok(presence) => Ok(matches!(presence, Presence::Present(_))),
            Err(error) => Err(format!("its issuer could not be asked: {}", error.message())),
        }
    }

    async fn try_values(&self, credential: &CredentialView, places: &BTreeSet<Ref>) -> Result<Tried> {
        let mut tried = Tried::default();
        let mut known: Vec<SecretValue> = Vec::new();
        for at in places {
            let Ok(member) = self.estate.member(at.backend()) else { continue };
            let Some(store) = member.backend.store().filter(|_| member.backend.capability().read) else {
                continue;
            };
            let stored = match store.read(at).await {
                Ok(Some(stored)) => stored.value,
                Ok(None) => continue,
                Err(error) => {
                    tried.unclear.push(format!("{at} could not be read: {}", error.message()));
                    continue;
                }
            };
            for (value, prints) in self.values_within(at, &stored) {
                let owners = self.ports.inventory.by_fingerprint(&prints).await?;
                if owners.iter().all(|(_, id)| *id != credential.id) {
                    continue;
                }
                if !tried.found_in.contains(at) {
                    tried.found_in.push(at.clone());
                }
                if known.iter().any(|other| other.expose() == value.expose()) {
                    continue;
                }
                self.log_in(&credential.at, at, &value, &mut tried).await;
                known.push(value);
            }
        }
        Ok(tried)
    }

    async fn log_in(&self, subject: &Ref, found_in: &Ref, value: &SecretValue, tried: &mut Tried) {
        let member = self.estate.member(subject.backend()).ok();
        let issuer = member.filter(|member| member.backend.capability().verify);
        let Some(issuer) = issuer.and_then(|member| member.backend.issuer()) else { return };
        match issuer.verify(subject, value).await {
            Ok(probe) => match probe.verdict {
                Verdict::Accepted => tried.accepted = Some((found_in.clone(), probe.path)),
                Verdict::Refused(evidence) => tried.refused = Some((evidence, probe.path)),
                Verdict::Inconclusive(why) => {
                    tried.unclear.push(format!("a login with it is inconclusive: {why}"));
                }
            },
            Err(error) => tried.unclear.push(format!("a login with it failed: {}", error.message())),
        }
    }

    /// Each value within a field, with the fingerprints that it may be known by.
    fn values_within(&self, at: &Ref, stored: &SecretValue) -> Vec<(SecretValue, Vec<Fingerprint>)> {
        let bundle = Bundle::default();
        let field = at.field_name().unwrap_or_default();
        let key = field.split('/').next().unwrap_or_default();
        let input = Input { key, place: Place::SecretStore, kind: None, bundle: &bundle };
        let leaves = canonical::leaves(&input, stored).into_iter().filter(|leaf| leaf.form == Form::Text);
        leaves
            .map(|leaf| {
                let prints = self.keys.fingerprint.every(leaf.form, &leaf.canonical);
                (leaf.canonical, prints)
            })
            .collect()
    }
}

fn is_revoked(state: CredentialState) -> bool {
    matches!(
        state,
        CredentialState::RevokedProven | CredentialState::RevokedAttested | CredentialState::RevokedUnproven
    )
}

/// What both answers come to.
fn judge(tried: &Tried, present: &Result<bool, String>) -> (Reprobe, String) {
    if let Some((found_in, path)) = &tried.accepted {
        return (Reprobe::AcceptedAgain, format!("the value in {found_in} is accepted: {path}"));
    }
    let unclear = match tried.unclear.first() {
        Some(why) => format!("; {why}"),
        None => String::new(),
    };
    match (&tried.refused, present) {
        (Some((evidence, _)), Ok(true)) => (
            Reprobe::ListedAgain,
            format!("its issuer has it again; the value that was found is refused: {evidence}{unclear}"),
        ),
        (None, Ok(true)) => {
            (Reprobe::ListedAgain, format!("its issuer has it again; its value could not be tried{unclear}"))
        }
        (_, Ok(false)) if !tried.unclear.is_empty() => {
            (Reprobe::Unknown, format!("its issuer does not have it{unclear}"))
        }
        (Some((evidence, _)), Ok(false)) => (Reprobe::StillRefused, evidence.clone()),
        (None, Ok(false)) => {
            (Reprobe::StillGone, "its issuer does not have it, and its value was found nowhere".to_owned())
        }
        (Some((evidence, _)), Err(_)) if tried.unclear.is_empty() => {
            (Reprobe::StillRefused, evidence.clone())
        }
        (_, Err(why)) => (Reprobe::Unknown, format!("{why}{unclear}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(accepted: bool, refused: bool, unclear: bool) -> Tried {
        let at = Ref::from_text("kv/a#b");
        Tried {
            found_in: Vec::new(),
            accepted: accepted.then(|| (at, "path".to_owned())),
            refused: refused.then(|| ("28P01".to_owned(), "path".to_owned())),
            unclear: unclear.then(|| "throttled".to_owned()).into_iter().collect(),
        }
    }

    #[test]
    fn nothing_that_is_unclear_is_called_dead() {
        let silent = || Err("down".to_owned());
        for (value, present, expected) in [
            (tried(true, true, true), Ok(false), Reprobe::AcceptedAgain),
            (tried(false, true, false), Ok(true), Reprobe::ListedAgain),
            (tried(false, false, true), Ok(true), Reprobe::ListedAgain),
            (tried(false, true, false), Ok(false), Reprobe::StillRefused),
            (tried(false, false, false), Ok(false), Reprobe::StillGone),
            (tried(false, true, true), Ok(false), Reprobe::Unknown),
            (tried(false, false, true), Ok(false), Reprobe::Unknown),
            (tried(false, true, false), silent(), Reprobe::StillRefused),
            (tried(false, false, false), silent(), Reprobe::Unknown),
            (tried(false, true, true), silent(), Reprobe::Unknown),
        ] {
            assert_eq!(judge(&value, &present).0, expected);
        }
    }
}
