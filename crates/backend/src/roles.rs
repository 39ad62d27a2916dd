//! The roles of a backend. Methods take refs of this backend only.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{model::ConsumerHow, reference::Ref, secret::SecretValue};

use crate::{Ending, Error, ErrorKind, Operation, Overlap, Result, ValueOrigin};

/// What a login with a value showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The issuer accepted it.
    Accepted,
    /// The issuer's *authentication* refused it. The text is the evidence: status or SQLSTATE and endpoint, no secret.
    Refused(String),
    /// Neither can be said: unreachable, sealed, throttled, 403, a full or locked role. The text says why.
    Inconclusive(String),
}

/// A probe and where it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What it showed.
    pub verdict: Verdict,
    /// Endpoint and method, e.g. `GET https://…/api as bearer`, so that control and probe can be seen to be the same.
    pub path: String,
}

/// What an issuer made or set.
pub struct Issued {
    /// Public name of the new credential where it has one of its own (a minted key's id, a new Secret's ref).
    pub at: Ref,
    /// The value, where the issuer made it.
    pub minted: Option<SecretValue>,
    /// The public half that belongs to it, where copies hold both (a key's id).
    pub public_half: Option<String>,
}

/// How a new value of one credential comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// May the old value go on beside it?
    pub overlap: Overlap,
    /// Who makes it?
    pub origin: ValueOrigin,
    /// What the value looks like.
    pub form: ValueForm,
    /// How many credentials of this kind one identity may have, where that is limited.
    pub slots: Option<u32>,
    /// How long, in seconds, after it was made some of the issuer's servers may still refuse a new value, and its lists not show it.
    pub settles_within: u32,
    /// How coarse [`Issuer::last_used`] is, in seconds: a use at that time or within so many seconds after it. 0: it tells the moment.
    pub last_used_grain: u32,
}

impl Offer {
    /// A value that we make and set, known everywhere at once, in any number where it overlaps.
    pub fn set_by_us(overlap: Overlap, form: ValueForm) -> Self {
        Self {
            overlap,
            origin: ValueOrigin::SetByUs,
            form,
            slots: None,
            settles_within: 0,
            last_used_grain: 0,
        }
    }
}

/// One of an identity's credentials, as its issuer lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sibling {
    /// Its ref at the issuer.
    pub at: Ref,
    /// The public half that copies show beside the value (a key's id).
    pub public_half: String,
    /// When it was made, by the issuer's clock.
    pub created_at: Option<DateTime<Utc>>,
    /// Is it accepted at all? False for a suspended one.
    pub active: bool,
}

/// What a value that we make looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueForm {
    /// A password by the rules of the policy.
    Password,
    /// A version 4 UUID.
    Uuid,
    /// The private half of an SSH key pair, whose public half the issuer is told.
    SshKey,
    /// None: the issuer makes it.
    NotOurs,
}

/// What a plan has to know of a credential before another one is made for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prospect {
    /// Why none can be made that may do the same: a stable code, and what to do instead.
    pub refused: Option<(&'static str, String)>,
    /// What the reader of the plan should know.
    pub notes: Vec<String>,
    /// The field in which the issuer itself shows the value, where it does: it follows by itself, and nobody writes it.
    pub shown_at: Option<Ref>,
    /// The account of another system that the issuer logs in as with the value, where that is said.
    pub account: Option<Account>,
}

/// An account of another system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// This one of the same backend.
    Known(Ref),
    /// The one with this name at this server.
    Named {
        /// User.
        user: String,
        /// Host name or address, as the issuer reaches it.
        host: String,
        /// TCP port.
        port: u16,
    },
}

impl Prospect {
    /// None can be made.
    pub fn refuse(code: &'static str, reason: impl Into<String>) -> Self {
        Self { refused: Some((code, reason.into())), ..Self::default() }
    }
}

/// What puts a former value back without its plaintext, e.g. the saved SCRAM verifier. Sealed like a secret.
pub struct Restore(pub SecretValue);

/// Does something exist at the issuer?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Yes; the token changes when it is re-created or its value changes (uid, resourceVersion).
    Present(String),
    /// No.
    Absent,
}

/// A value as its issuer holds it.
pub struct Held {
    /// The value.
    pub value: SecretValue,
    /// Another one after each change, and only then.
    pub version: String,
}

/// The issuer recognised a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// The credential's ref at the issuer.
    pub at: Ref,
}

/// Where credentials live.
#[async_trait]
pub trait Issuer: Send + Sync {
    /// Can a new value be issued for this credential, and how? Constant for one ref, and nobody is asked. `None`: it cannot.
    fn offer(&self, subject: &Ref) -> Option<Offer>;

    /// Could another one be issued for it now that may do the same and no more, and what follows from that? Asks the target, and changes
    /// nothing. An issuer to which all are alike answers without asking. Absent subject: refused.
    async fn prospect(&self, subject: &Ref) -> Result<Prospect>;

    /// Sets `value` for the credential, or mints where the origin says so (then `value` is `None`). Where the offer overlaps, the value is added
    /// beside the one that is there, with all that belongs to it (limits, metadata), and gets a ref of its own.
    ///
    /// Repeat with the same value: succeeds, same end state, same ref. **Repeat of a minting: another credential**; whoever lost the answer finds
    /// the first one by [`Issuer::siblings`], or by [`Issuer::made_by`] where it is marked. Where it changes the value itself when asked: another value each time, and whoever lost the answer
    /// reads it by [`Issuer::held`]; where the issuer alone knows it afterwards, nothing is lost. One that comes out otherwise than its subject is taken
    /// away again: `Invalid`. No slot free: `Invalid` with `Effect::NotApplied`. Absent subject: `NotFound`. A value against the target's rules: `Invalid`
    /// with `Effect::NotApplied`. Cancellation: effect unknown.
    ///
    /// Minted by name: the name follows from the subject's and the operation's key, so that a **repeat gives the same ref and the same value**,
    /// and another operation never the same name. Something else has the name: `Conflict` with `Effect::NotApplied`.
    async fn issue(&self, op: &Operation, subject: &Ref, value: Option<&SecretValue>) -> Result<Issued>;

    /// What [`Issuer::issue`] made under this operation, where the value is minted by name: its ref, and its value if that is there by now. `None`:
    /// nothing is there that it made. Absent subject: no matter.
    async fn issued(&self, op: &Operation, subject: &Ref) -> Result<Option<Issued>>;

    /// Logs in with `value` as the credential's identity, at the same endpoint that consumers use. A wrong value is a verdict, not an error.
    async fn verify(&self, subject: &Ref, value: &SecretValue) -> Result<Probe>;

    /// Is this value one of this issuer's, and which? Makes no login that the target would count. `None`: not one of ours.
    async fn identify(&self, value: &SecretValue) -> Result<Option<Identified>>;

    /// What [`Issuer::issue`] added beside the subject with this value of ours: looked for where the subject is, so that an issuer with very many
    /// credentials need not look through all of them. `None`: it is not there. Absent subject: no matter. Makes no login.
    async fn added(&self, _subject: &Ref, value: &SecretValue) -> Result<Option<Identified>> {
        self.identify(value).await
    }

    /// Reads what [`Issuer::restore`] needs. `None` where the target does not show it to us.
    async fn snapshot(&self, subject: &Ref) -> Result<Option<Restore>>;

    /// Puts the former value back. Repeat: succeeds.
    async fn restore(&self, op: &Operation, subject: &Ref, saved: &Restore) -> Result<()>;

    /// Does it exist? Absence is an answer.
    async fn presence(&self, subject: &Ref) -> Result<Presence>;

    /// All credentials of this kind that the subject's identity has, suspended ones too; the subject need not be among them. Absent identity: none.
    /// A credential that was made within [`Offer::settles_within`] may be missing.
    async fn siblings(&self, subject: &Ref) -> Result<Vec<Sibling>>;

    /// Everything that minting for this subject under this operation key has made and that is still there; marked ones only. Absent
    /// subject: what was made for it all the same. What was looked through already need not be again: a target with very much to look through
    /// answers `Unavailable` until it is done.
    async fn made_by(&self, op: &Operation, subject: &Ref) -> Result<Vec<Ref>>;

    /// The value that the issuer holds and shows, where it changes it itself. Absent: `None`.
    async fn held(&self, subject: &Ref) -> Result<Option<Held>>;

    /// Has the issuer log in, where consumers' accounts are, with the value that it alone holds. What it is told there is the verdict; changes
    /// nothing that anybody else would see. Repeat: another login. Absent: `NotFound`.
    async fn connects(&self, _op: &Operation, subject: &Ref) -> Result<Probe> {
        Err(Error::new(ErrorKind::Unsupported, "connects", format!("{subject}: its issuer logs in nowhere")))
    }

    /// Suspends the credential: nobody gets in with it until it is enabled again; what a login shows then [`Issuer::ending`] says. Repeat: succeeds, same end state. Absent: `NotFound`. Cancellation:
    /// effect unknown; [`Issuer::siblings`] tells.
    async fn disable(&self, op: &Operation, subject: &Ref) -> Result<()>;

    /// Undoes [`Issuer::disable`]: the same value is accepted again. Repeat: succeeds, same end state. Absent: `NotFound`. Cancellation: effect
    /// unknown; [`Issuer::siblings`] tells.
    async fn enable(&self, op: &Operation, subject: &Ref) -> Result<()>;

    /// How this credential is ended. Constant for one ref, and nobody is asked.
    fn ending(&self, _subject: &Ref) -> Ending {
        Ending::default()
    }

    /// Makes the credential unusable. Absent or already revoked: success. `expect` is a presence token: another one is `Conflict`.
    async fn revoke(&self, op: &Operation, subject: &Ref, expect: Option<&str>) -> Result<()>;

    /// The same by the value, where [`Ending::by_value`] says that this ends more; where the value is held. It is sent to the issuer and nowhere else.
    async fn revoke_held(
        &self,
        op: &Operation,
        subject: &Ref,
        _value: &SecretValue,
        expect: Option<&str>,
    ) -> Result<()> {
        self.revoke(op, subject, expect).await
    }

    /// When it was last used, if the target knows.
    async fn last_used(&self, subject: &Ref) -> Result<Option<DateTime<Utc>>>;
}

/// What must hold for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Nothing is there.
    Absent,
    /// Exactly this version is there.
    Version(String),
}

/// A value and its version.
pub struct StoredValue {
    /// The whole field.
    pub value: SecretValue,
    /// The store's version token.
    pub version: String,
    /// The operation key that wrote it, where the store keeps one.
    pub written_by: Option<String>,
}

/// Could we write, and should we?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreState {
    /// Yes.
    Writable,
    /// No: the permission or the object's nature (immutable) forbids it.
    Refused(String),
    /// Another system owns it (External Secrets, Helm, Argo CD, Terraform): change it there.
    ManagedElsewhere(String),
}

/// Where copies lie.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads the whole field. Absence is an answer.
    async fn read(&self, at: &Ref) -> Result<Option<StoredValue>>;

    /// Asks the target whether a write would be allowed; changes nothing.
    async fn writable(&self, at: &Ref) -> Result<StoreState>;

    /// Replaces the field; its siblings stay as they are. Gives the new version.
    ///
    /// `Conflict` when the expectation does not hold: the caller reads again, and if the value or `written_by` is its own the write had
    /// already happened. Cancellation: effect unknown.
    async fn write(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<String>;

    /// Replaces several fields of **one object** in one write: a reader sees all of them or none. Gives the new version.
    ///
    /// As [`Store::write`]; the expectation holds for every field. Fields of several objects, or of an object that is no unit for its readers:
    /// `Invalid` or `Unsupported`, and nothing is written.
    async fn write_together(&self, op: &Operation, fields: &[Field<'_>], expect: &Expect) -> Result<String>;

    /// What an unfinished rotation of somebody else has staged at this place and not made current. Absence is an answer; a store without
    /// stages has none.
    async fn pending(&self, _at: &Ref) -> Result<Option<PendingValue>> {
        Ok(None)
    }

    /// Takes the stage off this version, if it still is the staged one; the current one stays as it is. Repeat, or another version staged since:
    /// success, and nothing is changed. Cancellation: effect unknown; [`Store::pending`] tells.
    async fn clear_pending(&self, _op: &Operation, at: &Ref, _version: &str) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "clear_pending", format!("{at}: its store has no stages")))
    }
}

/// A staged version.
pub struct PendingValue {
    /// The store's version token.
    pub version: String,
    /// The field in it; `None` where the version is empty or has no such field.
    pub value: Option<SecretValue>,
}

/// A field and its new value.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    /// The field.
    pub at: &'a Ref,
    /// What it will hold.
    pub value: &'a SecretValue,
}

/// How far a consumer has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adoption {
    /// It runs on what was there at `since` or later, and is ready.
    Adopted(String),
    /// Not yet. The text says what is missing.
    Pending(String),
    /// It will not get there by itself: the text says why.
    Failing(String),
}

/// Where consumers run.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Makes the consumer read its copies again (a rollout). Repeat with the same operation key: no second rollout. Absent consumer: success.
    async fn refresh(&self, op: &Operation, consumer: &Ref, how: ConsumerHow) -> Result<()>;

    /// Does the consumer run on what was in its copies when the operation with this key refreshed it? An absent consumer has adopted.
    async fn adopted(&self, op: &Operation, consumer: &Ref) -> Result<Adoption>;

    /// How does the consumer stand now, whatever it was last refreshed for? As [`Runtime::adopted`], without asking whose rollout it is. One
    /// whose next run reads the copies, and an absent one, stand well.
    async fn standing(&self, consumer: &Ref) -> Result<Adoption>;

    /// Could the consumer be made to read another object than `from`, and would it come to run on that? Changes nothing. An absent consumer could.
    async fn repointable(&self, consumer: &Ref, from: &Ref) -> Result<StoreState>;

    /// Makes the consumer name `to` wherever its specification names `from`, in one change, with the rollout that this is;
    /// [`Runtime::adopted`] with the same key says when it has come to its end. Both are of the consumer's own place.
    ///
    /// Repeat with the same operation key: no second change, no second rollout. A consumer that names `from` nowhere goes on as it is, and has
    /// adopted when its last rollout has come to its end. Absent consumer: success. Cancellation: effect unknown; [`Runtime::repointed`] tells.
    async fn repoint(&self, op: &Operation, consumer: &Ref, from: &Ref, to: &Ref) -> Result<()>;

    /// Has [`Runtime::repoint`] with this operation's key taken place? Of an absent consumer: yes, as there is nothing left to be changed.
    async fn repointed(&self, op: &Operation, consumer: &Ref) -> Result<bool>;
}
