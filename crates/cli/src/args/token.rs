//! What `token` is told on the command line.

use clap::{Args, Subcommand};

/// `token`
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

/// What to do with tokens of the API
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make one; it is shown once, and only a hash of it is kept
    Create {
        /// What to call it: the audit log names it so
        name: String,
        /// What it may be used for: viewer, auditor, operator, approver, responder, admin
        #[arg(long, value_name = "ROLE", value_parser = ["viewer", "auditor", "operator", "approver", "responder", "admin"])]
        role: String,
        /// Only in these backends; a glob, may be given several times
        #[arg(long, value_name = "GLOB")]
        backend: Vec<String>,
        /// Only for what has this label; may be given several times
        #[arg(long, value_name = "KEY=VALUE")]
        label: Vec<String>,
        /// How long it holds: `90d`, `12h`; `never` for one that does not end
        #[arg(long, value_name = "AGE", default_value = "90d")]
        expires: String,
    },
    /// All of them, with when they were last used
    List,
    /// End one at once
    Revoke {
        /// Its name or its handle
        token: String,
    },
}
