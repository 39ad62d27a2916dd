use serde::{Deserialize, Serialize};

/// One hint at who answers for a subject. The strongest wins; all are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OwnerEvidence {
    /// Person or team, as written at the source.
    pub owner: String,
    /// Where it is written: `label:owner`, `annotation:team`, `tag:Owner`, `config:owners[0]`, `ssh-comment`.
    pub source: String,
    /// 0 to 100: an explicit owner label outweighs a team label, a rule in the configuration outweighs both.
    pub weight: u8,
}
