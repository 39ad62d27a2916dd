//! Planning: what would be done, what would break, and what is refused, before anything is touched.
//!
//! The planner reads capabilities and the inventory. What a backend cannot do is refused here with a stable code.

pub(crate) mod anchor;
mod asked;
mod blast;
mod certificate;
mod evidence;
mod incident;
mod named;
mod pair;
mod post;
mod reach;
mod revocation;
mod rights;
mod rollback;
mod root;
mod rotation;
mod scrub;
mod strategy;
mod swap;
mod whole;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use claviger_backend::{Descent, Issuer, Presence};
use claviger_core::{
    id::CredentialId,
    reference::Ref,
    saga::{PlanHash, SagaKind, SagaPlan},
    view::{CredentialDetail, CredentialView},
};
use claviger_store::port::Selection;
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Engine, Error, Result, policy::policy_for, selector::Selector, timing};

pub(crate) use self::rollback::ROLLBACK;
use self::root::Engines;
pub use self::{
    blast::{Blast, DerivedView, May},
    reach::Reach,
    rollback::{Rollback, TakeBack},
    swap::{Patch, SwapOptions, SwapPlan},
};

/// The strategy of a revocation that goes on without evidence.
pub(crate) const FORCED: &str = "revoke-forced";

/// Subjects that are planned at the same time. How many calls a backend gets at once its own layer limits.
const PLANNED_AT_ONCE: usize = 16;

/// A subject that the planner will not touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The credential.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// Stable code.
    pub code: String,
    /// Why, and what to do.
    pub reason: String,
}

/// What would be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What an approval is bound to.
    pub hash: PlanHash,
    /// One per credential.
    pub subjects: Vec<SagaPlan>,
    /// What is refused.
    pub refused: Vec<Refusal>,
    /// Of a revocation: what its end takes with it, one per subject.
    pub blast: Vec<Blast>,
}

/// What a person allows beyond the defaults.
#[derive(Debug, Clone, Default)]
pub struct RotateOptions {
    /// Go on although these copies cannot be written and will hold the old value.
    pub leave_stale: bool,
    /// Only what its policy says is due, and may start now.
    pub due: bool,
    /// Leave the old value no time, and take no evidence that nobody uses it: it is known to others.
    pub no_grace: bool,
}

/// How a revocation is carried out.
#[derive(Debug, Clone, Copy, Default)]
pub struct RevokeOptions {
    /// Also take the dead value out of every copy that may be written, and out of former versions.
    pub scrub: bool,
    /// Give its consumers a new value first; the old one then ends without a grace.
    pub replace: bool,
    /// Go on where evidence cannot be had. Never beats `retain` and a legal hold.
    pub force: bool,
    /// Delete the one ServiceAccount that is named, and make it again: that ends every token of it.
    pub recreate: bool,
    /// Restart nobody who runs with what is made again.
    pub leave_stale: bool,
}

impl Plan {
    /// The plan of these subjects and refusals. Its hash says nothing of when it was made, or by whom: the same plan has the same hash.
    pub(crate) fn of(subjects: Vec<SagaPlan>, refused: Vec<Refusal>) -> Self {
        let mut sha = Sha256::new();
        for subject in &subjects {
            sha.update(subject.hash().0.as_bytes());
        }
        for refusal in &refused {
            sha.update(format!("{}\0{}\0", refusal.at, refusal.code));
        }
        let hash = PlanHash(sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        Self { hash, subjects, refused, blast: Vec::new() }
    }
}

impl Engine {
    /// Plans a rotation of everything that the selector matches.
    ///
    /// # Errors
    /// Nothing matches, or the database fails. A refused subject is part of the plan.
    pub async fn plan_rotation(&self, selector: &Selector, options: &RotateOptions) -> Result<Plan> {
        let chosen = self.select(selector).await?;
        self.plan_rotation_of_these(&chosen, options).await
    }

    /// The same of these credentials.
    ///
    /// # Errors
    /// The database.
    pub async fn plan_rotation_of_these(
        &self,
        chosen: &[CredentialView],
        options: &RotateOptions,
    ) -> Result<Plan> {
        let (mut subjects, mut refused, engines) = (Vec::new(), Vec::new(), Engines::default());
        for credential in chosen {
            if options.due {
                match self.is_due(credential) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(error) => {
                        refused.push(refuse(&credential.at, "policy-undecided", error.to_string()));
                        continue;
                    }
                }
            }
            let Some(detail) = self.detail(credential.id).await? else { continue };
            match rotation::plan(self, &detail, options, &engines).await {
                Ok(plan) => subjects.push(plan),
                Err(refusal) => refused.push(refusal),
            }
        }
        Ok(Plan::of(subjects, refused))
    }

    /// Plans the rotation of one credential. A refusal is part of the plan. `None`: it is not in the inventory.
    ///
    /// # Errors
    /// The database.
    pub async fn plan_rotation_of(&self, id: CredentialId, options: &RotateOptions) -> Result<Option<Plan>> {
        let Some(detail) = self.detail(id).await? else { return Ok(None) };
        Ok(Some(match rotation::plan(self, &detail, options, &Engines::default()).await {
            Ok(plan) => Plan::of(vec![plan], Vec::new()),
            Err(refusal) => Plan::of(Vec::new(), vec![refusal]),
        }))
    }

    /// Is it due, and may it start now?
    fn is_due(&self, credential: &CredentialView) -> Result<bool> {
        let now = self.clock.now();
        let Some(policy) = policy_for(&self.estate.policies, credential)? else { return Ok(false) };
        let due = timing::due(&self.estate, policy, credential, now)?;
        Ok(due.is_some_and(|due| due.at <= now && due.may_start(now)))
    }

    /// Plans a revocation of everything that the selector matches.
    ///
    /// # Errors
    /// Nothing matches, or the database fails. A refused subject is part of the plan.
    pub async fn plan_revocation(&self, selector: &Selector) -> Result<Plan> {
        self.plan_revocation_with(selector, &RevokeOptions::default()).await
    }

    /// The same, carried out in another way. What its end takes with it is told for each subject.
    ///
    /// # Errors
    /// As [`Engine::plan_revocation`].
    pub async fn plan_revocation_with(&self, selector: &Selector, options: &RevokeOptions) -> Result<Plan> {
        let all = self.ports.inventory.credentials(self.clock.now(), &Selection::default()).await?;
        let mut found: Vec<_> = selector.choose(&all)?.into_iter().map(|credential| credential.id).collect();
        let undecided = selector.undecided(&all)?;
        let anchor = anchor::named(self, selector);
        if options.recreate {
            anchor::must_be_account(selector, anchor.as_ref())?;
        }
        if let Some((account, _)) = anchor.as_ref().filter(|_| found.is_empty()) {
            // Whoever names the account means all that it has.
            let own = all.iter().filter(|one| one.identity.as_ref() == Some(account));
            found.extend(own.map(|one| one.id));
        }
        let whole = whole::named(self, selector);
        if found.is_empty() && undecided.is_empty() && anchor.is_none() && whole.is_none() {
            return Err(Error::NoMatch(selector.text().to_owned()));
        }
        let listed = self.plan_revocation_of(found, undecided, options).await?;
        let Plan { mut subjects, mut refused, mut blast, .. } = listed;
        // They come last: what is known by itself is proven to be dead by itself while its account is there.
        let unlisted = match (&anchor, &whole) {
            (Some((at, kind)), _) => Some((at, anchor::plan(self, (at, *kind), options).await?)),
            (None, Some((at, what))) => Some((at, whole::plan(self, (at, *what), options).await?)),
            (None, None) => None,
        };
        if let Some((at, planned)) = unlisted {
            match (planned, self.open_revocations().await?.remove(&anchor::id(at))) {
                (Ok((_, reach)), Some(plan)) | (Ok((plan, reach)), None) => {
                    subjects.push(plan);
                    blast.push(reach);
                }
                // What is under way is taken up as it was planned.
                (Err(_), Some(plan)) => subjects.push(plan),
                (Err(refusal), None) => refused.push(refusal),
            }
        }
        Ok(Plan { blast, ..Plan::of(subjects, refused) })
    }

    /// The same of these credentials; `refused` is what was refused before.
    ///
    /// # Errors
    /// The database.
    pub async fn plan_revocation_of(
        &self,
        found: Vec<CredentialId>,
        mut refused: Vec<Refusal>,
        options: &RevokeOptions,
    ) -> Result<Plan> {
        let (mut subjects, mut blast) = (Vec::new(), Vec::new());
        let few = found.len() <= blast::FEW;
        let open = self.open_revocations().await?;
        let (open, engines) = (&open, &Engines::default());
        let mut planned = stream::iter(found)
            .map(|credential| async move {
                let Some(detail) = self.detail(credential).await? else { return Ok(None) };
                let planned = match (open.get(&credential), options.replace) {
                    // What is under way is taken up as it was planned: its credential may be half gone.
                    (Some(plan), _) => Ok((plan.clone(), Descent::default())),
                    (None, true) => incident::plan(self, &detail, options, engines).await,
                    (None, false) => revocation::plan(self, &detail, options).await,
                };
                Ok::<_, Error>(match planned {
                    Ok((plan, descent)) => {
                        let blast = blast::of(self, &detail, &plan, descent, few).await?;
                        Some(Ok((plan, blast)))
                    }
                    Err(refusal) => Some(Err(refusal)),
                })
            })
            .buffered(PLANNED_AT_ONCE);
        while let Some(answer) = planned.next().await {
            match answer? {
                Some(Ok((plan, reach))) => {
                    subjects.push(plan);
                    blast.push(reach);
                }
                Some(Err(refusal)) => refused.push(refusal),
                None => {}
            }
        }
        Ok(Plan { blast, ..Plan::of(subjects, refused) })
    }

    /// Plans of revocations that were begun and are not over.
    async fn open_revocations(&self) -> Result<BTreeMap<CredentialId, SagaPlan>> {
        let mut open = BTreeMap::new();
        for id in self.ports.journal.unfinished().await? {
            let record = self.load(id).await?;
            if record.plan.kind == SagaKind::Revocation {
                open.insert(record.plan.credential, record.plan);
            }
        }
        Ok(open)
    }

    /// Everything that a selector matches, ordered by ref.
    ///
    /// # Errors
    /// Nothing matches, an id prefix is not unique, or the database fails.
    pub async fn select(&self, selector: &Selector) -> Result<Vec<CredentialView>> {
        let all = self.ports.inventory.credentials(self.clock.now(), &Selection::default()).await?;
        let found: Vec<_> = selector.choose(&all)?.into_iter().cloned().collect();
        if found.is_empty() {
            return Err(Error::NoMatch(selector.text().to_owned()));
        }
        Ok(found)
    }

    /// The credential with exactly this ref.
    ///
    /// # Errors
    /// The database.
    pub async fn by_ref(&self, at: &Ref) -> Result<Option<CredentialView>> {
        let all = self.ports.inventory.credentials(self.clock.now(), &Selection::default()).await?;
        Ok(all.into_iter().find(|credential| credential.at == *at))
    }

    async fn detail(&self, id: CredentialId) -> Result<Option<CredentialDetail>> {
        Ok(self.ports.inventory.credential(self.clock.now(), id).await?)
    }
}

/// The presence token of a credential that an issuer is to end, so that an old plan does not end one that took its name.
async fn presence(issuer: &dyn Issuer, at: &Ref) -> Result<String, Refusal> {
    match issuer.presence(at).await {
        Ok(Presence::Present(token)) => Ok(token),
        Ok(Presence::Absent) => Err(refuse(at, "already-gone", "its issuer no longer has it: scan again")),
        Err(error) => {
            Err(refuse(at, "issuer-silent", format!("its issuer could not be asked: {}", error.message())))
        }
    }
}

fn refuse(at: &Ref, code: &str, reason: impl Into<String>) -> Refusal {
    Refusal { at: at.clone(), code: code.to_owned(), reason: reason.into() }
}

/// Workloads that read the credential's copies, each once, with the most demanding way of reading first.
fn readers(detail: &CredentialDetail) -> Vec<(Ref, claviger_core::model::ConsumerHow)> {
    let mut seen = BTreeSet::new();
    let mut consumers: Vec<_> =
        detail.consumers.iter().map(|consumer| (consumer.at.clone(), consumer.how)).collect();
    consumers.sort_by_key(|(at, how)| (at.clone(), *how));
    consumers.retain(|(at, _)| seen.insert(at.clone()));
    consumers
}
