//! Policies as grants: who holds which, and how much it allows.

use std::collections::{BTreeMap, BTreeSet};

use claviger_backend::{ErrorKind, Result, ScanSink};
use claviger_core::{
    chain::{OPENS, OPENS_MAYBE},
    model::{Attributes, PrivilegeLevel, Scope},
    observation::{Observation, ObservedGrant},
    reference::Ref,
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Gaps, PAGE, Survey, opened,
    rights::{Rule, level, rules},
};
use crate::mounts::Mounts;

/// Paths that a grant's reach and attributes list at most.
const PATHS: usize = 20;

/// Who holds which policy, gathered while identities are read.
#[derive(Default)]
pub(super) struct Held(BTreeMap<String, BTreeSet<Ref>>);

impl Held {
    pub(super) fn add(&mut self, identity: &Ref, policy: &str) {
        self.0.entry(policy.to_owned()).or_default().insert(identity.clone());
    }
}

#[derive(Deserialize)]
struct Policy {
    #[serde(default)]
    policy: String,
}

impl Survey<'_> {
    pub(super) async fn grants(&self, held: Held, mounts: &Mounts, sink: &mut ScanSink) -> Result<()> {
        let scope = Scope::new("sys", "policies");
        let mut gaps = Gaps::default();
        let mut page = Vec::new();
        let mut read = Vec::new();
        // Who holds a policy that denies something, or that could not be read: what another one opens may be closed to them.
        let mut doubtful: BTreeSet<Ref> = BTreeSet::new();
        for (name, identities) in held.0 {
            let rules = self.rules_of(&name, &mut gaps).await;
            if rules.as_deref().is_none_or(opened::denies) {
                doubtful.extend(identities.iter().cloned());
            }
            read.push((name, identities, rules));
        }
        for (name, identities, rules) in read {
            let level = rules.as_deref().map_or(PrivilegeLevel::Unknown, level);
            let opens = rules.as_deref().map(|rules| opened::of(rules, mounts));
            let rules = rules.unwrap_or_default();
            let shown: Vec<String> = rules.iter().take(PATHS).map(Rule::shown).collect();
            let reach = match rules.as_slice() {
                [] => String::new(),
                rules => {
                    rules.iter().take(PATHS).map(|rule| rule.path.as_str()).collect::<Vec<_>>().join(", ")
                }
            };
            let mut attributes = Attributes::from([
                ("rules".to_owned(), json!(shown)),
                ("rules_count".to_owned(), json!(rules.len())),
            ]);
            if let Some(opened) = opens {
                let refs = opened.paths.iter().map(|path| self.names.object(path).to_string());
                attributes.insert(OPENS.to_owned(), json!(refs.collect::<Vec<_>>()));
                if opened.maybe {
                    attributes.insert(OPENS_MAYBE.to_owned(), json!(true));
                }
            }
            for identity in identities {
                let mut attributes = attributes.clone();
                if doubtful.contains(&identity) && attributes.contains_key(OPENS) {
                    attributes.insert(OPENS_MAYBE.to_owned(), json!(true));
                }
                page.push(Observation::Grant(ObservedGrant {
                    identity,
                    source: self.names.policy(&name),
                    privilege: format!("policy/{name}"),
                    reach: reach.clone(),
                    level,
                    attributes,
                }));
                if page.len() >= PAGE {
                    sink.page(&scope, std::mem::take(&mut page)).await?;
                }
            }
        }
        sink.page(&scope, page).await?;
        gaps.end(&scope, sink).await
    }

    /// `None` when the policy cannot be read or understood. A policy that is named and does not exist allows nothing.
    async fn rules_of(&self, name: &str, gaps: &mut Gaps) -> Option<Vec<Rule>> {
        if name == "root" {
            return Some(vec![Rule::everything()]);
        }
        match self.api.get::<Policy>("inventory", &format!("sys/policies/acl/{name}")).await {
            Ok(Some(found)) => rules(&found.policy),
            Ok(None) => Some(Vec::new()),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    gaps.add(&format!("policy {name}"), &error);
                }
                None
            }
        }
    }
}
