//! From a leaked string to the credential: fingerprints first, then every issuer that can recognise a value.

use std::collections::BTreeSet;

use claviger_core::{
    audit::{AuditDraft, AuditKind},
    canonical::{self, Input},
    fingerprint::{Fingerprint, Form},
    id::CredentialId,
    model::{CopyStage, CredentialState, Place, PrivilegeLevel},
    observation::{Bundle, Verifier},
    reference::Ref,
    scram,
    secret::SecretValue,
};
use serde::Serialize;

use crate::{Engine, Result};

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

/// A credential that a leaked value belongs to.
#[derive(Debug, Clone, Serialize)]
pub struct TraceMatch {
    /// The credential.
    pub credential: CredentialId,
    /// Its ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// Its state.
    pub state: CredentialState,
    /// How it matched.
    pub how: MatchHow,
    /// True if only a former version of a copy has this value.
    pub former: bool,
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
    /// The command to be run next.
    pub suggested: String,
}

/// What became of a leaked text.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Trace {
    /// Known credentials.
    pub matches: Vec<TraceMatch>,
    /// Values in the text that no known credential has.
    pub unmatched: usize,
}

impl Engine {
    /// Finds the credentials that a leaked text belongs to. The text is not kept; the audit log says that somebody asked, not what.
    ///
    /// # Errors
    /// The database.
    pub async fn trace(&self, leaked: &SecretValue) -> Result<Trace> {
        let candidates = self.candidates(leaked);
        let fingerprints: Vec<Fingerprint> =
            candidates.iter().map(|candidate| candidate.fingerprint).collect();
        let mut known = self.ports.inventory.by_fingerprint(&fingerprints).await?;
        for candidate in &candidates {
            if known.iter().any(|(fingerprint, _)| *fingerprint == candidate.fingerprint) {
                continue;
            }
            for id in self.ask_issuers(&candidate.value).await? {
                known.push((candidate.fingerprint, id));
            }
        }
        let mut trace = Trace::default();
        let mut seen = BTreeSet::new();
        for candidate in &candidates {
            for (_, id) in known.iter().filter(|(fingerprint, _)| *fingerprint == candidate.fingerprint) {
                if seen.insert(*id) {
                    trace.matches.extend(self.matched(*id, candidate).await?);
                }
            }
        }
        let matched: BTreeSet<_> = known.iter().map(|(fingerprint, _)| *fingerprint).collect();
        // The text as a whole and its parts are one value to a person: it is unmatched only if none of them is known.
        let hit = candidates.iter().any(|candidate| matched.contains(&candidate.fingerprint));
        trace.unmatched = usize::from(!hit && !leaked.is_empty());
        let draft = AuditDraft {
            kind: AuditKind::Traced,
            actor: self.actor.clone(),
            subject: "trace".to_owned(),
            saga: None,
            step: None,
            detail: serde_json::json!({ "matches": trace.matches.iter().map(|m| m.at.as_str()).collect::<Vec<_>>(), "unmatched": trace.unmatched }),
        };
        self.ports.audit.append(vec![draft]).await?;
        Ok(trace)
    }

    fn candidates(&self, leaked: &SecretValue) -> Vec<Candidate> {
        let trimmed = match leaked.expose_text() {
            Some(text) => SecretValue::from_text(text.trim().to_owned()),
            None => leaked.duplicate(),
        };
        let whole = self.keys.fingerprint.fingerprint(Form::Text, &trimmed);
        let mut candidates = Vec::new();
        for key in ["password", "value"] {
            let bundle = Bundle::default();
            let input = Input { key, place: Place::SecretStore, kind: None, bundle: &bundle };
            for leaf in canonical::leaves(&input, &trimmed) {
                let fingerprint = self.keys.fingerprint.fingerprint(leaf.form, &leaf.canonical);
                let how = match leaf.form {
                    Form::Spki => MatchHow::PublicHalf,
                    Form::Text if fingerprint == whole => MatchHow::Exact,
                    Form::Text => MatchHow::Contained,
                };
                candidates.push(Candidate { value: leaf.canonical, fingerprint, how });
            }
        }
        candidates.push(Candidate { value: trimmed, fingerprint: whole, how: MatchHow::Exact });
        let mut seen = BTreeSet::new();
        candidates.retain(|candidate| seen.insert(candidate.fingerprint));
        candidates
    }

    /// Every issuer is asked; a database role's verifier is compared, whatever its name.
    async fn ask_issuers(&self, value: &SecretValue) -> Result<Vec<CredentialId>> {
        let mut found = Vec::new();
        for member in self.estate.members() {
            let Some(issuer) = member.backend.issuer().filter(|_| member.backend.capability().identify)
            else {
                continue;
            };
            match issuer.identify(value).await {
                Ok(Some(identified)) => found.extend(self.by_ref(&identified.at).await?.map(|view| view.id)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(backend.name = %member.backend.info().name, error = %error, "an issuer could not be asked");
                }
            }
        }
        Ok(found)
    }

    async fn matched(&self, id: CredentialId, candidate: &Candidate) -> Result<Option<TraceMatch>> {
        let Some(detail) = self.ports.inventory.credential(self.clock.now(), id).await? else {
            return Ok(None);
        };
        let print = candidate.fingerprint.to_string();
        let with_value =
            |copy: &&claviger_core::view::CopyView| copy.fingerprint.as_deref() == Some(print.as_str());
        let former = detail.copies.iter().any(|copy| with_value(&copy))
            && detail.copies.iter().filter(with_value).all(|copy| copy.stage == CopyStage::Former);
        let credential = detail.credential;
        Ok(Some(TraceMatch {
            credential: id,
            at: credential.at.clone(),
            state: credential.state,
            how: candidate.how,
            former,
            copies: unique(
                detail.copies.into_iter().filter(|copy| copy.stage != CopyStage::Former).map(|copy| copy.at),
            ),
            consumers: unique(detail.consumers.into_iter().map(|consumer| consumer.at)),
            identity: credential.identity,
            privilege: detail.identity.map_or(PrivilegeLevel::Unknown, |identity| identity.privilege),
            owner: credential.owner,
            suggested: format!("claviger revoke '{}' --reason leaked --dry-run", credential.at),
        }))
    }
}

struct Candidate {
    value: SecretValue,
    fingerprint: Fingerprint,
    how: MatchHow,
}

fn unique(refs: impl Iterator<Item = Ref>) -> Vec<Ref> {
    refs.collect::<BTreeSet<_>>().into_iter().collect()
}

/// True if the value is what this verifier was made from.
pub fn fits(verifier: &Verifier, value: &SecretValue) -> bool {
    match verifier {
        Verifier::ScramSha256(text) => scram::matches(text, value),
        Verifier::PostgresMd5(text, role) => scram::md5_matches(text, role, value),
    }
}
