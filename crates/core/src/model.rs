//! The inventory's words: identity, credential, copy, consumer, grant, owner, coverage.

mod consumer;
mod copy;
mod coverage;
mod credential;
mod grant;
mod identity;
mod owner;

use std::collections::BTreeMap;

pub use self::{
    consumer::ConsumerHow,
    copy::{CopyStage, Place},
    coverage::{Scope, ScopeStatus},
    credential::{CredentialKind, CredentialState, Handle, HandleScheme},
    grant::PrivilegeLevel,
    identity::IdentityKind,
    owner::OwnerEvidence,
};

/// Facts about a subject that findings read, by key. Never a secret, nor anything a secret can be guessed from.
pub type Attributes = BTreeMap<String, serde_json::Value>;

/// Labels or tags as the source has them.
pub type Labels = BTreeMap<String, String>;
