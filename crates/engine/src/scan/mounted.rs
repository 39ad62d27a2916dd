//! Whose tokens pods are given, and what the inventory has of what they open: what the rule about tokens that nobody needs looks at.
//!
//! Accounts that have grants of their own are left out at once, so that what is kept in memory is a small part of a large estate: accounts without rights, with
//! at most so many of their workloads by name.

use std::collections::{BTreeMap, BTreeSet};

use claviger_core::{
    model::{ConsumerHow, IdentityKind},
    reference::Ref,
    view::{ConsumerView, IdentityView, MountedView},
};
use claviger_store::port::Selection;

use super::evaluate::advance;
use crate::{Engine, Result, selector::glob};

/// Rows that are looked at together.
const PAGE: u64 = 1_000;
/// Names of workloads that are kept for one account.
const NAMED: usize = 50;
/// The group that every account of a cluster is in; with `:<namespace>` behind it those of one namespace.
const ACCOUNTS: &str = "system:serviceaccounts";
/// Everybody who is let in, accounts too.
const AUTHENTICATED: &str = "system:authenticated";

/// Namespace and name of a ServiceAccount, and its backend.
struct Account<'a> {
    backend: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> Account<'a> {
    fn of(at: &'a Ref) -> Option<Self> {
        let (area, name) = at.path().split_once("/ServiceAccount/")?;
        let namespace = area.rsplit('/').next()?;
        (!name.contains('/')).then_some(Self { backend: at.backend(), namespace, name })
    }

    /// The users and groups of the cluster that it is, or is in.
    fn others(&self) -> [String; 4] {
        [
            format!("User/system:serviceaccount:{}:{}", self.namespace, self.name),
            format!("Group/{ACCOUNTS}:{}", self.namespace),
            format!("Group/{ACCOUNTS}"),
            format!("Group/{AUTHENTICATED}"),
        ]
    }
}

/// A role of another system that takes tokens of accounts: whose, in words with `*`.
struct Entrance {
    at: Ref,
    namespaces: Vec<String>,
    names: Vec<String>,
    subjects: Vec<String>,
}

impl Entrance {
    fn of(role: &IdentityView) -> Option<Self> {
        let words = |key: &str| -> Vec<String> {
            let all = role.attributes.get(key).and_then(serde_json::Value::as_array);
            all.into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        let text = |key: &str| role.attributes.get(key).and_then(serde_json::Value::as_str);
        let mut subjects = words("web_identity_subjects");
        subjects.extend(text("bound_subject").map(str::to_owned));
        // Whoever asks for no subject takes anybody's.
        let by_token = !words("web_identity_providers").is_empty() || text("bound_subject").is_some();
        if by_token && subjects.iter().all(String::is_empty) {
            subjects.push("*".to_owned());
        }
        let mut namespaces = words("bound_service_account_namespaces");
        let names = words("bound_service_account_names");
        // By labels of namespaces: which these are is not known.
        if !names.is_empty() && namespaces.is_empty() {
            namespaces.push("*".to_owned());
        }
        let lets_in = !names.is_empty() || !subjects.is_empty();
        lets_in.then(|| Self { at: role.at.clone(), namespaces, names, subjects })
    }

    fn takes(&self, account: &Account<'_>) -> bool {
        let any = |patterns: &[String], word: &str| patterns.iter().any(|pattern| glob(pattern, word));
        let subject = format!("system:serviceaccount:{}:{}", account.namespace, account.name);
        any(&self.subjects, &subject)
            || any(&self.namespaces, account.namespace) && any(&self.names, account.name)
    }
}

/// What the identities say.
#[derive(Default)]
struct Known {
    /// Accounts without a grant of their own beyond everybody's, by ref.
    bare: BTreeMap<Ref, IdentityView>,
    /// Users and groups with grants: backend, and kind with name.
    bound: BTreeMap<(String, String), Ref>,
    entrances: Vec<Entrance>,
}

impl Known {
    fn add(&mut self, identity: IdentityView) {
        let own = |key: &str| {
            let flag = |grant: &claviger_core::view::GrantView| {
                grant.attributes.get(key).and_then(serde_json::Value::as_bool) == Some(true)
            };
            identity.grants.iter().filter(|grant| flag(grant)).count()
        };
        match identity.kind {
            IdentityKind::KubernetesServiceAccount => {
                let common = own("default_binding") + own("inherited_by_everybody");
                if identity.grants.len() <= common && Account::of(&identity.at).is_some() {
                    self.bare.insert(identity.at.clone(), identity);
                }
            }
            IdentityKind::KubernetesUser if identity.grants.len() > own("default_binding") => {
                if let Some((_, word)) = identity.at.path().split_once('/') {
                    self.bound.insert((identity.at.backend().to_owned(), word.to_owned()), identity.at);
                }
            }
            _ => self.entrances.extend(Entrance::of(&identity)),
        }
    }
}

/// Accounts without rights of their own whose tokens pods are given.
///
/// # Errors
/// The database.
pub(super) async fn read(engine: &Engine) -> Result<Vec<MountedView>> {
    let inventory = &engine.ports.inventory;
    let mut known = Known::default();
    let mut selection = Selection { limit: Some(PAGE), ..Selection::default() };
    loop {
        let page = inventory.identities(&selection).await?;
        let Some(last) = page.last().map(|last| last.at.clone()) else { break };
        page.into_iter().for_each(|identity| known.add(identity));
        advance(&mut selection, last)?;
    }
    if known.bare.is_empty() {
        return Ok(Vec::new());
    }
    let mounts = mounts(engine, &known.bare).await?;
    let mut complete = BTreeSet::new();
    for backend in inventory.coverage().await? {
        if backend.status == "complete" {
            complete.insert(backend.name);
        }
    }
    // A system that lets identities of workloads in, and of which not all was read, may have a role for any of them. Another cluster takes its own only.
    let unread = engine.estate.members().map(|member| member.backend.as_ref()).any(|backend| {
        let able = backend.capability();
        able.federate && !able.bind && !complete.contains(&backend.info().name)
    });
    let mut found = Vec::new();
    for (at, workloads) in mounts {
        let Some(account) = known.bare.remove(&at) else { continue };
        let Some(named) = Account::of(&at) else { continue };
        let through = named.others().into_iter();
        let through = through.filter_map(|word| known.bound.get(&(named.backend.to_owned(), word)).cloned());
        let entrances = known.entrances.iter().filter(|entrance| entrance.takes(&named));
        found.push(MountedView {
            through: through.collect(),
            let_in_by: entrances.map(|entrance| entrance.at.clone()).collect(),
            whole: !unread && complete.contains(named.backend),
            account,
            workloads: workloads.into_iter().collect(),
        });
    }
    Ok(found)
}

/// The workloads whose pods are given a token of one of these accounts.
async fn mounts(
    engine: &Engine,
    accounts: &BTreeMap<Ref, IdentityView>,
) -> Result<BTreeMap<Ref, BTreeSet<Ref>>> {
    let mut mounts: BTreeMap<Ref, BTreeSet<Ref>> = BTreeMap::new();
    let mut take = |consumer: &ConsumerView| {
        if consumer.how == ConsumerHow::ServiceAccount && accounts.contains_key(&consumer.copy) {
            let workloads = mounts.entry(consumer.copy.clone()).or_default();
            if workloads.len() < NAMED {
                workloads.insert(consumer.at.clone());
            }
        }
    };
    let mut selection = Selection { limit: Some(PAGE), ..Selection::default() };
    loop {
        let page = engine.ports.inventory.consumers(&selection).await?;
        let (Some(first), Some(last)) = (page.first(), page.last()) else { break };
        // A page may end in the middle of a workload, and the next one begins behind it: the last workload is left for that, unless there is no other.
        let limit = selection.limit.unwrap_or(PAGE);
        let is_last = u64::try_from(page.len()).unwrap_or(u64::MAX) < limit;
        if !is_last && first.at == last.at {
            selection.limit = Some(limit.saturating_mul(2));
            continue;
        }
        let kept = page.iter().filter(|consumer| is_last || consumer.at != last.at);
        let end = kept.clone().next_back().map(|consumer| consumer.at.clone());
        kept.for_each(&mut take);
        match end.filter(|_| !is_last) {
            Some(end) => advance(&mut selection, end)?,
            None => break,
        }
        selection.limit = Some(PAGE);
    }
    Ok(mounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entrance(namespaces: &[&str], names: &[&str], subjects: &[&str]) -> Entrance {
        let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
        Entrance {
            at: Ref::from_text("vault/auth/kubernetes/role/x"),
            namespaces: words(namespaces),
            names: words(names),
            subjects: words(subjects),
        }
    }

    #[test]
    fn a_role_takes_the_accounts_that_it_names() {
        let at = Ref::from_text("prod/web/ServiceAccount/shop");
        let account = Account::of(&at).expect("an account");
        assert!(entrance(&["web"], &["shop"], &[]).takes(&account));
        assert!(entrance(&["*"], &["shop"], &[]).takes(&account));
        assert!(entrance(&["web"], &["*"], &[]).takes(&account));
        assert!(entrance(&[], &[], &["system:serviceaccount:web:*"]).takes(&account));
        assert!(!entrance(&["web"], &["other"], &[]).takes(&account));
        assert!(!entrance(&["other"], &["shop"], &[]).takes(&account));
        assert!(!entrance(&[], &[], &["repo:acme/shop"]).takes(&account));
    }

    #[test]
    fn an_account_is_in_its_groups_and_is_a_user() {
        let at = Ref::from_text("prod/web/ServiceAccount/shop");
        let others = Account::of(&at).expect("an account").others();
        assert!(others.contains(&"Group/system:serviceaccounts:web".to_owned()));
        assert!(others.contains(&"User/system:serviceaccount:web:shop".to_owned()));
        assert!(Account::of(&Ref::from_text("prod/web/Secret/shop")).is_none());
    }
}
