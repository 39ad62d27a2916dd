//! Rights that are cut where a credential itself cannot be refused: who, from which bindings, and what was asked about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a binding names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PartyKind {
    /// One user.
    User,
    /// Everybody who is in a group.
    Group,
}

/// A user or group that a binding names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Party {
    /// Which of the two.
    pub kind: PartyKind,
    /// Its name.
    pub name: String,
}

impl Party {
    /// A user.
    pub fn user(name: impl Into<String>) -> Self {
        Self { kind: PartyKind::User, name: name.into() }
    }

    /// A group.
    pub fn group(name: impl Into<String>) -> Self {
        Self { kind: PartyKind::Group, name: name.into() }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            PartyKind::User => "User",
            PartyKind::Group => "Group",
        };
        write!(f, "{kind} {}", self.name)
    }
}

/// Whom a client certificate logs in: its common name, and its organizations as groups (Kubernetes, "X509 client certificates").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The user.
    pub user: String,
    /// The groups.
    pub groups: Vec<String>,
    /// Those of user and groups that are cut: not the groups that are the cluster's own.
    pub cut: Vec<Party>,
}

/// One thing that a person may or may not do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Question {
    /// `get`, `create`, `*`, …
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// `secrets`, `*`, …
    pub resource: String,
    /// In one namespace, or everywhere.
    pub namespace: Option<String>,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => f.write_str(" everywhere"),
        }
    }
}
