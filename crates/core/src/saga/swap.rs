use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{model::Attributes, reference::Ref};

/// The short-lived identity that takes a static credential's place. Part of the plan: holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrangement {
    /// What is logged in with: a role of the system that accepts the identity (`vault/auth/kubernetes/role/web`), or the account itself where its
    /// own platform accepts its tokens.
    pub at: Ref,
    /// The account that the workload runs as, whose tokens are the identity.
    pub account: Ref,
    /// Whom its tokens are meant for; `None`: the platform's own servers.
    pub audience: Option<String>,
    /// How long a token holds, in seconds. Whoever uses it reads it again before that.
    pub lifetime: u32,
    /// What the system that accepts it has to know: policies, trust, limits. By names that only its backend reads.
    pub terms: Attributes,
}

/// What changes in a workload's manifest, so that it takes the short-lived identity instead of the static credential.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounting {
    /// The object that it reads now, and names no more afterwards. `None`: it names none.
    pub from: Option<Ref>,
    /// Whom its token is meant for; `None`: the platform's own servers.
    pub audience: Option<String>,
    /// How long its token holds, in seconds.
    pub lifetime: u32,
    /// Where a container finds the token that is added, an absolute path of a folder. `None`: where the files of `from` were, under the same
    /// names, so that the program need not know.
    pub folder: Option<String>,
    /// Variables that its containers are given: no secret.
    pub variables: BTreeMap<String, String>,
    /// Annotations of its pods.
    pub annotations: BTreeMap<String, String>,
    /// Annotations of its account.
    pub account_annotations: BTreeMap<String, String>,
}

/// How far a workload is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// It takes the static credential, and nothing else is there.
    Former,
    /// The short-lived identity is there beside it, and nobody reads it yet.
    Beside,
    /// It takes the short-lived identity, and names the static credential no more.
    Over,
}

impl Side {
    /// The word in step ids.
    pub fn word(self) -> &'static str {
        match self {
            Self::Former => "former",
            Self::Beside => "beside",
            Self::Over => "over",
        }
    }
}

/// The change of one workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// What changes.
    pub mounting: Mounting,
    /// To where it is brought.
    pub to: Side,
}
