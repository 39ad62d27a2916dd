//! From leaked strings to credentials: fingerprints first, then every issuer that can recognise a value.

mod token;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use claviger_core::{
    audit::{AuditDraft, AuditKind},
    canonical::{self, Input},
    fingerprint::{Fingerprint, Form},
    id::CredentialId,
    leak::{Leak, Skipped},
    model::{CopyStage, CredentialState, Place, PrivilegeLevel},
    observation::{Bundle, Verifier},
    reference::Ref,
    scram,
    secret::SecretValue,
    view::{CopyView, CredentialDetail, IdentityView},
};
use claviger_store::port::Selection;

pub use self::{
    token::{AccountFit, TokenAccount, TracedToken},
    view::{FormerVersion, MatchHow, Trace, TraceMatch, TracedValue, Unasked},
};
use crate::{Engine, Result};

/// Failures in a row after which an issuer is no longer asked for this trace: each may have cost a timeout.
const PATIENCE: u32 = 3;
/// Fingerprints that are looked up together.
const PAGE: usize = 500;

impl Engine {
    /// Finds the credentials that one leaked text belongs to.
    ///
    /// # Errors
    /// The database.
    pub async fn trace(&self, leaked: &SecretValue) -> Result<Trace> {
        self.trace_all(&[Leak::new(leaked.duplicate())], Vec::new()).await
    }

    /// Finds the credentials that leaked values belong to. The values are not kept; the audit log says that somebody asked, not what.
    /// `skipped` is what their reports told without a value, and is passed on.
    ///
    /// # Errors
    /// The database. An issuer that cannot be asked is told in the answer.
    pub async fn trace_all(&self, leaks: &[Leak], skipped: Vec<Skipped>) -> Result<Trace> {
        let candidates: Vec<Vec<Candidate>> = leaks.iter().map(|leak| self.candidates(leak)).collect();
        let mut search = Search::new(self);
        search.look_up(&candidates).await?;
        let mut matches: BTreeMap<(CredentialId, bool), TraceMatch> = BTreeMap::new();
        let mut order = Vec::new();
        let mut trace = Trace { skipped, ..Trace::default() };
        for (index, (leak, candidates)) in leaks.iter().zip(&candidates).enumerate() {
            let mut value =
                TracedValue { number: index + 1, seen: leak.seen.clone(), matched: Vec::new(), token: None };
            for candidate in candidates {
                for found in search.matches(candidate).await? {
                    let key = (found.credential, found.former);
                    if !value.matched.contains(&found.at) {
                        value.matched.push(found.at.clone());
                    }
                    let known = matches.entry(key).or_insert_with(|| {
                        order.push(key);
                        found
                    });
                    known.how = known.how.min(candidate.how);
                    known.seen.extend(leak.seen.clone().filter(|seen| !known.seen.contains(seen)));
                }
            }
            let texts = candidates.iter().filter_map(|candidate| candidate.value.expose_text());
            if let Some(text) = texts.into_iter().find(|text| token::is_token(text)) {
                let binds = |at: &Ref| {
                    let member = self.estate.member(at.backend()).ok();
                    member.and_then(|member| member.backend.anchors()?.anchor(at)).is_some()
                };
                value.token = token::read(text, search.identities().await?, self.clock.now(), binds);
            }
            trace.values.push(value);
        }
        trace.matches = order.iter().filter_map(|key| matches.remove(key)).collect();
        trace.unmatched = trace.values.iter().filter(|value| value.is_unknown()).count();
        trace.unasked = search.unasked();
        self.audit_trace(&trace).await?;
        Ok(trace)
    }

    /// One audit entry for all values.
    async fn audit_trace(&self, trace: &Trace) -> Result<()> {
        let refs: Vec<_> = trace.matches.iter().map(|found| found.at.as_str()).collect();
        let accounts: BTreeSet<_> = trace
            .values
            .iter()
            .filter_map(|value| value.token.as_ref())
            .flat_map(|token| token.accounts.iter().map(|account| account.at.as_str()))
            .collect();
        let draft = AuditDraft {
            kind: AuditKind::Traced,
            actor: self.actor.clone(),
            subject: "trace".to_owned(),
            saga: None,
            step: None,
            detail: serde_json::json!({
                "values": trace.values.len(), "matches": refs, "accounts": accounts, "unmatched": trace.unmatched, "skipped": trace.skipped.len(),
            }),
        };
        self.ports.audit.append(vec![draft]).await?;
        Ok(())
    }

    fn candidates(&self, leak: &Leak) -> Vec<Candidate> {
        let mut candidates = self.readings(&leak.value);
        for part in &leak.parts {
            // A part is a part, even if it is found whole.
            candidates.extend(
                self.readings(part)
                    .into_iter()
                    .map(|candidate| Candidate { how: candidate.how.max(MatchHow::Contained), ..candidate }),
            );
        }
        let mut seen = BTreeSet::new();
        candidates.retain(|candidate| seen.insert(candidate.fingerprint));
        candidates
    }

    /// What a text may be read as.
    fn readings(&self, value: &SecretValue) -> Vec<Candidate> {
        let trimmed = match value.expose_text() {
            Some(text) => SecretValue::from_text(text.trim().to_owned()),
            None => value.duplicate(),
        };
        // Under the keys of former epochs too: of what is gone nothing else is kept.
        let keys = &self.keys.fingerprint;
        let whole = keys.every(Form::Text, &trimmed);
        let mut candidates = Vec::new();
        for key in ["password", "value"] {
            let bundle = Bundle::default();
            let input = Input { key, place: Place::SecretStore, kind: None, bundle: &bundle };
            for leaf in canonical::leaves(&input, &trimmed) {
                for (epoch, fingerprint) in keys.every(leaf.form, &leaf.canonical).into_iter().enumerate() {
                    let how = match leaf.form {
                        Form::Spki => MatchHow::PublicHalf,
                        Form::Text if whole.contains(&fingerprint) => MatchHow::Exact,
                        Form::Text => MatchHow::Contained,
                    };
                    let value = leaf.canonical.duplicate();
                    candidates.push(Candidate { value, fingerprint, how, is_former: epoch > 0 });
                }
            }
        }
        for (epoch, fingerprint) in whole.into_iter().enumerate() {
            let value = trimmed.duplicate();
            candidates.push(Candidate { value, fingerprint, how: MatchHow::Exact, is_former: epoch > 0 });
        }
        candidates
    }
}

struct Candidate {
    value: SecretValue,
    fingerprint: Fingerprint,
    how: MatchHow,
    /// The fingerprint is one of a former epoch: the issuers are asked for the same value already.
    is_former: bool,
}

/// What one trace has found out, so that nothing is asked twice.
struct Search<'e> {
    engine: &'e Engine,
    known: HashMap<Fingerprint, BTreeSet<CredentialId>>,
    asked: HashMap<Fingerprint, Vec<CredentialId>>,
    details: HashMap<CredentialId, Option<CredentialDetail>>,
    ids: Option<HashMap<Ref, CredentialId>>,
    identities: Option<Vec<IdentityView>>,
    failures: BTreeMap<String, (u32, String)>,
}

impl<'e> Search<'e> {
    fn new(engine: &'e Engine) -> Self {
        Self {
            engine,
            known: HashMap::new(),
            asked: HashMap::new(),
            details: HashMap::new(),
            ids: None,
            identities: None,
            failures: BTreeMap::new(),
        }
    }

    async fn look_up(&mut self, candidates: &[Vec<Candidate>]) -> Result<()> {
        let prints: BTreeSet<_> =
            candidates.iter().flatten().map(|candidate| candidate.fingerprint).collect();
        let prints: Vec<_> = prints.into_iter().collect();
        for page in prints.chunks(PAGE) {
            for (fingerprint, id) in self.engine.ports.inventory.by_fingerprint(page).await? {
                self.known.entry(fingerprint).or_default().insert(id);
            }
        }
        Ok(())
    }

    /// The credentials that have, or had, this value.
    async fn matches(&mut self, candidate: &Candidate) -> Result<Vec<TraceMatch>> {
        let known = self.known.get(&candidate.fingerprint).cloned().unwrap_or_default();
        let print = candidate.fingerprint.to_string();
        let mut current = BTreeSet::new();
        for id in &known {
            let holds = |copy: &CopyView| {
                copy.fingerprint.as_deref() == Some(print.as_str()) && copy.stage != CopyStage::Former
            };
            if self.detail(*id).await?.is_some_and(|detail| detail.copies.iter().any(holds)) {
                current.insert(*id);
            }
        }
        // A value that no copy holds any more may still be what an issuer accepts.
        let live = match current.is_empty() && !candidate.is_former {
            true => self.ask(candidate).await?,
            false => Vec::new(),
        };
        let mut matches = Vec::new();
        let all: BTreeSet<_> = known.iter().chain(&live).copied().collect();
        for id in all {
            let is_current = current.contains(&id) || live.contains(&id);
            if let Some(detail) = self.detail(id).await? {
                matches.push(matched(detail, candidate, is_current));
            }
        }
        Ok(matches)
    }

    async fn detail(&mut self, id: CredentialId) -> Result<Option<&CredentialDetail>> {
        if !self.details.contains_key(&id) {
            let detail = self.engine.ports.inventory.credential(self.engine.clock.now(), id).await?;
            self.details.insert(id, detail);
        }
        Ok(self.details.get(&id).and_then(Option::as_ref))
    }

    /// Every issuer is asked; a database role's verifier is compared, whatever its name.
    async fn ask(&mut self, candidate: &Candidate) -> Result<Vec<CredentialId>> {
        if let Some(found) = self.asked.get(&candidate.fingerprint) {
            return Ok(found.clone());
        }
        let mut found = Vec::new();
        for member in self.engine.estate.members() {
            let Some(issuer) = member.backend.issuer().filter(|_| member.backend.capability().identify)
            else {
                continue;
            };
            let name = &member.backend.info().name;
            if self.failures.get(name).is_some_and(|(count, _)| *count >= PATIENCE) {
                continue;
            }
            match issuer.identify(&candidate.value).await {
                Ok(Some(identified)) => {
                    let ids = match self.ids.take() {
                        Some(ids) => ids,
                        None => all_ids(self.engine).await?,
                    };
                    found.extend(ids.get(&identified.at).copied());
                    self.ids = Some(ids);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(backend.name = %name, error = %error, "an issuer could not be asked");
                    let failure = self.failures.entry(name.clone()).or_default();
                    *failure = (failure.0 + 1, error.message().to_owned());
                }
            }
        }
        self.asked.insert(candidate.fingerprint, found.clone());
        Ok(found)
    }

    async fn identities(&mut self) -> Result<&[IdentityView]> {
        if self.identities.is_none() {
            self.identities = Some(self.engine.ports.inventory.identities(&Selection::default()).await?);
        }
        Ok(self.identities.as_deref().unwrap_or_default())
    }

    fn unasked(self) -> Vec<Unasked> {
        let broken = self.engine.estate.broken.iter().map(|(backend, _, error)| Unasked {
            backend: backend.clone(),
            reason: error.message().to_owned(),
        });
        let failed = self.failures.into_iter().map(|(backend, (_, reason))| Unasked { backend, reason });
        broken.chain(failed).collect()
    }
}

async fn all_ids(engine: &Engine) -> Result<HashMap<Ref, CredentialId>> {
    let all = engine.ports.inventory.credentials(engine.clock.now(), &Selection::default()).await?;
    Ok(all.into_iter().map(|credential| (credential.at, credential.id)).collect())
}

fn matched(detail: &CredentialDetail, candidate: &Candidate, is_current: bool) -> TraceMatch {
    let credential = &detail.credential;
    let print = candidate.fingerprint.to_string();
    let holds = |copy: &&CopyView| copy.fingerprint.as_deref() == Some(print.as_str());
    let versions: Vec<_> = detail
        .copies
        .iter()
        .filter(|copy| copy.stage == CopyStage::Former)
        .filter(holds)
        .map(|copy| FormerVersion {
            at: copy.at.clone(),
            version: copy.version.clone(),
            last_seen: copy.last_seen,
        })
        .collect();
    // Its copies have another value, or keep this one as a former version. Where nothing is left, nothing is known.
    let moved_on = detail
        .copies
        .iter()
        .any(|copy| copy.stage == CopyStage::Current && copy.fingerprint.is_some() && !holds(&copy));
    let former = !is_current && (moved_on || !versions.is_empty());
    let state = match credential.state {
        CredentialState::Active if former => CredentialState::Superseded,
        state => state,
    };
    let at = &credential.at;
    let present = detail.copies.iter().filter(|copy| copy.stage != CopyStage::Former);
    let mut found = TraceMatch {
        credential: credential.id,
        at: at.clone(),
        state,
        how: candidate.how,
        former,
        former_versions: versions,
        copies: unique(present.map(|copy| copy.at.clone())),
        consumers: unique(detail.consumers.iter().map(|consumer| consumer.at.clone())),
        identity: credential.identity.clone(),
        privilege: detail.identity.as_ref().map_or(PrivilegeLevel::Unknown, |identity| identity.privilege),
        owner: credential.owner.clone(),
        last_used_at: credential.last_used_at,
        seen: Vec::new(),
        suggested: String::new(),
    };
    found.suggested = match found.is_live() {
        true => format!("claviger revoke '{at}' --reason leaked --dry-run"),
        false => format!("claviger show '{at}'"),
    };
    found
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
