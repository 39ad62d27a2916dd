//! What a person sees when something goes wrong: a stable code, one sentence, and a hint that can be acted on.
//!
//! Codes: 0001–0099 usage and configuration, 0100–0199 database and keys, 0200–0299 backends, 0300–0399 inventory,
//! 0400–0499 plans and sagas, 0500–0599 audit, 0600–0699 the service, 0900 bugs. Those of the engine, the database and the backends are given in
//! `claviger_engine::fault`, where the API has them from too.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use claviger_engine::fault::{Fault, Kind};

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

    /// Is it the one with this code?
    pub(crate) fn is(&self, code: u16) -> bool {
        self.code == code
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

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let exit = match fault.kind {
            Kind::Usage => Exit::Usage,
            Kind::Refused => Exit::Refused,
            Kind::Stuck => Exit::Stuck,
            Kind::Failed | Kind::Absent | Kind::Conflict | Kind::Unavailable | Kind::Bug => Exit::Failed,
        };
        Self { code: fault.code, message: fault.message, hint: fault.hint, exit }
    }
}

impl From<claviger_backend::Error> for Failure {
    fn from(error: claviger_backend::Error) -> Self {
        Fault::from(error).into()
    }
}

impl From<claviger_store::Error> for Failure {
    fn from(error: claviger_store::Error) -> Self {
        Fault::from(error).into()
    }
}

impl From<claviger_engine::Error> for Failure {
    fn from(error: claviger_engine::Error) -> Self {
        Fault::from(error).into()
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
