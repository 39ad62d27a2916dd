//! What chains are drawn from: a part of the inventory, ordered so that each link is found without looking at everything.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

use super::{Chain, Limits, OPENS, OPENS_MAYBE, Pattern};
use crate::{
    id::CredentialId,
    model::{Attributes, CopyStage, CredentialState, ScopeStatus},
    reference::Ref,
    view::{BackendScanView, CopyView, CredentialDetail, GrantView},
};

/// Kinds of backend that are CI systems.
const CI: [&str; 4] = ["gitea", "github", "gitlab", "jenkins"];
/// Kinds of backend that tell who reads what lies there.
const TELLS_READERS: [&str; 7] =
    ["kubernetes", "manifest", "gitea", "github", "gitlab", "jenkins", "simulated"];

/// A part of the inventory.
#[derive(Default)]
pub struct Estate<'a> {
    details: HashMap<CredentialId, &'a CredentialDetail>,
    /// Refs of current copies, each with its credential.
    copies: BTreeMap<&'a str, BTreeSet<CredentialId>>,
    /// Credentials by whom they authenticate.
    holders: HashMap<&'a Ref, Vec<CredentialId>>,
    /// Grants that open something, by the backend of what they open.
    openings: HashMap<&'a str, Vec<(Pattern<'a>, &'a GrantView)>>,
    coverage: HashMap<&'a str, &'a BackendScanView>,
    /// Patterns under which more lies than is here.
    crowded: BTreeSet<String>,
    /// Places whose value nobody can read and that belong to no credential that is known otherwise.
    unread: usize,
    /// Credentials that may come to one of these and were not handed over.
    left_out: usize,
    /// Whoever asks sees a part of the inventory only.
    narrow: bool,
}

impl<'a> Estate<'a> {
    /// Of these credentials, of these grants of whoever may come to one of them, and of how the systems were read.
    pub fn new(
        details: impl IntoIterator<Item = &'a CredentialDetail>,
        grants: impl IntoIterator<Item = &'a GrantView>,
        coverage: &'a [BackendScanView],
    ) -> Self {
        let mut estate = Self::default();
        for detail in details {
            let credential = &detail.credential;
            estate.details.insert(credential.id, detail);
            for copy in current(detail) {
                estate.copies.entry(copy.at.as_str()).or_default().insert(credential.id);
            }
            if let Some(identity) = &credential.identity {
                estate.holders.entry(identity).or_default().push(credential.id);
            }
        }
        for grant in grants {
            for pattern in opens(grant).into_iter().flatten() {
                let backend = pattern.as_str().split('/').next().unwrap_or_default();
                estate.openings.entry(backend).or_default().push((pattern, grant));
            }
        }
        estate.coverage = coverage.iter().map(|backend| (backend.name.as_str(), backend)).collect();
        estate
    }

    /// Says that more lies under these patterns than was handed over.
    #[must_use]
    pub fn crowded(mut self, patterns: BTreeSet<String>) -> Self {
        self.crowded = patterns;
        self
    }

    /// Says of how many places nobody can read the value, and nothing else is known.
    #[must_use]
    pub fn with_unread(mut self, unread: usize) -> Self {
        self.unread = unread;
        self
    }

    /// Says how many credentials of those who may read a place were not handed over.
    #[must_use]
    pub fn with_openers_left_out(mut self, left_out: usize) -> Self {
        self.left_out = left_out;
        self
    }

    /// Says that whoever asks sees a part of the inventory only: what is not here may be there all the same.
    #[must_use]
    pub fn narrow(mut self, narrow: bool) -> Self {
        self.narrow = narrow;
        self
    }

    pub(super) const fn is_narrow(&self) -> bool {
        self.narrow
    }

    /// Of a system of which no scan is here.
    fn unscanned(&self, backend: &str) -> String {
        match self.narrow {
            true => format!("how {backend} was scanned cannot be seen with these rights"),
            false => format!("no scan of {backend} has ended"),
        }
    }

    pub(super) const fn left_out(&self) -> usize {
        self.left_out
    }

    pub(super) fn detail(&self, id: CredentialId) -> Option<&'a CredentialDetail> {
        self.details.get(&id).copied()
    }

    pub(super) const fn unread(&self) -> usize {
        self.unread
    }

    pub(super) fn is_crowded(&self, pattern: Pattern<'_>) -> bool {
        self.crowded.contains(pattern.as_str())
    }

    /// Places that the pattern covers, each with the credentials that lie there.
    fn lying<'p>(
        &'p self,
        pattern: Pattern<'p>,
    ) -> impl Iterator<Item = (&'a str, &'p BTreeSet<CredentialId>)> {
        let beginning = pattern.beginning();
        // A ref that begins with it is not before it.
        let from = self.copies.range::<str, _>((Bound::Included(beginning), Bound::Unbounded));
        from.take_while(move |(at, _)| at.starts_with(beginning))
            .filter(move |(at, _)| pattern.covers(&Ref::from_text(**at)))
            .map(|(at, ids)| (*at, ids))
    }

    /// The credentials that lie where the pattern says, each with the first place there.
    pub(super) fn within(&self, pattern: Pattern<'_>) -> Vec<(&'a str, CredentialId)> {
        let mut seen = BTreeSet::new();
        let all = self.lying(pattern).flat_map(|(at, ids)| ids.iter().map(move |id| (at, *id)));
        all.filter(|(_, id)| seen.insert(*id)).collect()
    }

    /// Does a right of it let anybody read another credential?
    fn opens_another(&self, detail: &CredentialDetail) -> bool {
        let grants = detail.identity.iter().flat_map(|identity| &identity.grants);
        let mut patterns = grants.filter_map(opens).flatten();
        let another = |ids: &BTreeSet<CredentialId>| ids.iter().any(|id| *id != detail.credential.id);
        patterns.any(|pattern| self.lying(pattern).any(|(_, ids)| another(ids)))
    }

    /// The chains that are worth drawing: of credentials that jobs of a CI system are given, first those that open others, and of credentials that open others. At most
    /// so many, and how many more there are.
    pub fn chains(&self, most: usize, limits: Limits) -> (Vec<Chain>, usize) {
        let mut worth: Vec<(u8, &Ref, CredentialId)> = Vec::new();
        for detail in self.details.values().filter(|detail| usable(detail)) {
            let is_given =
                detail.consumers.iter().any(|consumer| consumer.attributes.contains_key("ci_secret"));
            let rank = match (is_given, self.opens_another(detail)) {
                (true, true) => 0,
                (true, false) => 1,
                (false, true) => 2,
                (false, false) => continue,
            };
            worth.push((rank, &detail.credential.at, detail.credential.id));
        }
        worth.sort_unstable();
        let more = worth.len().saturating_sub(most);
        let drawn = worth.into_iter().take(most).filter_map(|(_, _, id)| self.chain(id, limits));
        (drawn.collect(), more)
    }

    /// Grants that let their holder read this object.
    pub(super) fn opening(&self, at: &Ref) -> impl Iterator<Item = &'a GrantView> {
        let of_backend = self.openings.get(at.backend()).into_iter().flatten();
        of_backend.filter(|(pattern, _)| pattern.covers(at)).map(|(_, grant)| *grant)
    }

    /// Credentials that authenticate it and would be accepted.
    pub(super) fn holders(&self, identity: &Ref) -> impl Iterator<Item = &'a CredentialDetail> {
        let ids = self.holders.get(identity).into_iter().flatten();
        ids.filter_map(|id| self.detail(*id)).filter(|detail| usable(detail))
    }

    fn kind(&self, backend: &str) -> Option<&'a str> {
        self.coverage.get(backend).map(|backend| backend.kind.as_str())
    }

    /// Does it lie in a CI system?
    pub(super) fn is_ci(&self, at: &Ref) -> bool {
        match self.kind(at.backend()) {
            Some("simulated") => at.path().starts_with("forge/"),
            Some(kind) => CI.contains(&kind),
            None => false,
        }
    }

    /// Is any CI system read? `None`: no; else what of those that are could not be read.
    pub(super) fn ci(&self) -> Option<Vec<(&'a str, String)>> {
        let mut systems: Vec<&&BackendScanView> = self
            .coverage
            .values()
            .filter(|one| CI.contains(&one.kind.as_str()) || one.kind == "simulated")
            .collect();
        systems.sort_by(|one, other| one.name.cmp(&other.name));
        if systems.is_empty() {
            return None;
        }
        let gaps = systems
            .iter()
            .flat_map(|system| gaps(system, None).map(|why| (system.name.as_str(), why)).collect::<Vec<_>>());
        Some(gaps.collect())
    }

    /// Why it is not known who reads this, if it is not.
    pub(super) fn readers_unknown(&self, at: &Ref) -> Option<String> {
        let Some(backend) = self.coverage.get(at.backend()) else {
            return Some(self.unscanned(at.backend()));
        };
        if !TELLS_READERS.contains(&backend.kind.as_str()) {
            return Some(format!("no backend of kind {} tells who reads it", backend.kind));
        }
        let mut gaps = gaps(backend, Some(at.path()));
        gaps.next().map(|why| format!("not all was scanned: {why}"))
    }

    /// Why it is not known what this identity may do, if not all of its system was read.
    pub(super) fn rights_unknown(&self, identity: &Ref) -> Option<String> {
        let Some(backend) = self.coverage.get(identity.backend()) else {
            return Some(self.unscanned(identity.backend()));
        };
        let mut gaps = gaps(backend, None);
        let first = gaps.next()?;
        let more = gaps.count();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        Some(format!("not all of {} was scanned: {first}{more}", backend.name))
    }
}

/// What of a system was refused or broke off, of the areas that this path lies in, or of all.
fn gaps<'b>(backend: &'b BackendScanView, path: Option<&'b str>) -> impl Iterator<Item = String> + 'b {
    let whole = backend.error.iter().cloned();
    let lies_in = move |area: &str| match path {
        None => true,
        Some(path) => path.strip_prefix(area).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    };
    // What is listed and shows no value is unreadable, which says nothing of who reads it.
    let refused = |status: ScopeStatus| matches!(status, ScopeStatus::Denied | ScopeStatus::Failed);
    let scopes = backend.scopes.iter().filter(move |scope| refused(scope.status) && lies_in(&scope.scope));
    let scopes = scopes.map(|scope| match &scope.reason {
        Some(reason) => format!("{} ({}: {reason})", scope.scope, scope.status),
        None => format!("{} ({})", scope.scope, scope.status),
    });
    whole.chain(scopes)
}

/// What the grant opens, as its backend says. `None`: it says nothing of that.
pub(super) fn opens(grant: &GrantView) -> Option<impl Iterator<Item = Pattern<'_>>> {
    let all = grant.attributes.get(OPENS)?.as_array()?;
    Some(all.iter().filter_map(|one| one.as_str()).map(Pattern::new))
}

/// Is it certain that the grant opens what it says?
pub(super) fn certain(attributes: &Attributes) -> bool {
    !attributes.get(OPENS_MAYBE).and_then(serde_json::Value::as_bool).unwrap_or(false)
}

/// The copies that readers get now.
pub(super) fn current(detail: &CredentialDetail) -> impl Iterator<Item = &CopyView> {
    detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current)
}

/// Would it be accepted, as far as its state says? One whose end nobody has proven might.
fn usable(detail: &CredentialDetail) -> bool {
    is_accepted(detail.credential.state)
}

/// The same of a state.
pub(super) const fn is_accepted(state: CredentialState) -> bool {
    !matches!(
        state,
        CredentialState::RevokedProven
            | CredentialState::RevokedAttested
            | CredentialState::Gone
            | CredentialState::Expired
            | CredentialState::Suspended
            | CredentialState::Quarantined
    )
}
