//! What a backend sees, before it is an inventory: the items of a page.
//!
//! An observation may carry a secret value on its way to the fingerprint stage, so none of these types is `Debug` or `Clone` where it does.

use chrono::{DateTime, Utc};

use crate::{
    model::{
        Attributes, ConsumerHow, CopyStage, CredentialKind, CredentialState, Handle, IdentityKind, Labels,
        OwnerEvidence, Place, PrivilegeLevel,
    },
    reference::Ref,
    secret::SecretValue,
};

/// One thing that a backend saw.
pub enum Observation {
    /// A principal.
    Identity(ObservedIdentity),
    /// An authenticator, as its issuer lists it.
    Credential(ObservedCredential),
    /// A place that holds a value, which may or may not be a secret.
    Copy(ObservedCopy),
    /// A workload that reads a place.
    Consumer(ObservedConsumer),
    /// A privilege.
    Grant(ObservedGrant),
}

/// A principal at its home.
#[derive(Debug, Clone)]
pub struct ObservedIdentity {
    /// Its ref, unique.
    pub at: Ref,
    /// What it is.
    pub kind: IdentityKind,
    /// When it was made, where the backend knows.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was last active, where the backend knows.
    pub last_used_at: Option<DateTime<Utc>>,
    /// True if it exists and cannot log in.
    pub disabled: bool,
    /// Labels or tags.
    pub labels: Labels,
    /// Hints at its owner.
    pub owners: Vec<OwnerEvidence>,
    /// Facts for findings, e.g. `superuser`, `cloud_role`.
    pub attributes: Attributes,
}

/// How a candidate value can be shown to be this credential without logging in.
#[derive(Clone)]
pub enum Verifier {
    /// A PostgreSQL SCRAM-SHA-256 verifier, the text of `pg_authid.rolpassword` (RFC 5802, RFC 7677).
    ScramSha256(String),
    /// PostgreSQL's `md5` + hex of md5(password ‖ role). The second field is the role.
    PostgresMd5(String, String),
}

/// An authenticator as its issuer lists it, without its value.
#[derive(Clone)]
pub struct ObservedCredential {
    /// Its ref at the issuer, unique.
    pub at: Ref,
    /// What it is.
    pub kind: CredentialKind,
    /// The identity that it authenticates.
    pub identity: Option<Ref>,
    /// Its state at the issuer: `active`, `suspended` or `expired`.
    pub state: CredentialState,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When its value last changed.
    pub rotated_at: Option<DateTime<Utc>>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used; `None` is "not known", never "not used".
    pub last_used_at: Option<DateTime<Utc>>,
    /// Public name that copies may show too.
    pub handle: Option<Handle>,
    /// Offline check for candidate values.
    pub verifier: Option<Verifier>,
    /// Labels or tags.
    pub labels: Labels,
    /// Hints at its owner.
    pub owners: Vec<OwnerEvidence>,
    /// Facts for findings.
    pub attributes: Attributes,
}

/// What lies beside a value and says what it opens. None of it is secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// User, role or client id.
    pub user: Option<String>,
    /// Where that user's name lies, if in one place only: whoever changes it together with the value has to write it there.
    pub user_at: Option<Beside>,
    /// Host or address.
    pub host: Option<String>,
    /// TCP port.
    pub port: Option<u16>,
    /// Database or path.
    pub database: Option<String>,
    /// URL scheme or engine (`postgres`, `mysql`, `redis`, `amqp`).
    pub engine: Option<String>,
    /// AWS access key id beside a secret access key.
    pub aws_access_key_id: Option<String>,
    /// Where that id lies: whoever changes the secret has to change it too.
    pub aws_access_key_at: Option<Beside>,
    /// AppRole role-id beside a secret-id.
    pub role_id: Option<String>,
}

/// Where something lies that belongs to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    /// In another field of the same object.
    Field(String),
    /// In the same field, at this pointer.
    Within(String),
}

/// What was found in a place.
pub enum Content {
    /// The value of the whole field. Parsing it into leaves is the engine's work.
    Value(SecretValue),
    /// The place exists and its value was not to be had: why.
    Unreadable(String),
}

/// A place that holds a value.
pub struct ObservedCopy {
    /// Where: object and field.
    pub at: Ref,
    /// The field's name as the store has it (`password`, `.dockerconfigjson`); it hints at what the value is.
    pub key: String,
    /// The store's version token, for compare-and-set.
    pub version: Option<String>,
    /// Which version this is.
    pub stage: CopyStage,
    /// What kind of place it is.
    pub place: Place,
    /// What was found.
    pub content: Content,
    /// What lies beside it.
    pub bundle: Bundle,
    /// What the store says it is, e.g. by the Secret's type.
    pub kind: Option<CredentialKind>,
    /// The credential at its issuer, where the store *is* the issuer or names it (a token Secret).
    pub issuer: Option<Ref>,
    /// When the place was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When this version was written.
    pub updated_at: Option<DateTime<Utc>>,
    /// When the store says it was last read.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Labels or tags of the place.
    pub labels: Labels,
    /// Hints at its owner.
    pub owners: Vec<OwnerEvidence>,
    /// Facts for findings, e.g. `immutable`, `managed_by`.
    pub attributes: Attributes,
}

/// A workload that reads a place.
#[derive(Debug, Clone)]
pub struct ObservedConsumer {
    /// The workload: the owner, not its ReplicaSets and Pods.
    pub at: Ref,
    /// What it reads: one field (`…#password`), a whole object, or an identity (`…/ServiceAccount/web`).
    pub reads: Ref,
    /// How.
    pub how: ConsumerHow,
    /// Container, where one is meant.
    pub container: Option<String>,
    /// Facts: `audience`, `expiration_seconds`, `sub_path`, `replicas`.
    pub attributes: Attributes,
}

/// A privilege of an identity.
#[derive(Debug, Clone)]
pub struct ObservedGrant {
    /// Who has it.
    pub identity: Ref,
    /// What gives it: the binding, policy or membership. Unique together with identity and privilege.
    pub source: Ref,
    /// What it is, in the backend's words: `ClusterRole/cluster-admin`, `policy/admin`, `superuser`.
    pub privilege: String,
    /// Where it holds: a namespace, a path, `*` for everywhere.
    pub reach: String,
    /// How much it allows.
    pub level: PrivilegeLevel,
    /// Facts: the rules, shortened.
    pub attributes: Attributes,
}
