//! What the end of one credential would take with it, for whoever only looks: nothing is planned that could be carried out, and nothing is changed.

use claviger_backend::Descent;
use claviger_core::{
    saga::{SagaKind, SagaPlan},
    view::CredentialDetail,
};
use serde::{Deserialize, Serialize};

use super::{Blast, blast, readers, revocation};
use crate::{Engine, Result};

/// The blast radius of a credential, and what of it is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reach {
    /// As a plan tells it.
    #[serde(flatten)]
    pub blast: Blast,
    /// Were the targets asked? If not, nobody knows whom a replacement would save and what was obtained with it.
    pub asked: bool,
    /// Why what was obtained with it is not known although its issuer was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derived_unknown: Option<String>,
}

impl Engine {
    /// What would break, whom a replacement would save, what its identity may do, who else has the value, and what was obtained with it. `ask`
    /// asks the targets, which the second and the last need; without it only the inventory is read.
    ///
    /// # Errors
    /// The database. A target that does not answer is told in the answer.
    pub async fn reach(&self, detail: &CredentialDetail, ask: bool) -> Result<Reach> {
        let at = &detail.credential.at;
        let (mut descent, mut derived_unknown) = (Descent::default(), None);
        if ask {
            let member = self.estate.member(at.backend()).ok();
            match member.and_then(|member| Some((member, member.backend.issuer()?.ending(at)))) {
                Some((member, ending)) => {
                    match revocation::descent(member.backend.as_ref(), at, &ending).await {
                        Ok(found) => descent = found,
                        Err(refusal) => derived_unknown = Some(refusal.reason),
                    }
                }
                None => derived_unknown = Some("no issuer of it can be asked".to_owned()),
            }
        }
        let plan = SagaPlan {
            kind: SagaKind::Revocation,
            definition: "looked-at".to_owned(),
            credential: detail.credential.id,
            subject: at.clone(),
            strategy: "none".to_owned(),
            breaks: readers(detail).into_iter().map(|(consumer, _)| consumer).collect(),
            reversible_until: String::new(),
            steps: Vec::new(),
            notes: Vec::new(),
        };
        let blast = blast::of(self, detail, &plan, descent, ask).await?;
        Ok(Reach { blast, asked: ask, derived_unknown })
    }
}
