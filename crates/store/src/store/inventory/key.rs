//! Ids that follow from what a thing is.
//!
//! A row's id is a digest of what makes the thing unique, so a page is merged without first asking for ids, and refs of any length are
//! indexed by 16 bytes. UUID version 8 (RFC 9562) over SHA-256. The first two bytes come from the parent's path alone: what lies in one
//! namespace or folder lies close together in the indexes, and a page touches few of their leaves.

use claviger_core::{
    fingerprint::Fingerprint,
    model::{CopyStage, Scope},
    observation::{ObservedConsumer, ObservedGrant},
    reference::Ref,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

fn key(domain: &str, parts: &[&[u8]]) -> Uuid {
    let mut sha = Sha256::new();
    sha.update(b"claviger-key/v1\0");
    sha.update(domain.as_bytes());
    for part in parts {
        sha.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        sha.update(part);
    }
    let digest: [u8; 32] = sha.finalize().into();
    let half = digest.first_chunk::<16>().expect("a digest has 32 bytes");
    uuid::Builder::from_custom_bytes(*half).into_uuid()
}

/// The id, close to those of its siblings.
fn near(at: &str, id: Uuid) -> Uuid {
    let object = at.split_once('#').map_or(at, |(object, _)| object);
    let parent = object.rsplit_once('/').map_or("", |(parent, _)| parent);
    let digest = Sha256::digest(parent.as_bytes());
    let mut bytes = id.into_bytes();
    bytes[..2].copy_from_slice(&digest[..2]);
    Uuid::from_bytes(bytes)
}

/// 16 bytes that tell whether facts changed.
pub(super) fn digest(facts: &str) -> Vec<u8> {
    Sha256::digest(facts.as_bytes())[..16].to_vec()
}

pub(super) fn scope(backend: &str, scope: &Scope) -> Uuid {
    key("scope", &[backend.as_bytes(), scope.area.as_bytes(), scope.part.as_bytes()])
}

pub(super) fn identity(at: &Ref) -> Uuid {
    near(at.as_str(), key("identity", &[at.as_str().as_bytes()]))
}

/// A credential at its issuer.
pub(super) fn issued(at: &str) -> Uuid {
    near(at, key("credential", &[at.as_bytes()]))
}

pub(super) fn copy(at: &Ref, stage: CopyStage, version: Option<&str>) -> Uuid {
    // Of former versions a place has many, of the others one each.
    let version = if stage == CopyStage::Former { version.unwrap_or_default() } else { "" };
    near(at.as_str(), key("copy", &[at.as_str().as_bytes(), stage.as_str().as_bytes(), version.as_bytes()]))
}

pub(super) fn consumer(seen: &ObservedConsumer) -> Uuid {
    let container = seen.container.as_deref().unwrap_or_default();
    let (at, reads) = (seen.at.as_str(), seen.reads.as_str());
    let parts = [at.as_bytes(), reads.as_bytes(), seen.how.as_str().as_bytes(), container.as_bytes()];
    near(at, key("consumer", &parts))
}

pub(super) fn privilege(seen: &ObservedGrant) -> Uuid {
    let (identity, source) = (seen.identity.as_str(), seen.source.as_str());
    let parts = [identity.as_bytes(), source.as_bytes(), seen.privilege.as_bytes(), seen.reach.as_bytes()];
    near(identity, key("grant", &parts))
}

/// The object of a copy or of what a consumer reads: where the two meet.
pub(super) fn object(at: &Ref) -> Uuid {
    near(at.as_str(), key("object", &[at.object().as_str().as_bytes()]))
}

/// The group of all copies of one strong value.
pub(super) fn value_group(fingerprint: &Fingerprint) -> Uuid {
    key("value", &[&fingerprint.0])
}

/// The group of one place, for values that are weak or could not be read.
pub(super) fn place_group(at: &str) -> Uuid {
    near(at, key("place", &[at.as_bytes()]))
}

pub(super) fn subject(at: &str) -> Uuid {
    key("subject", &[at.as_bytes()])
}

pub(super) fn finding(slug: &str, at: &str) -> Uuid {
    key("finding", &[slug.as_bytes(), at.as_bytes()])
}
