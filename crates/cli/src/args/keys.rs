//! What is told on the command line of the installation's own keys.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use claviger_core::own_key::KeyKind;

/// `keys`
#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

/// What to do with our own keys
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Which keys there are, which are in force, and what is left of former ones
    List,
    /// Put a new key in force; the former one is kept as long as something of it is left
    Rotate {
        /// Which
        #[arg(value_enum)]
        kind: KeyName,
        /// Why; it goes into the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Seal anew, with the key in force, what former keys have sealed; services have to be started again before
    Reseal {
        /// Stop after so many values
        #[arg(long, value_name = "N")]
        at_most: Option<u64>,
    },
    /// Take away former keys of which nothing is left
    Prune,
    /// Write all keys into one file that only a passphrase opens, or only one recipient
    Backup {
        /// Where to write it; must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// For whom: `x25519:…`, as `keys recipient` prints it; no passphrase is needed then, and who makes it cannot read it
        #[arg(long, value_name = "KEY", conflicts_with_all = ["passphrase_file", "passphrase_command"])]
        to: Option<String>,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Write the keys of a backup that are missing here; one that is here is never overwritten
    Restore {
        /// What `keys backup` wrote
        file: PathBuf,
        /// The private key of the recipient for whom it was made
        #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase_file", "passphrase_command"])]
        identity: Option<PathBuf>,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Make a key for somebody who may read backups, and print its public half; needs no configuration
    Recipient {
        /// Where to write the private half; must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Go on with new keys where the old ones are lost for good
    Adopt {
        /// Why; it goes into the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Where a passphrase comes from; without either it is asked for.
#[derive(Debug, Args)]
pub(crate) struct PassphraseArgs {
    /// Read the passphrase from this file; one newline at its end is cut
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Take what this program prints, e.g. `pass show claviger`; words are split at spaces
    #[arg(long, value_name = "COMMAND", conflicts_with = "passphrase_file")]
    pub(crate) passphrase_command: Option<String>,
}

/// Names of our own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyName {
    /// Makes fingerprints: refused while rotations or revocations are under way
    Fingerprint,
    /// Seals values of rotations under way
    Sealing,
    /// Signs heads of the audit log
    Signing,
}

impl From<KeyName> for KeyKind {
    fn from(name: KeyName) -> Self {
        match name {
            KeyName::Fingerprint => Self::Fingerprint,
            KeyName::Sealing => Self::Sealing,
            KeyName::Signing => Self::Signing,
        }
    }
}
