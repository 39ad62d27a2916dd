use std::path::PathBuf;

use clap::Args;

use super::{ChangeArgs, ConditionArgs};

/// `swap`
#[derive(Debug, Args)]
pub(crate) struct SwapArgs {
    /// A ref with globs, an id or its beginning, or terms such as `kind=service-account-token`
    #[arg(required_unless_present = "where")]
    pub(crate) selector: Vec<String>,
    #[command(flatten)]
    pub(crate) condition: ConditionArgs,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
    /// Carry out the plan with this hash and no other; answers the question
    #[arg(long, value_name = "HASH", conflicts_with = "dry_run")]
    pub(crate) plan_hash: Option<String>,
    /// Change no manifest: write the patches into this folder, and wait until their owners have applied them
    #[arg(long, value_name = "DIR")]
    pub(crate) patch: Option<PathBuf>,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Go on although copies are known that nobody is known to read: they will hold a dead value
    #[arg(long)]
    pub(crate) leave_stale: bool,
}
