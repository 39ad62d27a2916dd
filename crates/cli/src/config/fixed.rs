//! What a running service does not take over when its configuration is read anew.

use std::path::{Path, PathBuf};

use super::Loaded;
use crate::args::Global;

/// Settings that hold for as long as a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fixed {
    keys: PathBuf,
    /// The others, in words that can be compared.
    others: [(&'static str, String); 6],
}

impl Fixed {
    /// Those of a configuration.
    pub(crate) fn of(loaded: &Loaded, global: &Global) -> Self {
        let (config, keys) = (&loaded.config, loaded.keys());
        Self {
            keys: std::path::absolute(&keys).unwrap_or(keys),
            others: [
                ("database", loaded.database(global)),
                ("database_password", format!("{:?}", config.database_password)),
                ("lease_seconds", format!("{:?}", config.lease_seconds)),
                ("[scan]", format!("{:?}", config.scan)),
                ("[service]", format!("{:?}", config.service)),
                ("[telemetry]", format!("{:?}", config.telemetry)),
            ],
        }
    }

    /// The directory of the keys.
    pub(crate) fn keys(&self) -> &Path {
        &self.keys
    }

    /// Names of those that the other one has differently.
    pub(crate) fn changed(&self, other: &Self) -> Vec<&'static str> {
        let keys = (self.keys != other.keys).then_some("keys");
        let pairs = self.others.iter().zip(&other.others);
        let others = pairs.filter(|(ours, theirs)| ours != theirs).map(|(ours, _)| ours.0);
        keys.into_iter().chain(others).collect()
    }
}
