use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Arrangement, Binding, Party, Person, Quiet};
use crate::{id::CredentialId, model::ConsumerHow, reference::Ref};

/// Rotation, revocation or swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SagaKind {
    /// A new value takes the place of the old one.
    Rotation,
    /// A credential is made unusable, with proof.
    Revocation,
    /// A short-lived identity takes the place of a static credential, which ends.
    Swap,
}

impl SagaKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rotation, Self::Revocation, Self::Swap];

    /// The word in paths and shapes.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rotation => "rotation",
            Self::Revocation => "revocation",
            Self::Swap => "swap",
        }
    }
}

/// Why it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// A person said so.
    Manual,
    /// A schedule.
    Schedule,
    /// An incident.
    Incident,
    /// A policy.
    Policy,
}

/// Where one half of a pair lies: of a key's id and secret, or of a user's name and password.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Half {
    /// The store's field.
    pub field: Ref,
    /// Where within it; empty: the field itself.
    pub pointer: String,
}

/// A key id and its secret, or a user's name and password, in one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    /// The copy, as the inventory has it.
    pub copy: Ref,
    /// The secret.
    pub secret: Half,
    /// The key's id, the user's name.
    pub id: Half,
}

/// The ids of two keys, the names of two users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halves {
    /// Of the former one.
    pub former: String,
    /// Of the one that followed it.
    pub later: String,
}

/// What a consumer reads, and what it will read instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// The object that it names.
    pub from: Ref,
    /// The object that it will name; `None`: the one that this saga makes.
    pub to: Option<Ref>,
}

/// Where a certificate and its private key lie in one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holder {
    /// The field with the certificate, and perhaps a chain behind it.
    pub certificate: Ref,
    /// The field with its private key.
    pub key: Ref,
    /// The field that names whom to trust, where that is the certificate itself.
    pub trust: Option<Ref>,
}

/// The account that an issuer logs in as with a value that it alone holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The account.
    pub at: Ref,
    /// A copy that still holds the present value, where one can be read.
    pub copy: Option<Ref>,
    /// Does the account's presence token change with its value?
    pub told: bool,
}

/// What a step does. The engine has a `run`, an `undo` and a `reconcile` for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Read the old value from the copies, show that it is accepted, make the new one, seal both.
    SealValues,
    /// Read the old value from the copies, make the new one, seal both: where no issuer can say whether it is accepted.
    SealCopies,
    /// Read the old value from the copies, show that it is accepted, seal it: where the issuer makes the new one.
    SealAccepted,
    /// Read the value from the copies and from the issuer that shows it, which must be the same; seal it, and note which one the issuer has.
    SealHeld,
    /// Read the value from a copy and seal it, where it can be had.
    SealOld,
    /// Could this copy be written?
    CheckCopy,
    /// In a rollback: the values were handed over by the saga that is taken back; say which of the two its issuer accepts now. With the public
    /// halves that belong to them, where copies hold both.
    TakeOver(Option<Halves>),
    /// In a rollback: put the former value back at an issuer that holds one value, without its plaintext where the issuer can.
    RestoreAtIssuer,
    /// Set the new value at the issuer. The pivot where the target holds one value.
    SetAtIssuer,
    /// Add the new value at the issuer beside the old one, which goes on working.
    AddAtIssuer,
    /// Read key id and secret from the copies, show that they are accepted, seal the secret, and note which keys the identity has.
    SealPair,
    /// Let the issuer make a second key beside the old one, which goes on working. What it makes it tells once.
    MintAtIssuer,
    /// Read the old value from this field, where its issuer keeps it, and from the copies; show that it is accepted, and seal it.
    SealNamed(Ref),
    /// Could this consumer be made to read another object than this one?
    CheckConsumer(Ref),
    /// Let the issuer make a second value under a name that follows from the operation; the old one goes on working. Under that name it can
    /// be read again.
    MintByName,
    /// Read user name and password from the copies, show that they are accepted, make the other user's password, seal both.
    SealUser,
    /// Let the other of two users that take turns, of this name, log in with the new password, and do what the first may do.
    WakeUser(String),
    /// Log in as both users: each must be the same to the target.
    CompareUsers,
    /// See in samples that no session of the old user is left: seconds for which there must be none.
    AwaitNoSessions(u64),
    /// Let the issuer make another one beside the old one, which goes on working. It tells the value once, and keeps our operation key with
    /// it, by which one whose value was lost is found.
    MintMarked,
    /// Have the issuer, which makes and holds the value itself, change it; read the new one and seal it. The pivot: the issuer takes no value.
    AskIssuer,
    /// Log in with the new value.
    VerifyNew,
    /// Put the new value into a copy, by compare-and-set.
    WriteCopy,
    /// Put the new key id and its secret into all copies of one object, both halves in one write, by compare-and-set.
    WritePairs(Vec<Pair>),
    /// Put the new value into a place that shows none, with a marker by which the write is known again: written, and not read back.
    PostCopy,
    /// Take the stage off the version beside a copy that an unfinished rotation of somebody else has left there.
    ClearPending(String),
    /// Make a consumer read its copies again.
    Refresh(ConsumerHow),
    /// Make a consumer read another object instead of the one that it names.
    Repoint(Redirect),
    /// See the consumer run on the new value.
    AwaitAdoption,
    /// Log in with the value before the revocation: the positive control of the proof.
    ControlProbe,
    /// Make the credential unusable at its issuer, expecting this presence token. The pivot of a revocation; in a rotation with two values
    /// the end of the old one.
    Revoke(Option<String>),
    /// Wait until no cache may still accept the value: seconds since the step before this one was done.
    AwaitCache(u32),
    /// Leave the old value as it is for a while, in case somebody still has it: seconds since the step before this one was done.
    AwaitGrace(u64),
    /// Wait until these local times of every day, as a policy writes them, and this time zone's clocks allow the end of the old value.
    AwaitWindow {
        /// Such as `02:00-05:00`.
        window: String,
        /// Its IANA name.
        zone: String,
    },
    /// See that nobody uses the old value any more, as its issuer tells.
    AwaitQuiet(Quiet),
    /// Suspend the old value at its issuer: it could be enabled again.
    Disable,
    /// In a rollback: let a suspended value work again.
    Enable,
    /// Log in with the suspended value: it must be refused.
    ProveDisabled,
    /// Log in with the old value: it must be refused.
    ProveRefused,
    /// Read every copy: each must hold the new value. What can be shown where there is no issuer.
    Conclude,
    /// Take the issuer's word that it holds the new value: what can be shown where nobody can be logged in at.
    Attest,
    /// Read certificate and key from the copies, make them again with another key, signed by this authority or by themselves, and seal both.
    SealCertificate(Option<Holder>),
    /// See that the new certificate says what the old one said, that its key is its own, and that its authority's signature holds.
    VerifyCertificate(Option<Holder>),
    /// Put the new certificate and its key into all fields of one object in one write, by compare-and-set.
    WriteCertificate(Holder),
    /// Note what is known of the value that only the issuer holds: seal the copy that can be read and show that it is accepted.
    NoteRoot(Option<Login>),
    /// Have the issuer change the value that it alone holds afterwards.
    RotateRoot(Option<Login>),
    /// Have the issuer log in with the value that it alone holds.
    VerifyRoot,
    /// Take the issuer's word that it has changed the value: what can be shown where nobody held the old one.
    AttestRoot,
    /// End what was obtained with the credential and goes on working without it: sessions, tokens. With what its issuer needs to know it by
    /// when the credential is gone.
    EndDerived(String),
    /// Take the dead value out of a copy, by compare-and-set.
    ScrubCopy,
    /// Make the former versions of a copy unreadable that hold the dead value.
    ScrubFormer,
    /// Read every copy again: what can be shown of a value that no issuer could refuse.
    ConcludeScrub,
    /// See that the object that tokens are bound to is the one with this presence token, seal a token of our own that is bound to it, and, where
    /// it will be made again, the object as it is.
    NoteAnchor(String),
    /// End the object with this presence token that tokens are bound to: they end with it.
    EndAnchor(String),
    /// Make an object again that tokens were bound to, as it was sealed. The former one had this presence token.
    RemakeAnchor(String),
    /// Log in with the token of our own that was bound to the object with this presence token: it must be refused.
    ProveAnchor(String),
    /// Note what a person may do by the bindings that will be cut.
    NoteRights(Person),
    /// Take users and groups out of a binding, by compare-and-set; others stay in it.
    CutBinding(Vec<Party>),
    /// Ask whether a person may still do what was noted, and see that no binding names it any more.
    ProveCut(Person),
    /// Take the issuer's word that what was obtained has ended, where nobody held it.
    AttestEnded,
    /// In a swap: could this consumer's manifest be changed so?
    CheckHolder(Binding),
    /// Have the system that will accept the short-lived identity know it.
    Federate(Arrangement),
    /// Change a workload's manifest, so that it has the short-lived identity beside the static credential, or instead of it.
    Bind(Binding),
    /// Log in with the short-lived identity as the workload would: it must be accepted, and may do what the static credential may, no more and no less.
    TryIdentity(Arrangement),
    /// See that somebody else has changed a workload's manifest, so that it names this object no more.
    AwaitUnread(Ref),
    /// Where nobody but a workload's own runs can be given its token: compare what is written down for the short-lived identity with what is for the
    /// static credential. No more and no less.
    CompareRights(Arrangement),
    /// The same: see, by the system that accepts it, that somebody has logged in with the short-lived identity.
    AwaitEntry(Arrangement),
}

impl Action {
    /// The name that people see.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SealValues => "seal-values",
            Self::SealCopies => "seal-copies",
            Self::SealAccepted => "seal-accepted",
            Self::SealHeld => "seal-held",
            Self::SealOld => "seal-old",
            Self::CheckCopy => "check-copy",
            Self::TakeOver(_) => "take-over",
            Self::RestoreAtIssuer => "restore-at-issuer",
            Self::SetAtIssuer => "set-at-issuer",
            Self::AddAtIssuer => "add-at-issuer",
            Self::SealPair => "seal-pair",
            Self::MintAtIssuer => "mint-at-issuer",
            Self::SealNamed(_) => "seal-named",
            Self::CheckConsumer(_) => "check-consumer",
            Self::MintByName => "mint-by-name",
            Self::SealUser => "seal-user",
            Self::WakeUser(_) => "wake-user",
            Self::CompareUsers => "compare-users",
            Self::AwaitNoSessions(_) => "await-no-sessions",
            Self::MintMarked => "mint-marked",
            Self::AskIssuer => "ask-issuer",
            Self::VerifyNew => "verify-new",
            Self::WriteCopy => "write-copy",
            Self::WritePairs(_) => "write-pairs",
            Self::PostCopy => "post-copy",
            Self::ClearPending(_) => "clear-pending",
            Self::Refresh(_) => "refresh",
            Self::Repoint(_) => "repoint",
            Self::AwaitAdoption => "await-adoption",
            Self::ControlProbe => "control-probe",
            Self::Revoke(_) => "revoke",
            Self::AwaitCache(_) => "await-cache",
            Self::AwaitGrace(_) => "await-grace",
            Self::AwaitWindow { .. } => "await-window",
            Self::AwaitQuiet(_) => "await-quiet",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::ProveDisabled => "prove-disabled",
            Self::ProveRefused => "prove-refused",
            Self::Conclude => "conclude",
            Self::Attest => "attest",
            Self::SealCertificate(_) => "seal-certificate",
            Self::VerifyCertificate(_) => "verify-certificate",
            Self::WriteCertificate(_) => "write-certificate",
            Self::NoteRoot(_) => "note-root",
            Self::RotateRoot(_) => "rotate-root",
            Self::VerifyRoot => "verify-root",
            Self::AttestRoot => "attest-root",
            Self::EndDerived(_) => "end-derived",
            Self::ScrubCopy => "scrub-copy",
            Self::ScrubFormer => "scrub-former",
            Self::ConcludeScrub => "conclude-scrub",
            Self::NoteAnchor(_) => "note-anchor",
            Self::EndAnchor(_) => "end-anchor",
            Self::RemakeAnchor(_) => "remake-anchor",
            Self::ProveAnchor(_) => "prove-anchor",
            Self::NoteRights(_) => "note-rights",
            Self::CutBinding(_) => "cut-binding",
            Self::ProveCut(_) => "prove-cut",
            Self::AttestEnded => "attest-ended",
            Self::CheckHolder(_) => "check-holder",
            Self::Federate(_) => "federate",
            Self::Bind(_) => "bind",
            Self::TryIdentity(_) => "try-identity",
            Self::AwaitUnread(_) => "await-unread",
            Self::CompareRights(_) => "compare-rights",
            Self::AwaitEntry(_) => "await-entry",
        }
    }

    /// True if it changes something at a target, so that an audit intent must stand before it.
    pub fn has_effect(&self) -> bool {
        matches!(
            self,
            Self::SetAtIssuer
                | Self::RestoreAtIssuer
                | Self::AddAtIssuer
                | Self::MintAtIssuer
                | Self::MintByName
                | Self::WakeUser(_)
                | Self::MintMarked
                | Self::AskIssuer
                | Self::WriteCopy
                | Self::WritePairs(_)
                | Self::PostCopy
                | Self::ClearPending(_)
                | Self::Refresh(_)
                | Self::Repoint(_)
                | Self::Disable
                | Self::Enable
                | Self::Revoke(_)
                | Self::WriteCertificate(_)
                | Self::RotateRoot(_)
                | Self::VerifyRoot
                | Self::EndDerived(_)
                | Self::ScrubCopy
                | Self::ScrubFormer
                | Self::EndAnchor(_)
                | Self::RemakeAnchor(_)
                | Self::CutBinding(_)
                | Self::Federate(_)
                | Self::Bind(_)
        )
    }
}

/// On which side of the pivot a step lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepPhase {
    /// Harmless: a failure unwinds.
    BeforePivot,
    /// The step after which there is only forward.
    Pivot,
    /// Forward or pause.
    AfterPivot,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Stable within the plan: action and target.
    pub id: String,
    /// What it does.
    pub action: Action,
    /// Where.
    pub target: Ref,
    /// Which side of the pivot.
    pub phase: StepPhase,
    /// One sentence for the operator.
    pub detail: String,
}

impl Step {
    /// A step; its id is `<action>:<target>`.
    pub fn new(action: Action, target: Ref, phase: StepPhase, detail: impl Into<String>) -> Self {
        Self { id: format!("{}:{target}", action.name()), action, target, phase, detail: detail.into() }
    }

    /// The same with a word in its id, for a step whose action and target occur twice.
    #[must_use]
    pub fn named(self, word: &str) -> Self {
        Self { id: format!("{}/{word}:{}", self.action.name(), self.target), ..self }
    }
}

/// Hash of a plan: what an approval is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanHash(pub String);

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What will be done, in order. Kept with the saga and never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaPlan {
    /// Rotation, revocation or swap.
    pub kind: SagaKind,
    /// Name and version of the definition that made it; old versions stay readable until no saga refers to them.
    pub definition: String,
    /// The credential.
    pub credential: CredentialId,
    /// Its ref.
    pub subject: Ref,
    /// `replace`, `dual`, `copy-only`, `revoke`, …
    pub strategy: String,
    /// The steps.
    pub steps: Vec<Step>,
    /// Consumers that will not work on until they read their copies again.
    pub breaks: Vec<Ref>,
    /// Up to which step an operator can still take everything back.
    pub reversible_until: String,
    /// What the reader should know and the steps do not say.
    pub notes: Vec<String>,
}

impl SagaPlan {
    /// The hash over everything that the plan says. The same plan has the same hash on every machine.
    pub fn hash(&self) -> PlanHash {
        let text = serde_json::to_string(self).unwrap_or_default();
        PlanHash(hex::encode(Sha256::digest(text.as_bytes())))
    }

    /// True if nothing of it is ever undone: it goes forward or waits for an operator.
    pub fn is_forward_only(&self) -> bool {
        self.steps.iter().all(|step| step.phase == StepPhase::AfterPivot)
    }

    /// The step with this id.
    pub fn step(&self, id: &str) -> Option<(usize, &Step)> {
        self.steps.iter().enumerate().find(|(_, step)| step.id == id)
    }
}
