//! What a trace tells: never a value.

use chrono::{DateTime, Utc};
use claviger_core::{
    id::CredentialId,
    leak::{Sighting, Skipped},
    model::{CredentialState, PrivilegeLevel},
    reference::Ref,
};
use serde::Serialize;

use super::TracedToken;

/// How a leaked value matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatchHow {
    /// The whole of what was given is the value.
    Exact,
    /// The value is a part of what was given.
    Contained,
    /// Only the public half was given, or only it could be compared.
    PublicHalf,
}

/// A former version of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FormerVersion {
    /// Where it lies.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// The store's version token.
    pub version: Option<String>,
    /// When a scan last saw it there.
    pub last_seen: DateTime<Utc>,
}

/// A credential that a leaked value belongs, or belonged, to.
#[derive(Debug, Clone, Serialize)]
pub struct TraceMatch {
    /// The credential.
    pub credential: CredentialId,
    /// Its ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// State of the leaked value: the credential's, but `superseded` where the credential has another value by now.
    pub state: CredentialState,
    /// How it matched.
    pub how: MatchHow,
    /// True if the credential has another value by now.
    pub former: bool,
    /// Former versions of copies that hold the leaked value.
    pub former_versions: Vec<FormerVersion>,
    /// Refs of its copies.
    pub copies: Vec<Ref>,
    /// Refs of its consumers.
    pub consumers: Vec<Ref>,
    /// Its identity.
    pub identity: Option<Ref>,
    /// What the identity can do.
    pub privilege: PrivilegeLevel,
    /// Who answers for it.
    pub owner: Option<String>,
    /// When it was last used, if known.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Where scanners saw the value.
    pub seen: Vec<Sighting>,
    /// The command to be run next.
    pub suggested: String,
}

impl TraceMatch {
    /// True if the leaked value is believed to open something still: what is said of it next is to revoke it.
    pub fn is_live(&self) -> bool {
        !matches!(
            self.state,
            CredentialState::Superseded
                | CredentialState::RevokedProven
                | CredentialState::RevokedAttested
                | CredentialState::Gone
        )
    }
}

/// What became of one of the values that were given.
#[derive(Debug, Clone, Serialize)]
pub struct TracedValue {
    /// Its number, from 1, in the order in which the values were given.
    pub number: usize,
    /// Where it was seen, if that was told.
    pub seen: Option<Sighting>,
    /// The credentials that it belongs to.
    pub matched: Vec<Ref>,
    /// What it says of itself, if it is a Kubernetes token.
    pub token: Option<TracedToken>,
}

impl TracedValue {
    /// True if nobody knows it: no credential has it, and no account of the inventory is named by it.
    pub fn is_unknown(&self) -> bool {
        self.matched.is_empty() && self.token.as_ref().is_none_or(|token| token.accounts.is_empty())
    }
}

/// An issuer that could not be asked: what it has may be among the unmatched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unasked {
    /// The backend's name.
    pub backend: String,
    /// Why.
    pub reason: String,
}

/// What became of leaked values.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Trace {
    /// Known credentials.
    pub matches: Vec<TraceMatch>,
    /// Values that nobody knows.
    pub unmatched: usize,
    /// Each value.
    pub values: Vec<TracedValue>,
    /// What reports told without a value.
    pub skipped: Vec<Skipped>,
    /// Issuers that could not be asked.
    pub unasked: Vec<Unasked>,
}
