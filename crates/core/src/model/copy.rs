use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::credential::{UnknownWord, words};

words!(
    /// Which of a place's versions a copy is.
    CopyStage {
        /// What a reader gets.
        Current = "current",
        /// Written, not yet handed out (AWSPENDING).
        Pending = "pending",
        /// An older version that the store still keeps (KV versions, AWSPREVIOUS, `last-applied-configuration`, Helm releases).
        Former = "former",
    }
);

words!(
    /// What kind of place a copy lies in: it decides how much evidence makes a value a secret.
    Place {
        /// Meant for secrets: every value counts unless it is known not to be one.
        SecretStore = "secret-store",
        /// Meant for configuration: only a value that shows to be a secret counts.
        Configuration = "configuration",
        /// Written into a workload's specification or into a file.
        Literal = "literal",
    }
);
