//! What a person sees when something goes wrong: a stable code, one sentence, and a hint that can be acted on.
//!
//! Codes: 0001–0099 usage and configuration, 0100–0199 database and keys, 0200–0299 backends, 0300–0399 inventory,
//! 0400–0499 plans and sagas, 0500–0599 audit, 0600–0699 the service, 0900 bugs.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use claviger_backend::ErrorKind;

use crate::args::Global;

/// Exit codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Usage or configuration.
    Usage = 2,
    /// Done but incomplete.
    Incomplete = 3,
    /// Refused by policy, approval or guard.
    Refused = 4,
    /// Stuck: an operator is needed.
    Stuck = 5,
}

impl Exit {
    /// The same, but not `Done` where something is missing.
    pub(crate) fn unless(self, incomplete: bool) -> Self {
        if incomplete && self == Self::Done { Self::Incomplete } else { self }
    }
}

/// A coded error.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u16,
    message: String,
    hint: Option<String>,
    exit: Exit,
}

/// Result of a command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(code: u16, exit: Exit, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, exit }
    }

    /// The configuration or the command line cannot be used.
    pub(crate) fn config(code: u16, message: impl Into<String>) -> Self {
        Self::new(code, Exit::Usage, message)
    }

    pub(crate) fn bug(message: impl Into<String>) -> Self {
        Self::new(900, Exit::Failed, message)
            .hint("this is a bug in claviger: please report it with the output of `-vv`")
    }

    /// A file could not be read or written.
    pub(crate) fn file(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(10, Exit::Failed, format!("cannot {what} `{}`: {}", path.display(), error.kind()))
    }

    /// Code and sentence, for the log.
    pub(crate) fn line(&self) -> String {
        format!("CLV{:04}: {}", self.code, self.message)
    }

    pub(crate) fn map_message(mut self, change: impl FnOnce(String) -> String) -> Self {
        self.message = change(self.message);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<claviger_backend::Error> for Failure {
    fn from(error: claviger_backend::Error) -> Self {
        let (code, exit) = match error.kind() {
            ErrorKind::Config => (200, Exit::Usage),
            ErrorKind::Unauthenticated => (201, Exit::Failed),
            ErrorKind::Denied => (202, Exit::Failed),
            ErrorKind::Unavailable => (203, Exit::Failed),
            ErrorKind::RateLimited => (204, Exit::Failed),
            ErrorKind::Unsupported => (205, Exit::Refused),
            ErrorKind::Conflict => (206, Exit::Failed),
            ErrorKind::NotFound => (207, Exit::Failed),
            _ => (299, Exit::Failed),
        };
        let failure = Self::new(code, exit, error.message());
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<claviger_store::Error> for Failure {
    fn from(error: claviger_store::Error) -> Self {
        use claviger_store::Error as Store;
        let message = error.to_string();
        match error {
            Store::Fenced => Self::new(100, Exit::Failed, message)
                .hint("another worker goes on with it: look at `claviger list rotations`"),
            Store::Unavailable(_) => Self::new(101, Exit::Failed, message).hint(
                "check the database's address, that it runs, its disk, and that no other program locks it",
            ),
            Store::Schema(_) => Self::new(102, Exit::Failed, message).hint(
                "`claviger db status` tells more; `claviger db migrate` brings an older schema up to date",
            ),
            Store::Unsafe(_) => Self::new(103, Exit::Refused, message).hint(
                "change the database's setting: claviger would lose its promise that no credential is lost",
            ),
            _ => Self::new(104, Exit::Failed, message)
                .hint("do not edit the database by hand; restore a backup, or report this"),
        }
    }
}

impl From<claviger_engine::Error> for Failure {
    fn from(error: claviger_engine::Error) -> Self {
        use claviger_engine::Error as Engine;
        let message = error.to_string();
        match error {
            Engine::Store(error) => error.into(),
            Engine::Backend { source, .. } => Self { message, ..(*source).into() },
            Engine::UnknownBackend(_) => Self::config(20, message).hint("`claviger doctor` lists the backends of the configuration"),
            Engine::Selector { .. } => Self::config(21, message).hint("see `claviger list --help`"),
            Engine::NoMatch(_) => Self::new(300, Exit::Failed, message).hint("`claviger list credentials` shows what is there; `claviger scan` renews it"),
            Engine::Refused { .. } => Self::new(400, Exit::Refused, message),
            Engine::NeedsOperator { .. } => Self::new(401, Exit::Stuck, message),
            Engine::Busy(_) => Self::new(402, Exit::Failed, message).hint("wait until its lease has ended, or let the other worker finish"),
            Engine::NoSaga(_) => Self::new(403, Exit::Failed, message).hint("`claviger list rotations` and `claviger list revocations` show them"),
            Engine::Sealed { .. } => Self::new(404, Exit::Stuck, message).hint("restore the `keys` directory that was in use when it was begun: nothing at the targets is lost meanwhile"),
            Engine::Approval { code: "glass-expired", .. } => Self::new(412, Exit::Refused, message).hint("have the plan approved: `claviger approve HASH --key FILE`"),
            Engine::Approval { .. } => Self::new(411, Exit::Refused, message).hint("[[approvers]] of the configuration says who may approve; `claviger approve HASH --show` shows the plan"),
            Engine::Incident { code: "open-items", .. } => Self::new(421, Exit::Refused, message).hint("`claviger incident status ID` says what is left to be done; `--unresolved REASON` closes it all the same"),
            Engine::Incident { code: "closed", .. } => Self::new(422, Exit::Refused, message).hint("`claviger incident open` begins another one"),
            Engine::Incident { code: "no-note" | "future", .. } => Self::config(423, message).hint("see `claviger incident --help`"),
            Engine::Incident { .. } => Self::new(420, Exit::Failed, message).hint("`claviger incident status` lists them"),
            Engine::NoPause(_) => Self::new(430, Exit::Failed, message).hint("`claviger schedule list` shows the pauses that hold"),
            _ => Self::new(499, Exit::Failed, message),
        }
    }
}

/// Colour only on a terminal that was not told otherwise.
pub(crate) fn color(global: &Global) -> bool {
    !global.no_color
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::io::stderr().is_terminal()
}

/// Prints a failure and gives its exit code.
pub(crate) fn render(failure: &Failure, color: bool) -> ExitCode {
    let (red, bold, plain) = if color { ("\u{1b}[31m", "\u{1b}[1m", "\u{1b}[0m") } else { ("", "", "") };
    let mut stderr = std::io::stderr().lock();
    let message = claviger_report::visible(&failure.message);
    let _ = writeln!(stderr, "{red}error[CLV{:04}]{plain}: {message}", failure.code);
    if let Some(hint) = &failure.hint {
        let _ = writeln!(stderr, "{bold}hint{plain}: {}", claviger_report::visible(hint));
    }
    failure.exit.into()
}

/// Help, version, and wrong usage.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind as Kind;
    if matches!(error.kind(), Kind::DisplayHelp | Kind::DisplayVersion) {
        let _ = error.print();
        return Exit::Done.into();
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "error[CLV0001]: {text}");
    if !text.contains("--help") {
        let _ = writeln!(stderr, "hint: see `claviger --help`");
    }
    Exit::Usage.into()
}
