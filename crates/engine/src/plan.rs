//! Planning: what would be done, what would break, and what is refused, before anything is touched.
//!
//! The planner reads capabilities and the inventory. What a backend cannot do is refused here with a stable code.

mod asked;
mod evidence;
mod named;
mod pair;
mod revocation;
mod rollback;
mod rotation;
mod strategy;

use std::collections::BTreeSet;

use claviger_backend::{Issuer, Presence};
use claviger_core::{
    id::CredentialId,
    reference::Ref,
    saga::{PlanHash, SagaPlan},
    view::{CredentialDetail, CredentialView},
};
use claviger_store::port::Selection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Engine, Error, Result, selector::Selector};

pub(crate) use self::rollback::ROLLBACK;
pub use self::rollback::{Rollback, TakeBack};

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
}

/// What a person allows beyond the defaults.
#[derive(Debug, Clone, Default)]
pub struct RotateOptions {
    /// Go on although these copies cannot be written and will hold the old value.
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
        Self { hash, subjects, refused }
    }
}

impl Engine {
    /// Plans a rotation of everything that the selector matches.
    ///
    /// # Errors
    /// Nothing matches, or the database fails. A refused subject is part of the plan.
    pub async fn plan_rotation(&self, selector: &Selector, options: &RotateOptions) -> Result<Plan> {
        let (mut subjects, mut refused) = (Vec::new(), Vec::new());
        for credential in self.select(selector).await? {
            let Some(detail) = self.detail(credential.id).await? else { continue };
            match rotation::plan(self, &detail, options).await {
                Ok(plan) => subjects.push(plan),
                Err(refusal) => refused.push(refusal),
            }
        }
        Ok(Plan::of(subjects, refused))
    }

    /// Plans a revocation of everything that the selector matches.
    ///
    /// # Errors
    /// Nothing matches, or the database fails. A refused subject is part of the plan.
    pub async fn plan_revocation(&self, selector: &Selector) -> Result<Plan> {
        let (mut subjects, mut refused) = (Vec::new(), Vec::new());
        for credential in self.select(selector).await? {
            let Some(detail) = self.detail(credential.id).await? else { continue };
            match revocation::plan(self, &detail).await {
                Ok(plan) => subjects.push(plan),
                Err(refusal) => refused.push(refusal),
            }
        }
        Ok(Plan::of(subjects, refused))
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
