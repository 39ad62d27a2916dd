//! One chain out of what is known.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    Chain, Cut, Deploy, Estate, Job, Known, Next, Opened, Opener, Place, Right, Source, Stage, Unknown,
    Workload,
    estate::{certain, current, is_accepted, opens},
};
use crate::{
    id::CredentialId,
    model::{IdentityKind, PrivilegeLevel},
    reference::Ref,
    view::{ConsumerView, CopyView, CredentialDetail, GrantView},
};

/// How much of a chain is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Credentials that are drawn after one at each link on, and as many before it: the number of entries is how far the chain goes.
    pub fan: &'static [usize],
    /// Places, jobs, workloads, rights of one.
    pub items: usize,
}

impl Limits {
    /// For one credential that somebody looks at.
    pub const WHOLE: Self = Self { fan: &[12, 4, 2], items: 40 };
    /// For many on one page.
    pub const BRIEF: Self = Self { fan: &[4, 2], items: 8 };
}

impl Estate<'_> {
    /// The chain of a credential that is part of the estate.
    pub fn chain(&self, id: CredentialId, limits: Limits) -> Option<Chain> {
        let detail = self.detail(id)?;
        let mut drawing =
            Drawing { estate: self, limits, path: vec![id], drawn: HashSet::from([id]), is_upward: false };
        let mut chain = drawing.of(detail, 0);
        drawing.is_upward = true;
        drawing.opened_by(detail, 0, &mut chain);
        chain.unknown.sort();
        chain.unknown.dedup();
        Some(chain)
    }
}

struct Drawing<'e> {
    estate: &'e Estate<'e>,
    limits: Limits,
    /// From the first to the one that is drawn.
    path: Vec<CredentialId>,
    drawn: HashSet<CredentialId>,
    /// Looks at what comes before, and not at what follows.
    is_upward: bool,
}

impl<'e> Drawing<'e> {
    fn of(&mut self, detail: &'e CredentialDetail, depth: usize) -> Chain {
        let credential = &detail.credential;
        let mut chain = Chain {
            credential: credential.id,
            at: credential.at.clone(),
            kind: credential.kind,
            state: credential.state,
            identity: credential.identity.clone(),
            deploy: Vec::new(),
            places: Vec::new(),
            rights: Vec::new(),
            opened_by: Vec::new(),
            unknown: Vec::new(),
            cut: Vec::new(),
        };
        self.places(detail, &mut chain);
        if depth == 0 && !self.is_upward {
            self.no_deploy(&mut chain);
        }
        if !self.is_upward {
            self.rights(detail, depth, &mut chain);
        }
        chain
    }

    /// Where it lies and who reads it there.
    fn places(&self, detail: &'e CredentialDetail, chain: &mut Chain) {
        let mut objects: BTreeMap<Ref, Vec<&CopyView>> = BTreeMap::new();
        for copy in current(detail) {
            let object = if self.estate.is_ci(&copy.at) { copy.at.clone() } else { copy.at.object() };
            objects.entry(object).or_default().push(copy);
        }
        let mut placed = BTreeSet::new();
        for (object, copies) in objects {
            let readers: Vec<&ConsumerView> = detail
                .consumers
                .iter()
                .filter(|reader| copies.iter().any(|copy| lies_in(&copy.at, &reader.copy)))
                .collect();
            placed.extend(readers.iter().map(|reader| (&reader.at, &reader.copy)));
            let known = copies.iter().filter_map(|copy| Source::of_evidence(&copy.evidence)).min();
            let Some(known) = known.map(|source| Known::new(source, &object)) else {
                let why = "how it is known to hold the credential is not recorded".to_owned();
                chain.unknown.push(Unknown { stage: Stage::Place, about: object, why });
                continue;
            };
            let jobs: Vec<Job> = readers.iter().filter_map(|reader| Job::of(reader)).collect();
            if self.estate.is_ci(&object) || !jobs.is_empty() {
                self.deploy(object, known, jobs, chain);
            } else {
                self.place(object, known, &readers, chain);
            }
        }
        for reader in detail.consumers.iter().filter(|reader| !placed.contains(&(&reader.at, &reader.copy))) {
            let why = format!("{} reads it, and it is none of the places that can be seen", reader.at);
            chain.unknown.push(Unknown { stage: Stage::Place, about: reader.copy.clone(), why });
        }
        cut(&mut chain.deploy, self.limits.items, Stage::Deploy, &chain.at, &mut chain.cut);
        cut(&mut chain.places, self.limits.items, Stage::Place, &chain.at, &mut chain.cut);
    }

    fn deploy(&self, at: Ref, known: Known, mut jobs: Vec<Job>, chain: &mut Chain) {
        jobs.sort_by(|one, other| one.at.cmp(&other.at));
        jobs.dedup_by(|one, other| one.at == other.at);
        if jobs.is_empty() {
            let why = self.estate.readers_unknown(&at).unwrap_or_else(|| {
                "no workflow that was read asks for it; workflows on other branches and elsewhere are not read".to_owned()
            });
            chain.unknown.push(Unknown { stage: Stage::Build, about: at.clone(), why });
        }
        cut(&mut jobs, self.limits.items, Stage::Build, &at, &mut chain.cut);
        chain.deploy.push(Deploy { at, known, jobs });
    }

    fn place(&self, at: Ref, known: Known, readers: &[&ConsumerView], chain: &mut Chain) {
        let mut workloads: Vec<Workload> = readers
            .iter()
            .map(|reader| Workload {
                at: reader.at.clone(),
                how: reader.how,
                known: Known::new(Source::Specification, &reader.at),
            })
            .collect();
        workloads.sort_by(|one, other| (&one.at, one.how).cmp(&(&other.at, other.how)));
        workloads.dedup();
        // Of what was read in part there may be more, also where some is known.
        if let Some(why) = self.estate.readers_unknown(&at) {
            chain.unknown.push(Unknown { stage: Stage::Run, about: at.clone(), why });
        }
        cut(&mut workloads, self.limits.items, Stage::Run, &at, &mut chain.cut);
        chain.places.push(Place { namespace: namespace(&at), at, known, workloads });
    }

    /// What is to be said where no secret of a CI system is known to hold it.
    fn no_deploy(&self, chain: &mut Chain) {
        let mut unknown =
            |why| chain.unknown.push(Unknown { stage: Stage::Deploy, about: chain.at.clone(), why });
        if self.estate.is_narrow() {
            return unknown("what lies where these rights see nothing is no part of this".to_owned());
        }
        let Some(gaps) = self.estate.ci() else {
            return unknown("no backend reads a CI system".to_owned());
        };
        for (system, why) in gaps {
            unknown(format!("not all of {system} was scanned: {why}"));
        }
        let unread = self.estate.unread();
        if chain.deploy.is_empty() && unread > 0 {
            let (places, those) = match unread {
                1 => ("place shows its value to nobody and belongs", "it holds a copy"),
                _ => ("places show their value to nobody and belong", "one of them holds a copy"),
            };
            unknown(format!(
                "{unread} {places} to no credential that is known: whether {those} is not known"
            ));
        }
    }

    fn rights(&mut self, detail: &'e CredentialDetail, depth: usize, chain: &mut Chain) {
        let credential = &detail.credential;
        let mut unknown = |about: &Ref, why: &str| {
            chain.unknown.push(Unknown { stage: Stage::Rights, about: about.clone(), why: why.to_owned() });
        };
        let Some(at) = &credential.identity else {
            return unknown(
                &credential.at,
                "whom it authenticates is not known, so what it may do is not either",
            );
        };
        let Some(identity) = &detail.identity else {
            return unknown(at, "whom it authenticates was not scanned, or cannot be seen");
        };
        if let Some(why) = self.estate.rights_unknown(at) {
            unknown(at, &why);
        }
        if identity.kind == IdentityKind::DatabaseRole {
            unknown(at, "what it owns and was granted within the databases is not read");
        } else if identity.grants.is_empty() {
            unknown(at, "nothing that was scanned grants it anything");
        }
        for grant in &identity.grants {
            let right = self.right(grant, depth, chain);
            chain.rights.push(right);
        }
        cut(&mut chain.rights, self.limits.items, Stage::Rights, at, &mut chain.cut);
    }

    fn right(&mut self, grant: &'e GrantView, depth: usize, chain: &mut Chain) -> Right {
        let texts = |key: &str| {
            let all = grant.attributes.get(key).and_then(serde_json::Value::as_array);
            all.into_iter().flatten().filter_map(|one| one.as_str()).map(str::to_owned)
        };
        let mut right = Right {
            level: grant.level,
            privilege: grant.privilege.clone(),
            reach: grant.reach.clone(),
            rules: texts("rules").chain(texts("actions")).collect(),
            known: Known::new(Source::Grant, &grant.source),
            opens: Vec::new(),
        };
        // What is refused opens nothing, whatever its identity may do.
        if !is_accepted(chain.state) {
            return right;
        }
        let Some(patterns) = opens(grant) else {
            if grant.level == PrivilegeLevel::Unknown {
                let why = format!("what {} allows is not known", grant.privilege);
                chain.unknown.push(Unknown { stage: Stage::Rights, about: grant.source.clone(), why });
            } else if matches!(grant.level, PrivilegeLevel::Admin | PrivilegeLevel::Sensitive) {
                let why =
                    format!("{} may open other credentials: its backend does not say which", grant.privilege);
                chain.unknown.push(Unknown { stage: Stage::Opens, about: grant.source.clone(), why });
            }
            return right;
        };
        let mut found: BTreeSet<(&str, CredentialId)> = BTreeSet::new();
        let mut is_crowded = false;
        for pattern in patterns {
            found.extend(self.estate.within(pattern));
            is_crowded |= self.estate.is_crowded(pattern);
        }
        let fan = self.limits.fan.get(depth).copied().unwrap_or(0);
        // One that opens itself says nothing new, and one that is found by two patterns is one.
        let mut seen = BTreeSet::new();
        found.retain(|(_, id)| self.path.last() != Some(id) && seen.insert(*id));
        let total = found.len();
        let shown = if fan == 0 { self.limits.fan.last().copied().unwrap_or(0) } else { fan };
        for (at, id) in found.into_iter().take(shown) {
            let Some(detail) = self.estate.detail(id) else { continue };
            let place = Ref::from_text(at);
            let copy = current(detail).find(|copy| copy.at == place);
            let Some(source) = copy.and_then(|copy| Source::of_evidence(&copy.evidence)) else {
                let why = "how it is known to hold a credential is not recorded".to_owned();
                chain.unknown.push(Unknown { stage: Stage::Opens, about: place, why });
                continue;
            };
            let next = self.next(detail, depth);
            let known = Known::new(source, &place);
            right.opens.push(Opened { place, known, certain: certain(&grant.attributes), next });
        }
        if total > shown || is_crowded {
            // Of a crowded place not all were handed over: there is at least one more.
            let more = total.saturating_sub(shown).max(usize::from(is_crowded));
            chain.cut.push(Cut { stage: Stage::Opens, about: grant.source.clone(), more });
        }
        right
    }

    fn next(&mut self, detail: &'e CredentialDetail, depth: usize) -> Next {
        let (id, at) = (detail.credential.id, detail.credential.at.clone());
        if self.path.contains(&id) {
            return Next::Circle { at };
        }
        if self.drawn.contains(&id) {
            return Next::Elsewhere { at };
        }
        if depth >= self.limits.fan.len() {
            return Next::Deeper { at };
        }
        self.drawn.insert(id);
        self.path.push(id);
        let mut chain = self.of(detail, depth + 1);
        if self.is_upward {
            self.opened_by(detail, depth + 1, &mut chain);
        }
        self.path.pop();
        chain.unknown.sort();
        chain.unknown.dedup();
        Next::Chain { chain: Box::new(chain) }
    }

    /// Credentials whose holders may read a place that holds it.
    fn opened_by(&mut self, detail: &'e CredentialDetail, depth: usize, chain: &mut Chain) {
        let mut found: BTreeMap<CredentialId, (Ref, &GrantView, &CredentialDetail)> = BTreeMap::new();
        let mut without: BTreeSet<&Ref> = BTreeSet::new();
        let mut places: Vec<&Ref> = current(detail).map(|copy| &copy.at).collect();
        places.sort_unstable();
        for place in places {
            for grant in self.estate.opening(place) {
                let mut has_any = false;
                for holder in self.estate.holders(&grant.identity) {
                    has_any = true;
                    if holder.credential.id != detail.credential.id {
                        found.entry(holder.credential.id).or_insert((place.clone(), grant, holder));
                    }
                }
                if !has_any {
                    without.insert(&grant.identity);
                }
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by(|one, other| one.2.credential.at.cmp(&other.2.credential.at));
        let fan = self.limits.fan.get(depth).copied().unwrap_or(1);
        let total = found.len();
        for (place, grant, holder) in found.into_iter().take(fan) {
            let by = self.next(holder, depth);
            chain.opened_by.push(Opener {
                place,
                known: Known::new(Source::Grant, &grant.source),
                certain: certain(&grant.attributes),
                by,
            });
        }
        let left_out = if depth == 0 { self.estate.left_out() } else { 0 };
        let more = total.saturating_sub(fan) + left_out;
        if more > 0 {
            chain.cut.push(Cut { stage: Stage::OpenedBy, about: chain.at.clone(), more });
        }
        // Where not all holders were handed over, whose credential is not known is not known either.
        if let Some(first) =
            without.first().filter(|_| self.estate.left_out() == 0 && !self.estate.is_narrow())
        {
            let why = match without.len() {
                1 => "may read it, and no credential of it is known: pods that run as it have one".to_owned(),
                many => format!(
                    "and {} more may read it, and no credential of theirs is known: pods that run as them have one",
                    many - 1
                ),
            };
            chain.unknown.push(Unknown { stage: Stage::OpenedBy, about: (*first).clone(), why });
        }
    }
}

/// Is the copy what is read, or a part of it?
fn lies_in(copy: &Ref, read: &Ref) -> bool {
    let rest = copy.as_str().strip_prefix(read.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['#', '/']))
}

/// The namespace of an object whose ref is `…/<namespace>/<Kind>/<name>`.
fn namespace(at: &Ref) -> Option<String> {
    let segments: Vec<&str> = at.path().split('/').collect();
    let kind = segments.iter().rposition(|segment| matches!(*segment, "Secret" | "ConfigMap"))?;
    let namespace = segments.get(kind.checked_sub(1)?)?;
    Some((*namespace).to_owned())
}

fn cut<T>(items: &mut Vec<T>, most: usize, stage: Stage, about: &Ref, cuts: &mut Vec<Cut>) {
    if items.len() > most {
        cuts.push(Cut { stage, about: about.clone(), more: items.len() - most });
        items.truncate(most);
    }
}
