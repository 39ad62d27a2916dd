//! Secrets of CI systems whose value nobody can read, and the credentials that they are probably copies of.
//!
//! A resemblance is a proposal and nothing else: it is made anew each time that somebody looks, it is kept nowhere, and nothing acts on it. A person who knows that it is
//! right says so in the configuration (`[[credentials]]`), and from then on it is a declared copy. What is proposed rests on names: a workflow asks for a secret
//! by a name that a credential's places, readers or identity have too. A name that says no more than what kind of thing it is (`PASSWORD`, `API_TOKEN`) says nothing.
//!
//! This module knows no system, and no value.

mod name;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::name::{Name, names};
use crate::{
    id::CredentialId,
    model::{CopyStage, CredentialState},
    reference::Ref,
    view::{CopyView, CredentialDetail},
};

/// As many credentials as are proposed for one secret. Where a name fits more, it says too little.
const MOST: usize = 3;

/// A place that is probably a copy of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resemblance {
    /// The place.
    pub copy: Ref,
    /// The credential.
    pub credential: CredentialId,
    /// Its ref.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// The jobs that ask for the place by its name.
    pub jobs: Vec<Ref>,
    /// What speaks for it, the name first.
    pub because: Vec<String>,
    /// What is not known of it.
    pub unknown: Vec<String>,
    /// How many credentials resemble the place as much; 1: this one alone.
    pub rivals: usize,
    /// What the configuration is to say, if it is right.
    pub confirm: String,
}

/// Is it a secret of which nothing is known but its name, and that a job asks for?
pub fn is_question(detail: &CredentialDetail) -> bool {
    let mut copies = current(detail).peekable();
    copies.peek().is_some()
        && copies.all(|copy| copy.fingerprint.is_none() && copy.evidence == "alone")
        && detail.credential.identity.is_none()
        && detail.consumers.iter().any(|consumer| consumer.attributes.contains_key("ci_secret"))
}

/// What the questions among these resemble, ordered by the place, the most alike first.
pub fn resemblances<'a>(details: impl IntoIterator<Item = &'a CredentialDetail>) -> Vec<Resemblance> {
    let (questions, answers): (Vec<_>, Vec<_>) = details.into_iter().partition(|detail| is_question(detail));
    let mut by_name: BTreeMap<Name, Vec<(&CredentialDetail, String)>> = BTreeMap::new();
    for detail in answers.into_iter().filter(|detail| is_answer(detail)) {
        for (name, whence) in names(detail) {
            by_name.entry(name).or_default().push((detail, whence));
        }
    }
    let mut found: Vec<Resemblance> =
        questions.into_iter().flat_map(|question| of(question, &by_name)).collect();
    found.sort_by(|one, other| (&one.copy, &one.at).cmp(&(&other.copy, &other.at)));
    found
}

fn current(detail: &CredentialDetail) -> impl Iterator<Item = &CopyView> {
    detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current)
}

/// A credential that its issuer knows, and that would be accepted: what is only a place is no more than another question.
fn is_answer(detail: &CredentialDetail) -> bool {
    let issued = !detail.copies.iter().any(|copy| copy.at == detail.credential.at);
    issued && matches!(detail.credential.state, CredentialState::Active | CredentialState::Superseded)
}

/// A candidate, and how much speaks for it beside its name.
struct Candidate<'a> {
    detail: &'a CredentialDetail,
    because: Vec<String>,
    unknown: Vec<String>,
}

fn of(
    question: &CredentialDetail,
    by_name: &BTreeMap<Name, Vec<(&CredentialDetail, String)>>,
) -> Vec<Resemblance> {
    let Some(copy) = current(question).next() else { return Vec::new() };
    let asked: BTreeSet<&str> = question
        .consumers
        .iter()
        .filter_map(|consumer| consumer.attributes.get("ci_secret")?.as_str())
        .collect();
    let mut candidates: BTreeMap<CredentialId, Candidate<'_>> = BTreeMap::new();
    for text in asked {
        let Some(name) = Name::of(text) else { continue };
        for (detail, whence) in by_name.get(&name).into_iter().flatten() {
            if let Some(candidate) =
                compared(question, copy, detail, format!("{text} is the name of {whence}"))
            {
                candidates.entry(detail.credential.id).or_insert(candidate);
            }
        }
    }
    let most = candidates.values().map(|candidate| candidate.because.len()).max().unwrap_or(0);
    let alike: Vec<Candidate<'_>> =
        candidates.into_values().filter(|candidate| candidate.because.len() == most).collect();
    if alike.len() > MOST {
        return Vec::new();
    }
    let rivals = alike.len();
    let jobs: BTreeSet<&Ref> = question
        .consumers
        .iter()
        .filter(|consumer| consumer.attributes.contains_key("ci_secret"))
        .map(|consumer| &consumer.at)
        .collect();
    let proposed = alike.into_iter().map(|candidate| Resemblance {
        copy: copy.at.clone(),
        credential: candidate.detail.credential.id,
        at: candidate.detail.credential.at.clone(),
        jobs: jobs.iter().map(|job| (*job).clone()).collect(),
        because: candidate.because,
        unknown: candidate.unknown,
        rivals,
        confirm: confirm(&candidate.detail.credential.at, &copy.at),
    });
    proposed.collect()
}

/// `None` where something speaks against it.
fn compared<'a>(
    question: &CredentialDetail,
    copy: &CopyView,
    detail: &'a CredentialDetail,
    name: String,
) -> Option<Candidate<'a>> {
    let (asks, has) = (&question.credential, &detail.credential);
    let (mut because, mut unknown) = (vec![name], Vec::new());
    for (label, value) in &copy.labels {
        match has.labels.get(label) {
            Some(other) if other == value => because.push(format!("both are labelled {label}={value}")),
            // Of another environment it is another value.
            Some(_) if matches!(label.as_str(), "env" | "environment" | "stage") => return None,
            _ => {}
        }
    }
    match (&asks.owner, &has.owner) {
        (Some(one), Some(other)) if one == other => because.push(format!("both are {one}'s")),
        _ => {}
    }
    let changed = has.last_rotated_at.or(has.created_at);
    match (asks.last_rotated_at, changed) {
        (Some(written), Some(changed)) if written < changed => return None,
        (Some(_), Some(_)) => because.push("it was written after the credential last changed".to_owned()),
        (None, _) => unknown.push("when it was last written is not told".to_owned()),
        (_, None) => unknown.push("when the credential last changed is not known".to_owned()),
    }
    Some(Candidate { detail, because, unknown })
}

/// Lines of the configuration. JSON's strings are TOML's too.
fn confirm(credential: &Ref, copy: &Ref) -> String {
    let quoted = |at: &Ref| serde_json::Value::from(at.as_str()).to_string();
    format!("[[credentials]]\nref = {}\ncopies = [{}]\n", quoted(credential), quoted(copy))
}
