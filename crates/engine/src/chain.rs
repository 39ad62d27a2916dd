//! The chain of one credential: what of the inventory is needed for it is read link by link, a fixed number of questions for each.

use std::collections::{BTreeSet, HashMap};

use claviger_core::{
    chain::{Chain, Estate, Limits, OPENS, Pattern},
    id::CredentialId,
    model::CopyStage,
    reference::Ref,
    view::{CredentialDetail, GrantView},
};

use crate::{Engine, Result};

/// Copies that are looked at under one pattern.
const WITHIN: u64 = 200;
/// Patterns that are followed from one link to the next.
const PATTERNS: usize = 40;
/// Credentials that are read for one link.
const FEW: usize = 200;

/// What of the inventory a chain may be drawn from.
#[derive(Clone, Copy)]
pub enum Eyes<'a> {
    /// Everything.
    All,
    /// A part of it. What these eyes do not see is no part of the chain either.
    Some {
        /// What they see of another credential.
        credential: &'a (dyn Fn(CredentialDetail) -> Option<CredentialDetail> + Send + Sync),
        /// Do they see all of this backend?
        backend: &'a (dyn Fn(&str) -> bool + Send + Sync),
    },
}

impl Eyes<'_> {
    fn credential(self, detail: CredentialDetail) -> Option<CredentialDetail> {
        match self {
            Self::All => Some(detail),
            Self::Some { credential, .. } => credential(detail),
        }
    }

    fn backend(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some { backend, .. } => backend(name),
        }
    }
}

/// What is read for a chain.
struct Gathered {
    details: HashMap<CredentialId, CredentialDetail>,
    grants: Vec<GrantView>,
    crowded: BTreeSet<String>,
    /// Credentials that were not read, as there were too many for one link.
    left_out: usize,
}

impl Engine {
    /// The chain of a credential.
    ///
    /// # Errors
    /// The database.
    pub async fn chain(&self, detail: &CredentialDetail, eyes: Eyes<'_>, limits: Limits) -> Result<Chain> {
        let inventory = &self.ports.inventory;
        let id = detail.credential.id;
        let mut gathered = Gathered {
            details: HashMap::from([(id, detail.clone())]),
            grants: Vec::new(),
            crowded: BTreeSet::new(),
            left_out: 0,
        };
        self.downwards(&mut gathered, id, eyes, limits.fan.len()).await?;
        gathered.left_out = 0;
        self.upwards(&mut gathered, id, eyes, limits.fan.len()).await?;
        let mut coverage = inventory.coverage().await?;
        coverage.retain(|backend| eyes.backend(&backend.name));
        let mut unread = inventory.unread().await?;
        // How many there are is said to those alone who may know which.
        unread.retain(|one| *one != id && matches!(eyes, Eyes::All));
        let estate = Estate::new(gathered.details.values(), &gathered.grants, &coverage)
            .crowded(gathered.crowded)
            .narrow(matches!(eyes, Eyes::Some { .. }))
            .with_openers_left_out(gathered.left_out)
            .with_unread(unread.len());
        Ok(estate.chain(id, limits).expect("the credential is part of what was gathered"))
    }

    /// What its rights open, what the rights of that open, and so on.
    async fn downwards(
        &self,
        gathered: &mut Gathered,
        from: CredentialId,
        eyes: Eyes<'_>,
        links: usize,
    ) -> Result<()> {
        let (mut open, mut asked) = (vec![from], BTreeSet::new());
        for _ in 0..=links {
            let patterns: BTreeSet<String> = open
                .iter()
                .filter_map(|id| gathered.details.get(id)?.identity.as_ref())
                .flat_map(|identity| &identity.grants)
                .flat_map(patterns)
                .filter(|pattern| !asked.contains(pattern))
                .collect();
            let (mut ids, mut followed) = (Vec::new(), Vec::new());
            for (number, pattern) in patterns.into_iter().enumerate() {
                if number >= PATTERNS {
                    gathered.crowded.insert(pattern);
                    continue;
                }
                let (lying, is_full) = self.ports.inventory.within(Pattern::new(&pattern), WITHIN).await?;
                ids.extend(lying.into_iter().map(|(_, id)| id));
                if is_full {
                    gathered.crowded.insert(pattern.clone());
                }
                followed.push(pattern);
            }
            let before = gathered.left_out;
            open = self.gather(gathered, ids, eyes).await?;
            if gathered.left_out > before {
                gathered.crowded.extend(followed.iter().cloned());
            }
            asked.extend(followed);
            if open.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Who may read its places, who may read theirs, and so on.
    async fn upwards(
        &self,
        gathered: &mut Gathered,
        from: CredentialId,
        eyes: Eyes<'_>,
        links: usize,
    ) -> Result<()> {
        let (mut open, mut asked) = (vec![from], BTreeSet::new());
        for _ in 0..=links {
            let places: Vec<Ref> = open
                .iter()
                .filter_map(|id| gathered.details.get(id))
                .flat_map(|detail| &detail.copies)
                .filter(|copy| copy.stage == CopyStage::Current)
                .map(|copy| copy.at.clone())
                .collect();
            let backends: BTreeSet<&str> = places.iter().map(Ref::backend).collect();
            let fresh: Vec<&str> = backends
                .iter()
                .copied()
                .filter(|backend| eyes.backend(backend) && asked.insert((*backend).to_owned()))
                .collect();
            let grants = self.ports.inventory.openings(&fresh).await?;
            gathered.grants.extend(grants);
            let identities: BTreeSet<&Ref> = gathered
                .grants
                .iter()
                .filter(|grant| {
                    patterns(grant).any(|pattern| places.iter().any(|at| Pattern::new(&pattern).covers(at)))
                })
                .map(|grant| &grant.identity)
                .collect();
            let identities: Vec<Ref> = identities.into_iter().cloned().collect();
            let ids = self.ports.inventory.authenticators(&identities).await?;
            open = self.gather(gathered, ids, eyes).await?;
            if open.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Reads those that were not read yet and may be seen. Gives them.
    async fn gather(
        &self,
        gathered: &mut Gathered,
        ids: Vec<CredentialId>,
        eyes: Eyes<'_>,
    ) -> Result<Vec<CredentialId>> {
        let mut seen = BTreeSet::new();
        let is_fresh = |id: &CredentialId| !gathered.details.contains_key(id) && seen.insert(*id);
        let mut fresh: Vec<CredentialId> = ids.into_iter().filter(is_fresh).collect();
        gathered.left_out += fresh.len().saturating_sub(FEW);
        fresh.truncate(FEW);
        let details = self.ports.inventory.subjects_of(self.clock.now(), &fresh).await?;
        let mut read = Vec::new();
        for detail in details.into_iter().filter_map(|detail| eyes.credential(detail)) {
            read.push(detail.credential.id);
            gathered.details.insert(detail.credential.id, detail);
        }
        Ok(read)
    }
}

/// What a grant opens, as its backend says.
fn patterns(grant: &GrantView) -> impl Iterator<Item = String> + '_ {
    let all = grant.attributes.get(OPENS).and_then(|all| all.as_array());
    all.into_iter().flatten().filter_map(|one| one.as_str()).map(str::to_owned)
}
