//! Short-lived workload identity in the place of a static credential. Two sides: the system that accepts the identity ([`Federation`]), and the
//! platform on which the workload runs and which vouches for it ([`Workloads`]). They may be one backend, or two.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    reference::Ref,
    saga::{Arrangement, Binding, Mounting},
    secret::SecretValue,
};

use crate::{BackendInfo, Error, ErrorKind, Operation, Probe, Result, StoreState};

/// A workload that reads a static credential, as its platform sees it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The workload.
    pub consumer: Ref,
    /// The account that it runs as.
    pub account: Ref,
    /// How it reads the object.
    pub reads: Reads,
    /// What the reader of a plan should know of it.
    pub notes: Vec<String>,
    /// Who signs the tokens of its account (`iss`), where the platform says so.
    pub issuer: Option<String>,
    /// May we change its manifest? Where another system owns that, the change is written down for it.
    pub changeable: StoreState,
    /// As whom its runs are known, where they alone are given its tokens. `None`: [`Workloads::assertion`] gives one.
    pub runs: Option<Runs>,
}

/// A workload whose tokens are made within its own runs and nowhere else, as those of a CI job are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// `sub` of each of its tokens, whole.
    pub subject: String,
}

/// How a workload reads an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    /// As files of a volume, which follow the object; these fields of it.
    Files(BTreeSet<String>),
    /// In a way that a short-lived token under the same file names cannot take the place of: a stable code, and why. Another way to log in may
    /// ([`Mounting::folder`]).
    Fixed(&'static str, String),
    /// By its name, in a file that its owner changes: another way to log in takes its place there.
    Given,
    /// Not at all, or not any more.
    Nothing,
}

/// What a swap needs to know of the credential.
pub struct Candidate<'a> {
    /// The credential's ref at its issuer.
    pub subject: &'a Ref,
    /// That issuer.
    pub issuer: &'a BackendInfo,
    /// The account that it authenticates, where that is known.
    pub identity: Option<&'a Ref>,
    /// The object that the workload reads.
    pub object: &'a Ref,
    /// One workload that reads it.
    pub holder: &'a Holder,
}

/// May a short-lived identity take a static credential's place?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// No: a stable code, and what to do instead.
    No {
        /// Stable code.
        code: &'static str,
        /// Why, and what to do.
        reason: String,
    },
    /// Yes.
    Yes(Box<Proposal>),
}

impl Offered {
    /// It may not.
    pub fn no(code: &'static str, reason: impl Into<String>) -> Self {
        Self::No { code, reason: reason.into() }
    }
}

/// How it takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What the workload logs in as.
    pub arrangement: Arrangement,
    /// Has the system to be told first ([`Federation::federate`])? False where it knows the identity as it is.
    pub makes: bool,
    /// What changes in the workload's manifest.
    pub mounting: Mounting,
    /// Why the workload's owner has to make that change: its program must learn to log in. `None`: we can.
    pub by_hand: Option<String>,
    /// What the reader of the plan should know.
    pub notes: Vec<String>,
}

/// A login with a short-lived identity, or with the static credential: what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What the login showed.
    pub probe: Probe,
    /// What it may do, each right in a stable form of its own, so that two entries can be compared. Empty unless it was accepted.
    pub may: BTreeSet<String>,
    /// When it ends by itself. `None`: never.
    pub ends_at: Option<DateTime<Utc>>,
}

/// What is written down for a short-lived identity and for the static credential: each right in a form of its own, as in [`Entry::may`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The static credential's.
    pub former: BTreeSet<String>,
    /// The short-lived identity's.
    pub given: BTreeSet<String>,
}

/// Whether somebody has logged in with a short-lived identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uses {
    /// Last at this time.
    At(DateTime<Utc>),
    /// Nobody yet; it may be told late.
    Never,
    /// It is not told: why.
    Untold(String),
}

/// What a login gives where it lends an account of another system.
pub struct Loan {
    /// What the login showed.
    pub probe: Probe,
    /// The account. `None` unless the login was accepted.
    pub account: Option<Lent>,
    /// When it ends unless it is renewed.
    pub ends_at: Option<DateTime<Utc>>,
}

/// An account that was lent.
pub struct Lent {
    /// Its ref at its own issuer.
    pub at: Ref,
    /// Its value.
    pub value: SecretValue,
    /// By what it is given back; no secret.
    pub handle: String,
}

/// Where short-lived identities are accepted.
#[async_trait]
pub trait Federation: Send + Sync {
    /// Could the account of this workload log in here instead, and how? Asks the target, and changes nothing. A credential that is none of this
    /// system's business is a `No` with the code `not-federated`.
    async fn offers(&self, candidate: &Candidate<'_>) -> Result<Offered>;

    /// Makes the role, or what it is called here, with exactly the trust and the rights of the arrangement, and marks it with the operation's key.
    ///
    /// Repeat with the same key: success, same end state. Something else has the name: `Conflict` with `Effect::NotApplied`, and nothing is changed.
    /// Cancellation: effect unknown; [`Federation::federated`] tells.
    async fn federate(&self, op: &Operation, arrangement: &Arrangement) -> Result<()>;

    /// Is there what [`Federation::federate`] made under this operation's key, as it was arranged? Half of it is `false`.
    async fn federated(&self, op: &Operation, arrangement: &Arrangement) -> Result<bool>;

    /// Takes away what [`Federation::federate`] made under this operation's key, all of it or the half that is there. Absent, or not ours: success, and
    /// nothing is changed. Repeat: success.
    async fn unfederate(&self, op: &Operation, arrangement: &Arrangement) -> Result<()>;

    /// What the static credential may do, by a login with its value. Asked of the credential's own backend, be it that it accepts no short-lived identity. Counts as a use of it. A wrong value is a verdict.
    async fn reach(&self, subject: &Ref, value: &SecretValue) -> Result<Entry>;

    /// Logs in with the account's token, as the workload would, and says what that may do. What the login gave is ended again where it can be. A
    /// refusal is a verdict. Right after [`Federation::federate`] some systems refuse for a while: that is a refusal too, and is asked again.
    async fn login(&self, arrangement: &Arrangement, assertion: &SecretValue) -> Result<Entry>;

    /// What is written down for both, where nobody but the workload's own runs can log in. Not as it was arranged: an error, and nothing is compared.
    async fn granted(&self, _subject: &Ref, arrangement: &Arrangement) -> Result<Granted> {
        let text = format!("{}: what is written down for it is not told", arrangement.at);
        Err(Error::new(ErrorKind::Unsupported, "granted", text))
    }

    /// Has somebody logged in with it since [`Federation::federate`] made it?
    async fn entered(&self, arrangement: &Arrangement) -> Result<Uses> {
        Ok(Uses::Untold(format!("{}: its uses are not told", arrangement.at)))
    }

    /// Logs in as [`Federation::login`] does, where what that gives is an account of another system, which alone can say what it may do; renews it
    /// once, and says that it is accepted only where that was seen. `None`: nothing is lent under this arrangement.
    async fn borrow(&self, _arrangement: &Arrangement, _assertion: &SecretValue) -> Result<Option<Loan>> {
        Ok(None)
    }

    /// Gives an account back that was lent: it opens nothing any more. Repeat, or one that has ended: success.
    async fn give_back(&self, handle: &str) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "give_back", format!("{handle}: nothing is lent here")))
    }
}

/// Where workloads run, and are vouched for.
#[async_trait]
pub trait Workloads: Send + Sync {
    /// The workload as it is now, and how it reads this object. Changes nothing. Absent: `NotFound`.
    async fn holder(&self, consumer: &Ref, object: &Ref) -> Result<Holder>;

    /// A token of the account, as its pods are given: for this audience, and for so many seconds or as long as the platform wants it to last at
    /// least. Leaves nothing behind but that token. Absent account: `NotFound`.
    async fn assertion(&self, account: &Ref, audience: Option<&str>, seconds: u32) -> Result<SecretValue>;

    /// Brings the workload's manifest to that side, in one change that expects that nobody changed it in between, with the rollout that this is;
    /// [`Runtime::adopted`](crate::Runtime::adopted) with the same key says when that has come to its end. It can be brought back, by the workload's
    /// own record of what it was.
    ///
    /// Repeat with the same key: no second change, no second rollout. One that is at that side already goes on as it is. Absent: success.
    /// Cancellation: effect unknown; [`Workloads::bound`] tells.
    async fn bind(&self, op: &Operation, consumer: &Ref, binding: &Binding) -> Result<()>;

    /// Has [`Workloads::bind`] with this operation's key taken place? Of an absent workload: yes, as there is nothing left to be changed.
    async fn bound(&self, op: &Operation, consumer: &Ref) -> Result<bool>;

    /// The change as a patch for people and their tools, to the side where the static credential is named no more: file name and text.
    async fn patch(&self, consumer: &Ref, mounting: &Mounting) -> Result<(String, String)>;
}
