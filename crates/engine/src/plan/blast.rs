//! What the end of a credential takes with it: whom it stops, whom a replacement would save, what its identity may do, who else has the value, and
//! what was obtained with it.

use std::collections::BTreeSet;

use claviger_backend::{Derived, Descent};
use claviger_core::{
    fingerprint::Fingerprint, id::CredentialId, model::PrivilegeLevel, reference::Ref, saga::SagaPlan,
    view::CredentialDetail,
};
use serde::{Deserialize, Serialize};

use super::{RotateOptions, revocation::current, root::Engines, rotation};
use crate::{Engine, Result};

/// Of so many subjects at most it is looked at whom a replacement would save: that takes a plan of its own for each.
pub(super) const FEW: usize = 20;

/// What an identity may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct May {
    /// How much.
    pub level: PrivilegeLevel,
    /// What.
    pub privilege: String,
    /// Where it holds.
    pub reach: String,
    /// What gives it.
    pub source: Ref,
}

/// Something that was obtained with the credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedView {
    /// Its ref where it has one, else its credential's.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// What it is.
    pub what: String,
    /// False where it may as well be another credential's.
    pub certain: bool,
}

/// What the end of one credential takes with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blast {
    /// The credential.
    pub credential: CredentialId,
    /// Its ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// Workloads that stop working.
    pub breaks: Vec<Ref>,
    /// Those of them that `--replace` would give a new value. `None`: not looked at, or it cannot be replaced (then `not_saved` says why).
    pub saved: Option<Vec<Ref>>,
    /// Why nobody would be saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_saved: Option<String>,
    /// Whom it authenticates.
    pub identity: Option<Ref>,
    /// What that may do, highest first.
    pub may: Vec<May>,
    /// Places that hold the value.
    pub shares: Vec<Ref>,
    /// Other credentials of the inventory with the same value.
    pub same_value: Vec<CredentialId>,
    /// What was obtained with it, as its issuer tells now.
    pub derived: Vec<DerivedView>,
}

impl From<Derived> for DerivedView {
    fn from(derived: Derived) -> Self {
        Self { at: derived.at, what: derived.what, certain: derived.certain }
    }
}

/// Of one planned revocation.
pub(super) async fn of(
    engine: &Engine,
    detail: &CredentialDetail,
    plan: &SagaPlan,
    descent: Descent,
    look: bool,
) -> Result<Blast> {
    let credential = &detail.credential;
    let readers: Vec<Ref> = super::readers(detail).into_iter().map(|(consumer, _)| consumer).collect();
    let (mut saved, mut not_saved) = (None, None);
    if look && !readers.is_empty() {
        match rotation::plan(engine, detail, &RotateOptions::default(), &Engines::default()).await {
            Ok(rotation) => {
                let moves = |at: &&Ref| rotation.steps.iter().any(|step| step.target == **at);
                saved = Some(readers.iter().filter(moves).cloned().collect());
            }
            Err(refusal) => not_saved = Some(refusal.reason),
        }
    }
    let fingerprints: BTreeSet<Fingerprint> =
        current(detail).filter_map(|copy| Fingerprint::parse(copy.fingerprint.as_deref()?)).collect();
    let fingerprints: Vec<_> = fingerprints.into_iter().collect();
    let known = match fingerprints.is_empty() {
        true => Vec::new(),
        false => engine.ports.inventory.by_fingerprint(&fingerprints).await?,
    };
    let others: BTreeSet<_> = known.into_iter().map(|(_, id)| id).filter(|id| *id != credential.id).collect();
    let grants = detail.identity.iter().flat_map(|identity| &identity.grants);
    Ok(Blast {
        credential: credential.id,
        at: credential.at.clone(),
        breaks: plan.breaks.clone(),
        saved,
        not_saved,
        identity: credential.identity.clone(),
        may: grants
            .map(|grant| May {
                level: grant.level,
                privilege: grant.privilege.clone(),
                reach: grant.reach.clone(),
                source: grant.source.clone(),
            })
            .collect(),
        shares: current(detail).map(|copy| copy.at.clone()).collect(),
        same_value: others.into_iter().collect(),
        derived: descent.derived.into_iter().map(DerivedView::from).collect(),
    })
}
