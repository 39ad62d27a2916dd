//! What is told on the command line of the lifecycle database.

use clap::{Args, Subcommand};

/// `db`
#[derive(Debug, Args)]
pub(crate) struct DbArgs {
    #[command(subcommand)]
    pub(crate) command: DbCommand,
}

/// What to do with the database.
#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Bring the schema up to date
    Migrate,
    /// Say whether the schema is up to date
    Status,
    /// After a backup was restored: compare it with the targets, and let work begin again
    Reconcile {
        /// Also if not everything could be read
        #[arg(long)]
        incomplete: bool,
        /// Let what is unfinished in the backup be taken up
        #[arg(long)]
        unfinished: bool,
    },
}
