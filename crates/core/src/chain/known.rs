use std::fmt;

use serde::{Deserialize, Serialize};

use crate::reference::Ref;

/// What a link is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A workflow file that was read.
    Workflow,
    /// A workload's specification that was read.
    Specification,
    /// The place is the credential's own, at its issuer.
    Issuer,
    /// The issuer recognised the value.
    Lookup,
    /// The issuer's verifier fits the value.
    Verifier,
    /// Both show the same public name.
    Handle,
    /// A login with the value was accepted.
    Login,
    /// It is the same value as in another copy.
    Fingerprint,
    /// It is said in the configuration.
    Declared,
    /// A user and host beside the value name it; nothing has proven it.
    Claimed,
    /// The place is all that is known of the credential.
    Alone,
    /// The issuer lists the grant.
    Grant,
}

impl Source {
    /// By a copy's evidence. `None`: it says nothing that a link could rest on.
    pub fn of_evidence(evidence: &str) -> Option<Self> {
        Some(match evidence {
            "issuer" => Self::Issuer,
            "lookup" => Self::Lookup,
            "verifier" => Self::Verifier,
            "handle" => Self::Handle,
            "login" => Self::Login,
            "fingerprint" => Self::Fingerprint,
            "declared" => Self::Declared,
            "claimed" => Self::Claimed,
            "alone" => Self::Alone,
            _ => return None,
        })
    }

    /// In words that stand behind what is linked.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Workflow => "the workflow file names it",
            Self::Specification => "its specification names it",
            Self::Issuer => "the issuer's own",
            Self::Lookup => "recognised by the issuer",
            Self::Verifier => "fits the issuer's verifier",
            Self::Handle => "same public name",
            Self::Login => "a login proved it",
            Self::Fingerprint => "same value",
            Self::Declared => "declared, not proven",
            Self::Claimed => "claimed, not proven",
            Self::Alone => "no other copy seen",
            Self::Grant => "granted",
        }
    }

    /// Was the value, or a name derived from it, checked, or the thing itself read?
    pub const fn is_proof(self) -> bool {
        !matches!(self, Self::Declared | Self::Claimed)
    }
}

/// Where a link is known from. There is none without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// How.
    pub from: Source,
    /// Where it stands: the workflow file, the workload, the place, the binding.
    pub at: Ref,
}

impl Known {
    pub(super) fn new(from: Source, at: &Ref) -> Self {
        Self { from, at: at.clone() }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.from.words())
    }
}
