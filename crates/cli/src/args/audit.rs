use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `audit`
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Verify the chain of the database, or of an export
    Verify {
        /// An export made by `audit export`; `-` for standard input
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// What a witness noted as the chain's head: `SEQ:HASH`
        #[arg(long, value_name = "SEQ:HASH")]
        head: Option<String>,
        /// The installation's public key, as its `keys/signing.pub` has it: the export has to be signed with it
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
        /// A checkpoint that was noted earlier: the chain has to go through it
        #[arg(long, value_name = "FILE", conflicts_with = "head")]
        checkpoint: Option<PathBuf>,
        /// How the installation's signing keys followed each other, as its `keys/signing.history` has it: whoever trusts one trusts the others for what they signed in their time
        #[arg(long, value_name = "FILE", requires = "file")]
        key_history: Option<PathBuf>,
    },
    /// Write all entries, one JSON object per line, and a signed head at the end
    Export {
        /// Where to write it; `-` for standard output
        #[arg(long, value_name = "FILE", default_value = "-")]
        out: PathBuf,
        /// Only from the first receipt on: what proves the receipts and nothing before them
        #[arg(long)]
        receipts: bool,
        /// With `--receipts`: those of this rotation or revocation (id or its beginning)
        #[arg(long, value_name = "ID", requires = "receipts")]
        rotation: Option<String>,
    },
    /// Write a signed head, to be kept where nobody here can change it
    Checkpoint {
        /// Where to write it; `-` for standard output
        #[arg(long, value_name = "FILE", default_value = "-")]
        out: PathBuf,
    },
}
