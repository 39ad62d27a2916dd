//! What is observed of a credential and of whoever has it, with nothing known but that it is there.

use claviger_core::{
    model::{Attributes, CredentialKind, CredentialState, IdentityKind, Labels},
    observation::{ObservedCredential, ObservedIdentity},
    reference::Ref,
};

use super::super::wire::time;

pub(super) fn credential(
    at: Ref,
    kind: CredentialKind,
    identity: Option<Ref>,
    created: &str,
) -> ObservedCredential {
    ObservedCredential {
        at,
        kind,
        identity,
        state: CredentialState::Active,
        created_at: time(created),
        rotated_at: None,
        expires_at: None,
        last_used_at: None,
        handle: None,
        verifier: None,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::new(),
    }
}

pub(super) fn identity(at: Ref) -> ObservedIdentity {
    ObservedIdentity {
        at,
        kind: IdentityKind::ForgeUser,
        created_at: None,
        last_used_at: None,
        disabled: false,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::new(),
    }
}
