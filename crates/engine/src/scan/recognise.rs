//! Recognition: whose value is this? Asked while the value is in memory, answered by proof where there is one.
//!
//! Issuers' verifiers (one per login role) are kept for the length of a scan. A candidate is compared only where something points at the
//! role: a user beside it, a URL, a key's name; or where there are few roles. Each comparison costs about half a millisecond, so results
//! are cached by (fingerprint, verifier) in the database and there is a budget; what it does not reach is `not tried`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Mutex,
};

use claviger_backend::Phase;
use claviger_core::{
    canonical::Leaf,
    fingerprint::{Fingerprint, FingerprintKey, Form},
    model::CredentialKind,
    observation::Verifier,
    reference::Ref,
};
use claviger_store::port::{CopyLink, LinkEvidence};

use super::outcome::BackendOutcome;
use crate::{Engine, Result, trace::fits};

/// Comparisons with verifiers in one scan: about 20 seconds of one core.
const COMPARISONS: u32 = 40_000;
/// With so few verifiers a password that nothing points from is compared with each…
const FEW: usize = 16;
/// …until so many comparisons were made that way.
const BLIND_COMPARISONS: u32 = 4_000;
/// Look-ups at one issuer in one scan.
const LOOKUPS: u32 = 500;

/// What an issuer can check offline.
struct Known {
    at: Ref,
    role: String,
    verifier: Verifier,
    digest: Fingerprint,
    cache: HashMap<Fingerprint, bool>,
}

struct Memory {
    known: Vec<Known>,
    by_role: BTreeMap<String, Vec<usize>>,
    roles: BTreeSet<Ref>,
    fresh: Vec<(Fingerprint, Fingerprint, bool)>,
    comparisons: u32,
    blind: u32,
    lookups: BTreeMap<String, u32>,
    looked_up: HashMap<Fingerprint, Option<Ref>>,
    incomplete: bool,
}

/// The memory of one scan.
pub(super) struct Recogniser {
    memory: Mutex<Memory>,
    identifiers: Vec<String>,
}

/// What recognition says of one leaf.
pub(super) enum Recognised {
    /// Linked.
    Link(CopyLink),
    /// Compared with what was pointed at, and none of it.
    NoneOf,
    /// Something pointed at an issuer, and it could not be tried.
    NotTried(&'static str),
}

impl Recogniser {
    pub(super) fn new(engine: &Engine) -> Self {
        let identifiers = engine
            .estate
            .members()
            .filter(|member| member.backend.capability().identify && member.backend.issuer().is_some())
            .map(|member| member.backend.info().name.clone())
            .collect();
        let memory = Memory {
            known: Vec::new(),
            by_role: BTreeMap::new(),
            roles: BTreeSet::new(),
            fresh: Vec::new(),
            comparisons: COMPARISONS,
            blind: BLIND_COMPARISONS,
            lookups: BTreeMap::new(),
            looked_up: HashMap::new(),
            incomplete: false,
        };
        Self { memory: Mutex::new(memory), identifiers }
    }

    /// Takes an issuer's verifier; gives its keyed digest.
    pub(super) async fn learn(
        &self,
        engine: &Engine,
        at: &Ref,
        kind: CredentialKind,
        verifier: Option<&Verifier>,
    ) -> Option<Fingerprint> {
        if kind == CredentialKind::Password {
            self.lock().roles.insert(at.clone());
        }
        let verifier = verifier?;
        let digest = digest(&engine.keys.fingerprint, verifier);
        // A cache that cannot be read only costs time.
        let cache =
            engine.ports.inventory.cached_links(&digest).await.unwrap_or_default().into_iter().collect();
        let role = at.path().rsplit('/').next().unwrap_or_default().to_owned();
        let mut memory = self.lock();
        let index = memory.known.len();
        memory.by_role.entry(role.to_lowercase()).or_default().push(index);
        memory.known.push(Known { at: at.clone(), role, verifier: verifier.clone(), digest, cache });
        Some(digest)
    }

    /// Called between the phases: if some issuer could not be read, links of earlier scans stand.
    pub(super) fn settle(&self, phase: Phase, outcomes: &BTreeMap<String, BackendOutcome>, broken: bool) {
        if phase == Phase::Issuers {
            self.lock().incomplete = broken || outcomes.values().any(|outcome| !outcome.is_complete());
        }
    }

    /// True if some issuer could not be asked.
    pub(super) fn incomplete(&self) -> bool {
        self.lock().incomplete
    }

    /// Issuers that this value was compared with in this scan and that it does not fit.
    pub(super) fn refuted(&self, leaf: &Leaf, fingerprint: &Fingerprint, place: &Ref) -> Vec<Ref> {
        let memory = self.lock();
        let mut candidates = memory.pointed_at(leaf, place);
        if candidates.is_empty() && memory.known.len() <= FEW {
            candidates = (0..memory.known.len()).collect();
        }
        let known = candidates.into_iter().map(|index| &memory.known[index]);
        known
            .filter(|known| known.cache.get(fingerprint) == Some(&false))
            .map(|known| known.at.clone())
            .collect()
    }

    /// Whose value is this?
    pub(super) async fn recognise(
        &self,
        engine: &Engine,
        leaf: &Leaf,
        fingerprint: &Fingerprint,
        place: &Ref,
        exhaustive: bool,
    ) -> Recognised {
        if leaf.form != Form::Text {
            return Recognised::NoneOf;
        }
        let compared = self.compare(leaf, fingerprint, place, exhaustive);
        if matches!(compared, Recognised::Link(_)) {
            return compared;
        }
        match self.look_up(engine, leaf, fingerprint).await {
            Some(link) => Recognised::Link(link),
            None => compared,
        }
    }

    fn compare(&self, leaf: &Leaf, fingerprint: &Fingerprint, place: &Ref, exhaustive: bool) -> Recognised {
        let may_be_password = matches!(
            leaf.kind,
            CredentialKind::Password
                | CredentialKind::Opaque
                | CredentialKind::ApiKey
                | CredentialKind::Token
                | CredentialKind::Registry
        );
        if !may_be_password {
            return Recognised::NoneOf;
        }
        let mut memory = self.lock();
        let mut out_of_budget = false;
        let mut candidates = memory.pointed_at(leaf, place);
        let all = 0..memory.known.len();
        if exhaustive {
            candidates = all.collect();
        } else if candidates.is_empty() && leaf.kind == CredentialKind::Password && all.len() <= FEW {
            let cost = u32::try_from(all.len()).unwrap_or(u32::MAX);
            let cached = memory.known.iter().all(|known| known.cache.contains_key(fingerprint));
            match memory.blind.checked_sub(cost) {
                _ if cached => candidates = all.collect(),
                Some(left) => {
                    memory.blind = left;
                    candidates = all.collect();
                }
                None => out_of_budget = true,
            }
        }
        let mut matching = Vec::new();
        for index in candidates {
            let known = &memory.known[index];
            let equal = match known.cache.get(fingerprint) {
                Some(equal) => *equal,
                None if memory.comparisons == 0 => {
                    out_of_budget = true;
                    continue;
                }
                None => {
                    let equal = fits(&known.verifier, &leaf.canonical);
                    let digest = known.digest;
                    memory.comparisons -= 1;
                    memory.known[index].cache.insert(*fingerprint, equal);
                    memory.fresh.push((*fingerprint, digest, equal));
                    equal
                }
            };
            if equal {
                matching.push(index);
            }
        }
        // Two roles with one password: the one that the bundle names, else the first.
        let named = leaf.bundle.user.as_deref();
        matching.sort_by_key(|index| (named != Some(memory.known[*index].role.as_str()), *index));
        match matching.first() {
            Some(index) => Recognised::Link(CopyLink {
                issuer: memory.known[*index].at.clone(),
                evidence: LinkEvidence::Verifier,
            }),
            None if out_of_budget => Recognised::NotTried("the budget for comparisons was used up"),
            None => memory.claim(leaf),
        }
    }

    async fn look_up(&self, engine: &Engine, leaf: &Leaf, fingerprint: &Fingerprint) -> Option<CopyLink> {
        if !matches!(
            leaf.kind,
            CredentialKind::Token
                | CredentialKind::SecretId
                | CredentialKind::BoundToken
                | CredentialKind::ServiceAccountToken
        ) {
            return None;
        }
        let found = |at: Ref| CopyLink { issuer: at, evidence: LinkEvidence::Lookup };
        if let Some(known) = self.lock().looked_up.get(fingerprint) {
            return known.clone().map(found);
        }
        for name in &self.identifiers {
            {
                let mut memory = self.lock();
                let spent = memory.lookups.entry(name.clone()).or_default();
                if *spent >= LOOKUPS {
                    continue;
                }
                *spent += 1;
            }
            let issuer = engine.estate.member(name).ok().and_then(|member| member.backend.issuer());
            let Some(issuer) = issuer else { continue };
            // An issuer that cannot say is not an issuer that says no.
            match issuer.identify(&leaf.canonical).await {
                Ok(Some(identified)) => {
                    self.lock().looked_up.insert(*fingerprint, Some(identified.at.clone()));
                    return Some(found(identified.at));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(backend.name = %name, error = %error, "an issuer could not be asked for a value");
                    self.lock().incomplete = true;
                }
            }
        }
        self.lock().looked_up.insert(*fingerprint, None);
        None
    }

    /// Keeps this scan's comparisons for the next.
    pub(super) async fn save(&self, engine: &Engine) -> Result<()> {
        let fresh = std::mem::take(&mut self.lock().fresh);
        engine.ports.inventory.cache_links(fresh).await?;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Memory {
    /// Verifiers that something points at: a user beside the value, or the role's name in the key or place.
    fn pointed_at(&self, leaf: &Leaf, place: &Ref) -> Vec<usize> {
        if let Some(user) = &leaf.bundle.user {
            return self.by_role.get(&user.to_lowercase()).cloned().unwrap_or_default();
        }
        let place = place.as_str().to_lowercase();
        let named = self.by_role.iter().filter(|(role, _)| role.len() >= 3 && place.contains(role.as_str()));
        named.flat_map(|(_, indexes)| indexes.iter().copied()).collect()
    }

    /// No verifier fits. Where the verifier of the named role is not readable, the user beside the value is a claim; where it is, the value is
    /// simply not that role's.
    fn claim(&self, leaf: &Leaf) -> Recognised {
        let Some(user) = &leaf.bundle.user else { return Recognised::NoneOf };
        let database = leaf.bundle.engine.as_deref().is_none_or(|engine| engine.starts_with("postgres"));
        let unreadable: Vec<&Ref> = self
            .roles
            .iter()
            .filter(|at| at.path().rsplit('/').next() == Some(user.as_str()))
            .filter(|at| !self.known.iter().any(|known| known.at == **at))
            .collect();
        match unreadable.as_slice() {
            [at] if database => {
                Recognised::Link(CopyLink { issuer: (*at).clone(), evidence: LinkEvidence::Claimed })
            }
            [] | [_] => Recognised::NoneOf,
            _ => {
                Recognised::NotTried("several databases have a role of this name and none shows its verifier")
            }
        }
    }
}

/// The keyed digest by which a verifier is known.
pub(super) fn digest(key: &FingerprintKey, verifier: &Verifier) -> Fingerprint {
    match verifier {
        Verifier::ScramSha256(text) => key.keyed("verifier", text.as_bytes()),
        Verifier::PostgresMd5(text, role) => key.keyed("verifier", format!("{text}\0{role}").as_bytes()),
    }
}
