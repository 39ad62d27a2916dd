use claviger_core::{
    audit::AuditDraft,
    own_key::{KeyId, KeyKind, KeyState, Succession},
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
