//! Policies: `policy list` and `policy test`.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::view::CredentialView;
use claviger_engine::{
    Engine, exception,
    policy::{Policy, policy_for},
};
use claviger_store::Selection;
use serde_json::{Value, json};

use super::{Result, stamp};
use crate::access::Sight;

/// All of them, in the order in which they are tried, with how many of the credentials that these eyes see they hold for.
///
/// # Errors
/// The database.
pub async fn items(engine: &Engine, sight: Sight<'_>) -> Result<Vec<Value>> {
    let now = engine.clock.now();
    let mut credentials = engine.ports.inventory.credentials(now, &Selection::default()).await?;
    credentials.retain(|credential| sight.sees_credential(credential));
    let policies = &engine.estate.policies;
    // Selectors are not compared but names: two policies may have the same selector, and only the first of them holds.
    let held = |policy: &Policy| -> Vec<&CredentialView> {
        let holds = |credential: &&CredentialView| {
            policy_for(policies, credential)
                .is_ok_and(|found| found.is_some_and(|found| found.name == policy.name))
        };
        credentials.iter().filter(holds).collect()
    };
    Ok(policies
        .iter()
        .map(|policy| {
            let held = held(policy);
            let is_due = |one: &&&CredentialView| {
                let waived = exception::of_age(&engine.estate.exceptions, one, now);
                policy.due(one).is_some_and(|due| due <= now) && !matches!(waived, Ok(Some(_)))
            };
            let due = held.iter().filter(is_due).count();
            json!({
                "name": policy.name, "match": policy.selector.text(), "strategy": policy.strategy,
                "max_age_seconds": policy.max_age.map(|age| age.num_seconds()),
                "grace_seconds": policy.grace.map(|grace| grace.num_seconds()),
                "evidence": policy.evidence.map(claviger_core::saga::Evidence::word),
                "approvals": policy.approvals, "retain": policy.retain,
                "credentials": held.len(), "due": due,
            })
        })
        .collect())
}

/// Which policy holds for a credential, when it is due, and why.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The one that holds.
    pub held: Option<String>,
    /// When it is due.
    pub due: Option<DateTime<Utc>>,
    /// Why, for people.
    pub why: String,
    now: DateTime<Utc>,
}

/// Judges one credential.
///
/// # Errors
/// A condition that cannot be decided.
pub fn verdict(engine: &Engine, credential: &CredentialView) -> Result<Verdict> {
    let now = engine.clock.now();
    let held = policy_for(&engine.estate.policies, credential)?;
    let exceptions = &engine.estate.exceptions;
    let waived = exception::of_age(exceptions, credential, now)?;
    let due = held.and_then(|policy| policy.due(credential));
    let due = due.map(|due| waived.map_or(due, |exception| due.max(exception.expires)));
    let mut why = why(held, credential, due, now);
    for exception in exceptions {
        if exception.selector.matches(credential)? {
            let word = if exception.in_force(now) { "waives until" } else { "no longer waives, since" };
            let _ = write!(
                why,
                "; exception `{}` {word} {}: {} (allowed by {})",
                exception.name,
                exception.expires.format("%Y-%m-%dT%H:%M:%SZ"),
                exception.reason,
                exception.approver
            );
        }
    }
    Ok(Verdict { held: held.map(|policy| policy.name.clone()), due, why, now })
}

/// The verdict as programs read it.
pub fn document(engine: &Engine, credential: &CredentialView, verdict: &Verdict) -> Value {
    let tried: Vec<Value> = engine
        .estate
        .policies
        .iter()
        .map(|policy| {
            // Behind the one that holds, some may not be decided.
            let matches = policy.selector.matches(credential).ok();
            json!({ "name": policy.name, "match": policy.selector.text(), "matches": matches })
        })
        .collect();
    let mut document = json!({
        "id": credential.id, "ref": credential.at, "policy": verdict.held, "next_due_at": verdict.due,
        "due": verdict.due.is_some_and(|due| due <= verdict.now), "why": verdict.why, "tried": tried,
    });
    stamp(&mut document, "policy-test");
    document
}

fn why(
    policy: Option<&Policy>,
    credential: &CredentialView,
    due: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> String {
    let Some(policy) = policy else {
        return "no policy holds: it is never due, and only its findings speak of its age".to_owned();
    };
    let Some(age) = policy.max_age else {
        return format!("policy `{}` has no max_age: it is never due", policy.name);
    };
    let Some(due) = due else {
        return format!("policy `{}` wants it changed, and nobody knows how old it is", policy.name);
    };
    let since = match credential.last_rotated_at {
        Some(at) => format!("last changed on {}", at.format("%Y-%m-%d")),
        None => "never changed since it was made".to_owned(),
    };
    let when = if due <= now { "overdue since" } else { "due on" };
    format!(
        "{when} {}: {since}, and policy `{}` wants it changed every {}",
        due.format("%Y-%m-%dT%H:%M:%SZ"),
        policy.name,
        span(age)
    )
}

fn span(age: TimeDelta) -> String {
    match (age.num_days(), age.num_hours(), age.num_minutes()) {
        (days, hours, _) if days > 0 && days * 24 == hours => format!("{days} d"),
        (_, hours, minutes) if hours > 0 && hours * 60 == minutes => format!("{hours} h"),
        (_, _, minutes) => format!("{minutes} min"),
    }
}
