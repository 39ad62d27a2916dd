use claviger_core::{
    audit::AuditDraft,
    id::{CredentialId, SagaId},
    own_key::{KeyId, KeyKind, KeyState, Succession},
    seal::SagaSalt,
    signing::PublicKey,
};

/// One of the installation's own keys follows another.
pub struct KeyTurn {
    /// What it is for.
    pub kind: KeyKind,
    /// The key that is in force until now.
    pub from: KeyId,
    /// What becomes of it: [`KeyState::Former`], or [`KeyState::Lost`].
    pub fate: KeyState,
    /// The key from now on.
    pub to: KeyId,
    /// Its public half, of a signing key.
    pub public: Option<PublicKey>,
    /// What both signing keys say.
    pub succession: Option<Succession>,
    /// The entry of the audit log.
    pub audit: AuditDraft,
}

/// A value that another key than the one in force has sealed, as it lies there.
#[derive(Clone)]
pub struct FormerlySealed {
    /// Its saga.
    pub saga: SagaId,
    /// The saga's credential.
    pub credential: CredentialId,
    /// The slot's word.
    pub slot: String,
    /// The saga's salt.
    pub salt: SagaSalt,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// The same value under the key in force.
pub struct Resealed {
    /// What it was made of.
    pub of: FormerlySealed,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}
