//! What a person sees when something goes wrong, wherever they ask from: a stable code, one sentence, and a hint that can be acted on.
//!
//! The command line and the API give the same codes: both have them from here. Codes: 0100–0199 database and keys, 0200–0299 backends, 0300–0399
//! inventory, 0400–0499 plans and sagas.

use claviger_backend::ErrorKind;

use crate::Error;

/// What kind of trouble it is: the command line makes an exit code of it, the API a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was asked for cannot be read, or the configuration cannot be used.
    Usage,
    /// It is not there.
    Absent,
    /// Something else is in the way, now.
    Conflict,
    /// Refused by a policy, an approval that is missing, a guard, or the state of things.
    Refused,
    /// An operator is needed.
    Stuck,
    /// The database or a target does not answer.
    Unavailable,
    /// It failed.
    Failed,
    /// It should not have happened.
    Bug,
}

/// A coded error. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its number: printed as `CLV` and four digits.
    pub code: u16,
    /// What kind.
    pub kind: Kind,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without a hint.
    pub fn new(code: u16, kind: Kind, message: impl Into<String>) -> Self {
        Self { code, kind, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As it is printed: `CLV0300`.
    pub fn word(&self) -> String {
        format!("CLV{:04}", self.code)
    }
}

impl From<claviger_backend::Error> for Fault {
    fn from(error: claviger_backend::Error) -> Self {
        let (code, kind) = match error.kind() {
            ErrorKind::Config => (200, Kind::Usage),
            ErrorKind::Unauthenticated => (201, Kind::Failed),
            ErrorKind::Denied => (202, Kind::Failed),
            ErrorKind::Unavailable => (203, Kind::Unavailable),
            ErrorKind::RateLimited => (204, Kind::Unavailable),
            ErrorKind::Unsupported => (205, Kind::Refused),
            ErrorKind::Conflict => (206, Kind::Conflict),
            ErrorKind::NotFound => (207, Kind::Absent),
            _ => (299, Kind::Failed),
        };
        let fault = Self::new(code, kind, error.message());
        match error.hint() {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}

impl From<claviger_store::Error> for Fault {
    fn from(error: claviger_store::Error) -> Self {
        use claviger_store::Error as Store;
        let message = error.to_string();
        match error {
            Store::Fenced => Self::new(100, Kind::Conflict, message)
                .hint("another worker goes on with it: look at `claviger list rotations`"),
            Store::Unavailable(_) => Self::new(101, Kind::Unavailable, message).hint(
                "check the database's address, that it runs, its disk, and that no other program locks it",
            ),
            Store::Schema(_) => Self::new(102, Kind::Failed, message).hint(
                "`claviger db status` tells more; `claviger db migrate` brings an older schema up to date",
            ),
            Store::WentBack(_) => Self::new(710, Kind::Refused, message).hint(
                "a backup was restored, and what was done since is not in it: `claviger db reconcile` compares it with the targets; until then nothing has an effect",
            ),
            Store::Keys(_) => Self::new(698, Kind::Refused, message).hint(
                "`claviger keys list` shows the keys; a process that was started before a rotation has to be started again, and the fingerprint key is rotated while nothing is under way",
            ),
            Store::Unsafe(_) => Self::new(103, Kind::Refused, message).hint(
                "change the database's setting: claviger would lose its promise that no credential is lost",
            ),
            _ => Self::new(104, Kind::Failed, message)
                .hint("do not edit the database by hand; restore a backup, or report this"),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        use Error as Engine;
        let message = error.to_string();
        match error {
            Engine::Store(error) => error.into(),
            Engine::Backend { source, .. } => Self { message, ..(*source).into() },
            Engine::UnknownBackend(_) => Self::new(20, Kind::Usage, message).hint("`claviger doctor` lists the backends of the configuration"),
            Engine::Selector { .. } => Self::new(21, Kind::Usage, message).hint("see `claviger list --help`"),
            Engine::NoMatch(_) => Self::new(300, Kind::Absent, message).hint("`claviger list credentials` shows what is there; `claviger scan` renews it"),
            Engine::Refused { .. } => Self::new(400, Kind::Refused, message),
            Engine::NeedsOperator { .. } => Self::new(401, Kind::Stuck, message),
            Engine::Busy(_) => Self::new(402, Kind::Conflict, message).hint("wait until its lease has ended, or let the other worker finish"),
            Engine::NoSaga(_) => Self::new(403, Kind::Absent, message).hint("`claviger list rotations` and `claviger list revocations` show them"),
            Engine::Sealed { .. } => Self::new(404, Kind::Stuck, message).hint("restore the `keys` directory that was in use when it was begun: nothing at the targets is lost meanwhile"),
            Engine::SealedLost { .. } => Self::new(699, Kind::Stuck, message).hint("`claviger resolve ID --close --reason TEXT` ends it; then rotate the credential again"),
            Engine::Approval { code: "glass-expired", .. } => Self::new(412, Kind::Refused, message).hint("have the plan approved: `claviger approve HASH --key FILE`"),
            Engine::Approval { .. } => Self::new(411, Kind::Refused, message).hint("[[approvers]] of the configuration says who may approve; `claviger approve HASH --show` shows the plan"),
            Engine::Incident { code: "open-items", .. } => Self::new(421, Kind::Refused, message).hint("`claviger incident status ID` says what is left to be done; `--unresolved REASON` closes it all the same"),
            Engine::Incident { code: "closed", .. } => Self::new(422, Kind::Refused, message).hint("`claviger incident open` begins another one"),
            Engine::Incident { code: "no-note" | "future", .. } => Self::new(423, Kind::Usage, message).hint("see `claviger incident --help`"),
            Engine::Incident { .. } => Self::new(420, Kind::Absent, message).hint("`claviger incident status` lists them"),
            Engine::NoPause(_) => Self::new(430, Kind::Absent, message).hint("`claviger schedule list` shows the pauses that hold"),
        }
    }
}
