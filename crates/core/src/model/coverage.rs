use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::credential::{UnknownWord, words};

words!(
    /// How a scope was read.
    ScopeStatus {
        /// Everything in it was read; what it no longer shows is gone.
        Complete = "complete",
        /// It was refused to us.
        Denied = "denied",
        /// Its items are listed but their values can never be read (a write-only store).
        Unreadable = "unreadable",
        /// It broke off.
        Failed = "failed",
    }
);

/// A part of a backend that is read as a whole or not at all: a namespace's Secrets, a KV mount's folder, IAM users.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// What a person calls it: the namespace, the mount and folder, `iam`. `-o json` groups by it.
    pub area: String,
    /// What was read there: `secrets`, `configmaps`; empty where an area has one part.
    pub part: String,
}

impl Scope {
    /// A scope.
    pub fn new(area: impl Into<String>, part: impl Into<String>) -> Self {
        Self { area: area.into(), part: part.into() }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.part.is_empty() { f.write_str(&self.area) } else { write!(f, "{}/{}", self.area, self.part) }
    }
}
