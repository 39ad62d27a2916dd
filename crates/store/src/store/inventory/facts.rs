//! What is kept of a thing as JSON: everything that its history has to show. Columns are copies of what queries need.

use chrono::{DateTime, Utc};
use claviger_core::{
    model::{
        Attributes, ConsumerHow, CopyStage, CredentialKind, CredentialState, Handle, IdentityKind, Labels,
        OwnerEvidence, Place, PrivilegeLevel,
    },
    reference::Ref,
};
use serde::{Deserialize, Serialize};

use crate::LinkEvidence;

/// `None` and empty are left out, so that a new field changes no digest of what does not have it.
#[derive(Serialize, Deserialize)]
pub(super) struct IdentityFacts {
    pub(super) kind: IdentityKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) disabled: bool,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub(super) labels: Labels,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) owners: Vec<OwnerEvidence>,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub(super) attributes: Attributes,
}

#[derive(Serialize, Deserialize)]
pub(super) struct IssuedFacts {
    pub(super) kind: CredentialKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<Ref>,
    pub(super) state: CredentialState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rotated_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) handle: Option<Handle>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verifier: Option<String>,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub(super) labels: Labels,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) owners: Vec<OwnerEvidence>,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub(super) attributes: Attributes,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CopyFacts {
    pub(super) field_at: Ref,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) pointer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    pub(super) stage: CopyStage,
    pub(super) place: Place,
    pub(super) kind: CredentialKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) form: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fingerprint: Option<String>,
    pub(super) strong: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) handle: Option<Handle>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) issuer: Option<Ref>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) evidence: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) updated_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub(super) labels: Labels,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) owners: Vec<OwnerEvidence>,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub(super) attributes: Attributes,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ConsumerFacts {
    pub(super) how: ConsumerHow,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) container: Option<String>,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub(super) attributes: Attributes,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PrivilegeFacts {
    pub(super) identity: Ref,
    pub(super) privilege: String,
    pub(super) reach: String,
    pub(super) level: PrivilegeLevel,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub(super) attributes: Attributes,
}

/// Evidence by its strength; the column's number.
const STRENGTH: [LinkEvidence; 7] = [
    LinkEvidence::Issuer,
    LinkEvidence::Lookup,
    LinkEvidence::Verifier,
    LinkEvidence::Handle,
    LinkEvidence::Login,
    LinkEvidence::Declared,
    LinkEvidence::Claimed,
];

pub(super) fn rank(evidence: LinkEvidence) -> i16 {
    let place = STRENGTH.iter().position(|other| *other == evidence).expect("every evidence has a strength");
    i16::try_from(place).expect("there are seven")
}

pub(super) fn ranked(rank: i16) -> Option<LinkEvidence> {
    STRENGTH.get(usize::try_from(rank).ok()?).copied()
}
