use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::view::CredentialView;
use claviger_engine::{
    Engine, exception,
    policy::{Policy, policy_for},
};
use claviger_store::port::Selection;
use serde_json::{Value, json};

use super::show;
use crate::{
    args::{Format, Global, PolicyArgs, PolicyCommand, PolicyTestArgs},
    compose::{Needs, compose},
    error::{Exit, Result},
    output::{self, Column, Shown},
};

const COLUMNS: &[Column] = &[
    Column::new("name", "NAME"),
    Column::new("match", "MATCH"),
    Column::new("strategy", "STRATEGY"),
    Column::new("max_age_seconds", "MAX AGE (S)").shown(Shown::Number),
    Column::new("credentials", "CREDENTIALS").shown(Shown::Number),
    Column::new("due", "DUE").shown(Shown::Number),
    Column::new("grace_seconds", "GRACE (S)").shown(Shown::Number).wide(),
    Column::new("approvals", "APPROVALS").shown(Shown::Number).wide(),
    Column::new("retain", "RETAIN").wide(),
];

/// Lists policies, or says which one holds.
pub(super) async fn run(global: &Global, args: &PolicyArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    match &args.command {
        PolicyCommand::List => list(global, &composed.engine).await,
        PolicyCommand::Test(args) => test(global, &composed.engine, args).await,
    }
}

async fn list(global: &Global, engine: &Engine) -> Result<Exit> {
    let now = engine.clock.now();
    let credentials = engine.ports.inventory.credentials(now, &Selection::default()).await?;
    let policies = &engine.estate.policies;
    // Selectors are not compared but names: two policies may have the same selector, and only the first of them holds.
    let held = |policy: &Policy| -> Vec<&CredentialView> {
        let holds = |credential: &&CredentialView| {
            policy_for(policies, credential)
                .is_ok_and(|found| found.is_some_and(|found| found.name == policy.name))
        };
        credentials.iter().filter(holds).collect()
    };
    let items: Vec<Value> = policies
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
        .collect();
    output::list(global, "policies", COLUMNS, &items)?;
    Ok(Exit::Done)
}

async fn test(global: &Global, engine: &Engine, args: &PolicyTestArgs) -> Result<Exit> {
    let now = engine.clock.now();
    let credential = show::one(engine, &args.id).await?;
    let policies = &engine.estate.policies;
    let held = policy_for(policies, &credential)?;
    let exceptions = &engine.estate.exceptions;
    let waived = exception::of_age(exceptions, &credential, now)?;
    let due = held.and_then(|policy| policy.due(&credential));
    let due = due.map(|due| waived.map_or(due, |exception| due.max(exception.expires)));
    let mut why = why(held, &credential, due, now);
    for exception in exceptions {
        if exception.selector.matches(&credential)? {
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
    let tried: Vec<Value> = policies
        .iter()
        .map(|policy| {
            // Behind the one that holds, some may not be decided.
            let matches = policy.selector.matches(&credential).ok();
            json!({ "name": policy.name, "match": policy.selector.text(), "matches": matches })
        })
        .collect();
    if matches!(global.output, Format::Table | Format::Wide) {
        let mut text = String::new();
        let _ = writeln!(text, "{}", credential.at);
        for policy in policies {
            let word = match held {
                Some(held) if held.name == policy.name => "holds",
                _ if policy.selector.matches(&credential).unwrap_or(false) => "matches, and comes too late",
                _ => "does not match",
            };
            let _ = writeln!(text, "  {:<20} {word}: {}", policy.name, policy.selector.text());
        }
        let _ = writeln!(text, "{why}");
        output::text(&text);
        return Ok(Exit::Done);
    }
    let mut document = json!({
        "id": credential.id, "ref": credential.at, "policy": held.map(|policy| &policy.name),
        "next_due_at": due, "due": due.is_some_and(|due| due <= now), "why": why, "tried": tried,
    });
    output::stamp(&mut document, "policy-test");
    output::document(global, &document)?;
    Ok(Exit::Done)
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
