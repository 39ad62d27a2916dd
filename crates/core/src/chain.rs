//! From build over deploy to run, for one credential: which jobs are given it, where it lies, which workloads read it there, what it may do, and which other
//! credentials that opens.
//!
//! A chain is made of what the inventory knows and of nothing else: each link says where it is known from ([`Known`]), and one that cannot say so is no link. What is
//! not known is told ([`Unknown`]), and so is what was left out ([`Cut`]): a chain that ends without a word ends there.
//!
//! ```text
//! build        deploy       credential     place          run
//! job  ──────▶ CI secret ─▶ key, token  ─▶ namespace   ─▶ workload
//!                           may: rights ─▶ opens: the next credential, with its own chain
//! ```
//!
//! What a right opens its backend says, in the attribute `opens` of the grant ([`Pattern`]); a grant without it opens what nobody knows. This module knows no
//! system: to let a chain go on through another one, its backend says `opens`.

mod draw;
mod estate;
mod job;
mod known;
mod pattern;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::{
    draw::Limits,
    estate::Estate,
    job::{Foreign, Forks, Job},
    known::{Known, Source},
    pattern::Pattern,
};
use crate::{
    id::CredentialId,
    model::{ConsumerHow, CredentialKind, CredentialState, PrivilegeLevel},
    reference::Ref,
};

/// The key of a grant's attribute that says what it opens: a list of [`Pattern`]s. Empty: nothing.
pub const OPENS: &str = "opens";
/// The key of a grant's attribute that says that what it opens depends on more than was looked at: conditions, denials.
pub const OPENS_MAYBE: &str = "opens_maybe";

/// A credential with what comes before and after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    /// The credential.
    pub credential: CredentialId,
    /// Its ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// What it is.
    pub kind: CredentialKind,
    /// Its state.
    pub state: CredentialState,
    /// Whom it authenticates.
    pub identity: Option<Ref>,
    /// Secrets and variables of CI systems that hold it, with the jobs that are given them.
    pub deploy: Vec<Deploy>,
    /// Other places that hold it, with the workloads that read them there.
    pub places: Vec<Place>,
    /// What it may do at its issuer, most powerful first.
    pub rights: Vec<Right>,
    /// Credentials whose holders may read a place that holds this one.
    pub opened_by: Vec<Opener>,
    /// What is not known.
    pub unknown: Vec<Unknown>,
    /// What was left out.
    pub cut: Vec<Cut>,
}

/// A secret or variable of a CI system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deploy {
    /// Which.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// How it is known to hold the credential.
    pub known: Known,
    /// The jobs that are given it.
    pub jobs: Vec<Job>,
}

/// A place that is no CI system's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The object.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// The namespace that it lies in, where its system has some.
    pub namespace: Option<String>,
    /// How it is known to hold the credential.
    pub known: Known,
    /// Who reads it.
    pub workloads: Vec<Workload>,
}

/// A workload that reads a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Which.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// How it reads.
    pub how: ConsumerHow,
    /// Where that is known from.
    pub known: Known,
}

/// Something that a credential's identity may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Right {
    /// How much it allows.
    pub level: PrivilegeLevel,
    /// What it is, in its issuer's words.
    pub privilege: String,
    /// Where it holds.
    pub reach: String,
    /// Its rules or actions, shortened.
    pub rules: Vec<String>,
    /// Where it is known from: the binding, policy or membership.
    pub known: Known,
    /// Credentials that it lets its holder read.
    pub opens: Vec<Opened>,
}

/// A credential that a right lets its holder read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The place that is read.
    pub place: Ref,
    /// How the place is known to hold the credential.
    pub known: Known,
    /// False where it depends on conditions or denials that were not looked at.
    pub certain: bool,
    /// The credential.
    pub next: Next,
}

/// How a chain goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum Next {
    /// With this.
    Chain {
        /// The credential's own chain.
        chain: Box<Chain>,
    },
    /// It came by here before: going on would lead in a circle.
    Circle {
        /// The credential.
        #[serde(rename = "ref")]
        at: Ref,
    },
    /// It is drawn elsewhere in the same chain.
    Elsewhere {
        /// The credential.
        #[serde(rename = "ref")]
        at: Ref,
    },
    /// So many links are enough: its own chain tells the rest.
    Deeper {
        /// The credential.
        #[serde(rename = "ref")]
        at: Ref,
    },
}

impl Next {
    /// The credential.
    pub fn at(&self) -> &Ref {
        match self {
            Self::Chain { chain } => &chain.at,
            Self::Circle { at } | Self::Elsewhere { at } | Self::Deeper { at } => at,
        }
    }
}

/// A credential whose holder may read a place that holds another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opener {
    /// The place that it may read.
    pub place: Ref,
    /// The grant that lets it.
    pub known: Known,
    /// False where it depends on conditions or denials that were not looked at.
    pub certain: bool,
    /// The credential. Of its own chain only what comes before it is told.
    pub by: Next,
}

/// A part of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Jobs.
    Build,
    /// Secrets of CI systems.
    Deploy,
    /// Places.
    Place,
    /// Workloads.
    Run,
    /// What it may do.
    Rights,
    /// What that opens.
    Opens,
    /// Who can come to it.
    OpenedBy,
}

impl Stage {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Deploy => "deploy",
            Self::Place => "place",
            Self::Run => "run",
            Self::Rights => "rights",
            Self::Opens => "opens",
            Self::OpenedBy => "opened by",
        }
    }
}

/// Something that is not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unknown {
    /// In which part.
    pub stage: Stage,
    /// Of what.
    pub about: Ref,
    /// Why.
    pub why: String,
}

/// Something that is known and was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// In which part.
    pub stage: Stage,
    /// Of what.
    pub about: Ref,
    /// How many at least.
    pub more: usize,
}
